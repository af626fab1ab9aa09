"""What AHM says when something goes wrong, on real servers and daemons (see `reading`)."""
