"""The clusters that the search tries: sizes, witnesses, priorities, quorum rules, timings.

Multicast and unicast are one for the core: every row may be lost on the way to every node by
itself.  That a host gets no multicast, only what is sent to it alone, is a fault.
"""

from ahmlib.core.settings import SynchronousMode
from ahmlib.simulation.host import make_settings

DEFAULTS = dict(interval=8.0, health_check_period=30.0, max_consec_failures=5, connect_timeout=5.0)

CLUSTERS = {
    'three nodes': make_settings(3),
    'three nodes, synchronous': make_settings(3),
    'five nodes, synchronous': make_settings(5),
    'three nodes, synchronous, with fencing': make_settings(3, pre_promotion=True),
    'two nodes and a witness': make_settings(3, witnesses=(2,)),
    'three nodes with fencing': make_settings(3, pre_promotion=True, post_promotion=True),
    'five nodes, equal priorities': make_settings(5, priorities=(1, 1, 1, 1, 1)),
    'two nodes without half votes': make_settings(2),
    'two nodes, half votes': make_settings(2, half_votes=True),
    'two nodes, half votes, a trusted server': make_settings(2, half_votes=True, trusted=True),
    'two nodes, half votes, a trusted server, fencing': make_settings(
        2, half_votes=True, trusted=True, pre_promotion=True),
    'four nodes, half votes, a trusted server': make_settings(4, half_votes=True, trusted=True),
    'four nodes, one with priority 0': make_settings(
        4, priorities=(1, 2, 0, 3), auto_attach=True, lag_limit=2000),
    'seven nodes, two witnesses': make_settings(
        7, witnesses=(5, 6), stop_isolated_primary=False),
    'three nodes without a VIP': make_settings(3, vip=''),
    'three nodes, default timings': make_settings(3, **DEFAULTS),
}

ON, STRICT = SynchronousMode.ON, SynchronousMode.STRICT

#: Where AHM sets what commits wait for.  Beside the others, whose schedules are known by number.
MODES = {
    'three nodes, mode on': make_settings(3, synchronous_mode=ON),
    'three nodes, mode on, with fencing': make_settings(3, synchronous_mode=ON,
                                                        pre_promotion=True),
    'three nodes, mode strict': make_settings(3, synchronous_mode=STRICT),
    'two nodes and a witness, mode on': make_settings(3, witnesses=(2,), synchronous_mode=ON),
    'five nodes, mode on': make_settings(5, synchronous_mode=ON),
    'five nodes, mode on, two confirm': make_settings(5, synchronous_mode=ON, synchronous_count=2),
    'five nodes, mode strict, two confirm': make_settings(5, synchronous_mode=STRICT,
                                                          synchronous_count=2),
    'two nodes, half votes, mode strict': make_settings(
        2, half_votes=True, pre_promotion=True, synchronous_mode=STRICT),
    'four nodes, mode on, one with priority 0': make_settings(
        4, priorities=(1, 2, 0, 3), synchronous_mode=ON, auto_attach=True),
}
EVERY = {**CLUSTERS, **MODES}

#: How many standbys confirm a commit, where not none.
SYNCHRONOUS = {'three nodes, synchronous': 1, 'five nodes, synchronous': 1,
               'three nodes, synchronous, with fencing': 1}
