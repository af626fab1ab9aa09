"""AHM on every major version of PostgreSQL, 10 to 18, and with AgensSQL's ag_ctl."""
