"""AHM on every major version of PostgreSQL, 10 to 18: `make test-matrix`."""
