"""What utilities ask of a node that changes something; everything else only looks.

Utilities read it as well as the daemon, and start in a moment: so it stands apart from `requests`,
which reaches into all parts.
"""

#: Allowed to the operators of this cluster only, and done only while who asked still listens.
CHANGING = frozenset(('attach', 'promote', 'restart', 'shutdown', 'pause', 'resume'))
