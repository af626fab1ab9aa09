"""What the search reaches of the core, against the list of what it may leave out.

A few hundred schedules of the long search were tried once; those that together reach all that any
of them reached are run here, with the stories, and the faults of the core with it.  When something
new is unreached: find a schedule for it (`look` with other numbers, or a story), or list it with
its reason in unreached.txt.
"""

import pytest

from ahmlib.simulation.faults import apply, repair

from .clusters import EVERY, SYNCHRONOUS
from .marks import marked
from .mutants import MUTANTS
from .plans import formed, recovers
from .reach import LISTED, listed, matches, transitions_of, unreached
from .search import draw, place
from .test_boot import STORIES as BOOT_STORIES
from .test_field_data import STORIES as FIELD_STORIES
from .test_force import STORIES as FORCE_STORIES
from .test_force_found import STORIES as FORCE_FOUND
from .test_found import FOUND
from .test_history import STORIES as HISTORY
from .test_leaving import STORIES as LEAVING_STORIES
from .test_maintenance import STORIES as MAINTENANCE
from .test_node_files import STORIES as NODE_FILES
from .test_operators import STORIES as OPERATOR_STORIES
from .test_pause import STORIES as PAUSES
from .test_restart_database import STORIES as RESTART_STORIES
from .test_shorter_rows import STORIES as SHORTER_ROWS
from .test_synchronous import STORIES as SYNCHRONOUS_STORIES
from .test_troubles import STORIES as TROUBLES
from .test_ways_out import STORIES as WAYS_OUT

#: Numbers of schedules of the long search.
NUMBERS = (15, 16, 22, 24, 29, 35, 38, 54, 119, 122, 144, 323, 2004)

#: What chance meets too rarely: (cluster, plan).
AIMED = (
    ('three nodes with fencing', ((1.0, 'start-fails', 0), (0.0, 'promote-fails', 1),
                                  (0.0, 'promote-fails', 2), (0.5, 'stop', 0),
                                  (90.0, 'heal', 0))),
    ('three nodes with fencing', ((1.0, 'promote-fails', 1), (0.0, 'promote-fails', 2),
                                  (0.5, 'stop', 0))),
    ('three nodes with fencing', ((1.0, 'hook-lies', 1), (0.0, 'hook-lies', 2),
                                  (0.5, 'crash', 0))),
    # Fenced by a script that lies, it is just starting when it is looked at again.
    ('three nodes with fencing', ((1.0, 'hook-lies', 1), (0.0, 'hook-lies', 2), (0.5, 'crash', 0),
                                  (1.6, 'crash-recovery', 0))),
    # While its script runs, another one is promoted by hand.
    ('three nodes with fencing', ((1.0, 'hook-slow', 1), (0.0, 'power-off', 0),
                                  (2.0, 'promote-by-hand', 2), (6.0, 'heal', 0))),
    # A dead house whose daemon is back before the VIP is raised, and cannot drop it.
    ('three nodes', ((0.5, 'kill-daemon-and-database', 0), (0.0, 'promote-slow', 1),
                     (0.0, 'vip-fails', 0), (6.0, 'start', 0), (15.0, 'heal', 0))),
    ('three nodes with fencing', ((1.0, 'cut', 0), (0.1, 'stop', 0))),
    # Told to end, it hands over; its server does not stop, and cannot be started again.
    ('three nodes with fencing', ((0.5, 'start-fails', 0), (0.0, 'stop-lies', 0),
                                  (0.5, 'stop', 0))),
    ('three nodes', ((1.0, 'stop', 1), (0.0, 'restart', 1))),
    ('three nodes', ((1.0, 'mute', 0), (0.1, 'stop', 0))),
    # The second loss comes as soon as the next leader is elected.
    ('three nodes', ((1.0, 'power-off', 0), (1.322, 'cut', 1))),
    # Who cannot vote lets a candidate wait, until the old primary answers.
    ('three nodes', ((1.0, 'fill-disk', 2), (0.0, 'hang-database', 0), (0.0, 'crash', 0),
                     (2.3, 'thaw-database', 0))),
    ('three nodes', ((1.0, 'answer-for-vip', 1), (0.0, 'answer-for-vip', 2),
                     (0.0, 'power-off', 0), (3.0, 'stop', 1))),
    ('three nodes', ((1.0, 'follow-fails', 2), (0.0, 'power-off', 0))),
    ('three nodes', ((1.0, 'demote-by-hand', 0),)),
    # Longer than a starting server is waited for.
    ('three nodes', tuple((seconds, 'crash-recovery', 0) for seconds in (1.0,) + 7 * (3.0,))),
    ('three nodes', ((1.0, 'vip-fails', 0), (0.0, 'drop-vip', 0), (5.0, 'heal', 0))),
    ('three nodes', ((1.0, 'answer-for-vip', 1), (0.0, 'answer-for-vip', 2),
                     (0.0, 'power-off', 0), (60.0, 'heal', 0))),
    ('four nodes, half votes, a trusted server', ((1.0, 'part', 0), (6.0, 'heal', 0))),
    ('two nodes, half votes, a trusted server', ((1.0, 'cut', 1), (0.5, 'crash-and-start', 0))),
    ('three nodes', ((1.0, 'announce-fails', 1), (0.0, 'announce-fails', 2),
                     (0.0, 'power-off', 0))),
    ('three nodes', ((1.0, 'cut', 1), (6.0, 'stop', 1))),
    # An operator would promote by force, and looks first: who is not heard is not off.
    ('three nodes', ((1.0, 'cut', 1), (6.0, 'force', 0))),
    # Rows of an incarnation that has ended arrive once more.
    ('three nodes', ((1.0, 'crash-and-start', 1), (0.5, 'replay', 0))),
    ('three nodes', ((1.0, 'hear-stranger', 1), (0.1, 'ask-status', 1))),
    # After fencing nobody can look at his own database.
    ('three nodes with fencing', ((0.5, 'hook-slow', 1), (0.0, 'hook-slow', 2), (0.5, 'crash', 0),
                                  (2.1, 'fail-checks', 1), (0.0, 'fail-checks', 2))),
    # A standby that is out, beside whatever happens to its leader and to itself.
    ('three nodes', ((1.0, 'kill-database', 1), (6.0, 'power-off', 0))),
    ('three nodes', ((1.0, 'kill-database', 1), (6.0, 'stop', 1))),
    ('three nodes', ((1.0, 'kill-database', 1), (6.0, 'promote', 2))),
    ('three nodes', ((1.0, 'kill-database', 1), (6.0, 'cut', 1), (10.0, 'heal', 1))),
    ('three nodes', ((1.0, 'kill-database', 1), (6.0, 'crash-and-start', 0))),
    ('three nodes', ((1.0, 'mute', 1), (3.0, 'kill-database', 1), (6.0, 'heal', 1))),
    # The lease ends while the server is being stopped for a switchover.
    ('three nodes', ((0.5, 'stop-slow', 0), (0.5, 'promote', 1), (0.5, 'cut', 0))),
    ('three nodes', ((1.0, 'vip-fails', 0), (0.0, 'hide-vip', 0), (0.0, 'kill-database', 0),
                     (0.0, 'crash-and-start', 0), (10.0, 'heal', 0))),
    ('three nodes', ((0.5, 'stop-replication', 2), (2.0, 'hold-replay', 1), (0.1, 'power-off', 0),
                     (30.0, 'resume-replay', 1), (5.0, 'heal', 0))),
)


