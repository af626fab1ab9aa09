"""How far the walk goes: QUICK with all tests, WHOLE with `make walk`.

Two nodes are walked to the end: nothing is left to be seen, however long it goes on.  Three are
walked so many steps from each state of `walk.begins`, for each kind of fault and for some together.
"""

from .world import Bound, Faults

#: One clock that is slow, by what the margins allow, and which: with ticks of 0.5 it counts three
#: for a promise while the others count two.
SLOW = ((1.0, 1.1, 1.1), (1.1, 1.0, 1.1))

QUICK = (
    Bound(2, terms=5),
    Bound(2, 6, terms=6, faults=Faults(crashes=1, lost=1, leaves=1, sleeps=1)),
    Bound(3, 6),
    Bound(3, 5, faults=Faults(crashes=1, lost=1)),
    Bound(3, 5, faults=Faults(leaves=1)),
    Bound(3, 4, faults=Faults(crashes=1, leaves=1)),
    Bound(3, 4, faults=Faults(delays=1)),
    Bound(3, 5, faults=Faults(slow=1)),
    Bound(3, 5, faults=Faults(sleeps=1)),
    Bound(3, 4, faults=Faults(moods=1)),
    Bound(3, 5, tick=0.5, rates=SLOW[0]),
    Bound(3, 5, tick=0.5, rates=SLOW[1]),
    Bound(3, 5, tick=0.275),
)

WHOLE = (
    Bound(2, terms=8),
    Bound(2, 9, terms=6, faults=Faults(crashes=1, lost=1, leaves=1, sleeps=1)),
    Bound(2, 8, terms=6, faults=Faults(crashes=1, slow=1, delays=1)),
    Bound(3, 9),
    Bound(3, 8, terms=8),
    Bound(3, 7, faults=Faults(crashes=1, lost=1)),
    Bound(3, 6, faults=Faults(crashes=2)),
    Bound(3, 7, faults=Faults(leaves=1)),
    Bound(3, 5, faults=Faults(leaves=2)),
    Bound(3, 6, faults=Faults(crashes=1, leaves=1)),
    Bound(3, 6, faults=Faults(delays=1)),
    Bound(3, 5, faults=Faults(crashes=1, delays=1)),
    Bound(3, 7, faults=Faults(slow=1)),
    Bound(3, 6, faults=Faults(crashes=1, slow=1)),
    Bound(3, 7, faults=Faults(sleeps=1)),
    Bound(3, 6, faults=Faults(moods=1)),
    Bound(3, 7, tick=0.5, rates=SLOW[0]),
    Bound(3, 7, tick=0.5, rates=SLOW[1]),
    Bound(3, 6, tick=0.5, rates=SLOW[0], faults=Faults(crashes=1)),
    Bound(3, 8, tick=0.275),
    Bound(3, 7, tick=0.25, rates=SLOW[0]),
)
