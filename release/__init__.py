"""What is made for who installs AHM: the tarball, and what the packages of distributions hold.

None of it runs with AHM.  `make dist`, `make deb` and `make rpm` are the ways in.
"""
