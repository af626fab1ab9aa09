"""What is made for who installs AHM, made and walked: `make test-packages`.

These need the network, for what the tarball brings, and minutes.
"""
