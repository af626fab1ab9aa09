"""The network: what nodes send each other, and what this host knows of its own addresses."""
