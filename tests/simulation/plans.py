"""How the search draws fault plans, and what a cluster has to do once they are over.

hypothesis draws and shrinks the list itself, so the shortest list that still breaks something is
the bug report, and becomes a pinned story.  Gaps are drawn uniformly and close around the
protocol's own deadlines, because that is where the mistakes are.
"""

from hypothesis import strategies as st

from ahmlib.core.policy.election import why_too_far_behind
from ahmlib.core.states import DatabaseState
from ahmlib.simulation.faults import FAULTS, apply, repair
from ahmlib.simulation.network import Network
from ahmlib.simulation.world import World

__all__ = ['apply', 'formed', 'gaps', 'heal', 'plans', 'recovers']

#: Beyond T_hold and the takeover: everything that can happen by itself has happened.
SETTLE_SECONDS = 60.0

heal = repair


def deadlines(timing):
    """Seconds after which the protocol does something by itself."""
    return (timing.interval, 1.5 * timing.interval, timing.lease, timing.hold,
            timing.lease + timing.fence, timing.interval / 4)


def gaps(timing):
    """Seconds between two faults: anything, or close around a deadline of the protocol."""
    near = st.sampled_from(deadlines(timing)).flatmap(
        lambda at: st.floats(max(0.0, at - 0.05), at + 0.05))
    return st.one_of(st.floats(0.0, 2 * timing.hold), near)


def plans(settings, length_max=8):
    """Lists of (gap, fault, node) for a cluster with these settings."""
    step = st.tuples(gaps(settings[0].timing), st.sampled_from(sorted(FAULTS)),
                     st.integers(0, len(settings) - 1))
    return st.lists(step, max_size=length_max)


def formed(settings, seed=0, loss=0.0, **world):
    """A world in which node 0 leads over the primary with the VIP."""
    world = World(settings, seed=seed, **world)
    world.network = Network(world.random, loss=loss, doubled=0.02)
    world.start_all()
    limit = 3 * settings[0].timing.hold + 10
    assert world.run_until(lambda: world.serves() == 0, limit), '\n'.join(world.trace)
    world.run(settings[0].timing.hold + 1)
    return world


def recovers(world):
    """Whether the healed cluster serves again, or has a reason of the design not to."""
    limit = SETTLE_SECONDS + 4 * world.settings.timing.hold + 2 * world.settings.wait_for_primary
    if world.run_until(lambda: world.serves() is not None, limit):
        return True
    living = [host.node for host in world.hosts if host.node is not None]
    return bool(waits_for_operator(living))


def waits_for_operator(living):
    """Why this healed cluster rightly has no leader; '' if it has no such reason."""
    rows = [node.own_row() for node in living]
    if len(living) < living[0].facts.votes_needed and not any(row.forced for row in rows):
        return 'a majority is gone for good, and nobody was promoted by force'
    if not any(node.consensus.follower.followed for node in living):
        return 'no node has followed a leader since its start: nobody is promoted by himself'
    if not any(_is_usable(node) for node in living):
        return 'no database is left that was not reported out, quarantined, or stale'
    if any(row.database is DatabaseState.PRIMARY and not row.rightful for row in rows):
        return 'a primary runs that is not the one on record: two databases have diverged'
    if any(_waits_in_a_pause(node, rows) for node in living):
        return 'the cluster is paused, and the node that alone may lead runs no primary'
    on_record = [node.parts.candidate.view().timeline for node in living]
    if any(timeline and row.timeline > timeline for row, timeline in zip(rows, on_record)):
        return 'a database was promoted, and nobody lived to put it on record'
    gone = {node.own for node in living if node.own_row().out or _is_left_stopped(node)
            or node.settings.priority == 0}
    if any(gone.intersection(row.sync_nodes) for row in rows):
        return 'a synchronous standby is out, stopped or may never lead, and may hold more'
    return ''


def _waits_in_a_pause(node, rows):
    """Whether this node knows of a pause whose holder does not run a primary."""
    pause = node.parts.paused.pause
    return pause.on and not any(row.sender == pause.holder and row.database is DatabaseState.PRIMARY
                                for row in rows)


def _is_left_stopped(node):
    """Whether its server was stopped by a daemon of it that ended since: nobody starts it."""
    return node.own_row().database is DatabaseState.FAILED and not node.parts.database.stopped


def _is_usable(node):
    """Whether nothing but faults keeps this node's database from leading."""
    own, candidate = node.own_row(), node.parts.candidate
    return not node.settings.witness and node.settings.priority > 0 and not own.out \
        and own.database is not DatabaseState.QUARANTINED and not candidate.why_stale(own) \
        and not why_too_far_behind(own, candidate.view())