def schedules():
    """(cluster, plan, loss, seed) of everything that is run."""
    for number in NUMBERS:
        cluster = place(number)
        yield (cluster,) + draw(cluster, number, operators=False)
    for story in sorted(FOUND):
        yield FOUND[story][:4]
    for mutant in MUTANTS:
        yield mutant.cluster, mutant.plan, 0.0, 0
    for cluster, plan in AIMED:
        yield cluster, plan, 0.0, 0


def run_all():
    """Run them all; the transitions of the schedules."""
    transitions = set()
    for cluster, plan, loss, seed in schedules():
        world = formed(EVERY[cluster], seed, min(loss, 0.1),
                       synchronous=SYNCHRONOUS.get(cluster, 0))
        world.network.loss = loss
        apply(world, plan)
        repair(world)
        recovers(world)
        transitions |= transitions_of(world.trace)
    for story in OPERATOR_STORIES + LEAVING_STORIES + FORCE_STORIES + FORCE_FOUND \
            + FIELD_STORIES + TROUBLES + WAYS_OUT + SHORTER_ROWS + RESTART_STORIES \
            + BOOT_STORIES + HISTORY + MAINTENANCE + PAUSES + NODE_FILES + SYNCHRONOUS_STORIES:
        story()
    return transitions


@pytest.fixture(scope='module')
def left():
    """What all of these leave unreached."""
    return unreached()


def test_nothing_is_unreached_that_is_not_listed_with_its_reason(left):
    patterns = [pattern for pattern, _ in listed()]
    new = [key for key in left if not any(matches(pattern, key) for pattern in patterns)]
    assert not new, 'not reached by any schedule, and not in %s:\n%s' % (
        LISTED.name, '\n'.join(new))


def test_what_is_listed_is_unreached(left):
    stale = [pattern for pattern, _ in listed() if not any(matches(pattern, key) for key in left)]
    assert not stale, 'reached, or not in the core any more: take from %s:\n%s' % (
        LISTED.name, '\n'.join(stale))


def test_everything_listed_has_a_reason():
    assert [pattern for pattern, reason in listed() if not reason] == []


def test_a_mark_stands_before_each_statement_that_a_schedule_can_reach():
    """Docstrings, functions within functions and `pass` are none of the function's statements."""
    text = '''
def f(x):
    "What it does."
    try:
        x += 1
    except ValueError:
        return 1
    else:
        if x:
            pass
        elif x is None:
            x = 2
    finally:
        x = 2
    def g():
        return x
    while x:
        x -= 1
    return g() + x
'''
    tree, keys = marked(text, 'm')
    reached = {}
    space = {'_reached': reached}
    exec(compile(tree, 'm', 'exec'), space)
    assert space['f'](0) == 0
    assert sorted(set(keys) - set(reached)) == [
        'm.f: elif x is None:', 'm.f: return 1', 'm.f: x = 2 (2)']
    assert sorted(reached) == [
        'm.f.g: return x', 'm.f: if x:', 'm.f: return g() + x', 'm.f: while x:', 'm.f: x += 1',
        'm.f: x -= 1', 'm.f: x = 2']
