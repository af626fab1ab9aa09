"""Majority arithmetic (ahm_protocol(7), R6).  Knows numbers and nothing else.

Any `votes_needed` voters and any `lease_needed` acknowledgers share a node: that node is why a
leader that holds a lease cannot be outvoted.  Half votes on an even number of nodes give this up:
there both numbers are n / 2, and the tie must be broken by something outside (trusted servers,
fencing).
"""

from typing import Iterable


def votes_needed(size: int, half_votes: bool) -> int:
    """Votes that elect a leader among `size` nodes."""
    if half_votes and size % 2 == 0:
        return size // 2
    return size // 2 + 1


def lease_needed(size: int, half_votes: bool) -> int:
    """Acknowledgements, the leader's own among them, that keep it from being outvoted."""
    if half_votes and size % 2 == 0:
        return size // 2
    return size - votes_needed(size, half_votes) + 1


def reached_by(instants: Iterable[float], needed: int) -> float:
    """The latest instant that at least `needed` of these reach: the `needed`-th largest."""
    ranked = sorted(instants, reverse=True)
    return ranked[needed - 1]


def next_own_term(above: int, own: int, size: int) -> int:
    """The least term above `above` that belongs to node `own`: its remainder by `size` is `own`."""
    term = above + 1
    return term + (own - term) % size
