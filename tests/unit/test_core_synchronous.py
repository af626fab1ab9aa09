"""How a leader changes what commits wait for: which step, and what keeps it from the next."""

import pytest

from ahmlib.core import events
from ahmlib.core.beacon import Claim
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.effects import SetSynchronous
from ahmlib.core.node import Node
from ahmlib.core.policy.claims import NOBODY
from ahmlib.core.settings import SynchronousMode
from ahmlib.core.states import DatabaseState, NodeState

from .rows import elect, one_settings, row
from .test_core_claims import NAMES, a_check, hear, setting

ON, STRICT = SynchronousMode.ON, SynchronousMode.STRICT
PEERS = tuple((name, '10.0.0.%d' % place) for place, name in enumerate(NAMES, 1))
TERM = 6


def a_leader(claim=Claim(), mode=ON, needed=0, names=(), peers=PEERS[1:], **changes):
    """Node 0 of three, which leads over a primary with this setting, and holds a lease."""
    settings = one_settings(synchronous_mode=mode, **changes)
    node = Node(settings, Saved(claim=claim, names=NAMES), 4711, 100.0)
    elect(node, TERM)
    node.consensus.lead()
    node.consensus.tenure.lease.acked = {1: 100.0, 2: 100.0}
    see(node, needed, names, peers)
    node.facts.take_row(node.own_row())
    return node


def see(node, needed, names, peers=PEERS[1:], lsn=1000):
    """A check shows this setting, and these standbys."""
    found = a_check(needed, names, peers, lsn)
    node.parts.database.apply(found, node.facts.now)
    node.parts.claims.checked(found)


def standbys(node, *places, seq=1, **changes):
    """These follow node 0, and repeat its claim."""
    newest = node.parts.claims.claim
    changes = {'term': TERM, 'leader': 0, 'sync_term': newest.term,
               'sync_version': newest.version, **changes}
    hear(node, *[row(place, seq=seq, **changes) for place in places])


def later(node, seconds=10.0):
    """So much later; the lease and the rows go on."""
    node.facts.clock.advance(node.facts.now + seconds)
    node.consensus.tenure.lease.acked = {1: node.facts.now, 2: node.facts.now}


def saved(node):
    """What it wants on disk is there."""
    node.consensus.speaker.saved(node.to_save())


def decide(node):
    """The order that this step asks for, or None."""
    node.out.take()
    node.parts.synchronous.decide()
    found = [effect for effect in node.out.take().asked if isinstance(effect, SetSynchronous)]
    return found[0] if found else None


def lasting(node, *places, **changes):
    """These have been members for long."""
    standbys(node, *places, **changes)
    decide(node)
    later(node)
    standbys(node, *places, seq=2, **changes)


def answer(node, order, ok=True, lsn=5000):
    """The order is answered."""
    node.out.answered(events.ActionEnded(order.token, ok, '' if ok else 'no', lsn=lsn))


def test_first_it_is_set_and_nothing_is_claimed_before_one_has_all():
    node = a_leader()
    saved(node)
    lasting(node, 1, 2)
    order = decide(node)
    assert order[1:3] == (1, NAMES[1:]) and node.parts.claims.claim == Claim()
    answer(node, order)
    assert decide(node) is None and not node.parts.claims.claim.needed
    standbys(node, 2, seq=3, lsn=5000)
    assert decide(node) is None
    assert node.parts.claims.claim[2:] == (1, (1, 2))


def test_a_claim_that_does_not_cover_it_is_joined_and_known_by_enough_before_it_is_set():
    node = a_leader(Claim(TERM, 1, 1, (1,)), needed=1, names=NAMES[1:2])
    saved(node)
    lasting(node, 1, 2)
    assert decide(node) is None and node.parts.claims.claim[2:] == (1, (1, 2))
    standbys(node, 1, seq=3)
    assert decide(node) is None         # it is not on the own disk
    saved(node)
    assert decide(node)[1:3] == (1, NAMES[1:])


@pytest.mark.parametrize('changes', [
    {'leader': None}, {'term': TERM - 1}, {'sync_version': 0}, {'sync_term': TERM - 1}])
def test_who_has_a_vote_under_way_or_an_older_claim_does_not_count(changes):
    node = a_leader(Claim(TERM, 3, 1, (0,)))
    saved(node)
    lasting(node, 1, 2, **changes)
    assert decide(node) is None
    standbys(node, 2, seq=3)
    assert decide(node) is not None


def test_without_a_lease_nothing_is_set():
    node = a_leader()
    saved(node)
    lasting(node, 1, 2)
    node.consensus.tenure.lease.acked = {}
    assert decide(node) is None


def test_what_is_not_answered_lets_nothing_else_be_set_or_claimed():
    node = a_leader()
    saved(node)
    lasting(node, 1, 2)
    order = decide(node)
    see(node, *order[1:3])
    standbys(node, 1, 2, seq=3, lsn=9000)
    assert decide(node) is None and not node.parts.claims.claim.needed


def test_an_order_that_failed_leaves_the_setting_unknown_until_a_check_shows_it():
    node = a_leader()
    saved(node)
    lasting(node, 1, 2)
    answer(node, decide(node), ok=False)
    assert setting(node) is None and decide(node) is None
    see(node, 1, NAMES[1:])             # it was done all the same; since when, nobody knows
    assert decide(node)[1:3] == (1, NAMES[1:])


def test_a_position_of_another_term_counts_no_more():
    node = a_leader()
    saved(node)
    lasting(node, 1, 2)
    order = decide(node)
    node.consensus.ballot.move(TERM + 3)
    answer(node, order)
    standbys(node, 1, 2, seq=3, lsn=9000, term=TERM + 3)
    assert decide(node) is not None and not node.parts.claims.claim.needed


def test_the_last_member_is_gone_and_the_leader_alone_has_all():
    node = a_leader(Claim(TERM, 1, 1, (1,)), needed=1, names=NAMES[1:2], peers=())
    saved(node)
    lasting(node, 1, 2)
    assert decide(node) is None and node.parts.claims.claim[2:] == (1, (0,))
    saved(node)
    standbys(node, 2, seq=3)
    order = decide(node)
    assert order[1:3] == (0, ())
    answer(node, order)
    assert decide(node) is None and node.parts.claims.claim[2:] == (1, (0,))


def test_in_mode_strict_the_setting_stays_or_nobody_is_named():
    node = a_leader(Claim(TERM, 1, 1, (1,)), STRICT, 1, NAMES[1:2], ())
    saved(node)
    lasting(node, 1, 2)
    assert decide(node) is None and node.parts.claims.claim == Claim(TERM, 1, 1, (1,))
    see(node, 0, (), ())                # by hand: the leader alone has what is acknowledged now
    assert decide(node) is None and node.parts.claims.claim[2:] == (1, (0, 1))
    saved(node)
    standbys(node, 2, seq=3)
    assert decide(node)[1:3] == (1, (NOBODY,))
    see(node, 1, (NOBODY,), ())
    assert setting(node)[:2] == (1, ())


@pytest.mark.parametrize('changes', [
    {'database': DatabaseState.FAILED}, {'timeline': 2}, {'out': True}, {'maintenance': True}])
def test_who_is_no_member(changes):
    node = a_leader()
    saved(node)
    lasting(node, 1, **changes)
    standbys(node, 2)
    decide(node)
    later(node)
    standbys(node, 1, seq=3, **changes)
    standbys(node, 2, seq=3)
    assert decide(node)[1:3] == (1, NAMES[2:])


def test_who_was_left_out_is_taken_in_later_and_all_is_forgotten_once_it_lasts():
    node = a_leader(Claim(TERM, 1, 1, (1, 2)), needed=1, names=NAMES[1:], peers=PEERS[1:2])
    saved(node)
    lasting(node, 1, 2)
    answer(node, decide(node))
    assert setting(node)[:2] == (1, (1,)) and node.parts.synchronous._left == {2: 1}
    hold, seq = node.facts.hold_seconds, 3
    see(node, 1, NAMES[1:2])
    for seconds, taken in ((0.0, False), (1.5 * hold, False), (hold, True)):
        later(node, seconds)
        saved(node)
        standbys(node, 1, 2, seq=seq, lsn=9000)
        order, seq = decide(node), seq + 1
        while order is None and node.parts.claims.claim[2:] == (1, (1, 2)):
            saved(node)
            standbys(node, 1, 2, seq=seq, lsn=9000)
            order, seq = decide(node), seq + 1
        assert (order is not None and order[1:3] == (1, NAMES[1:])) is taken
    answer(node, order)
    later(node, 64 * hold)
    standbys(node, 1, 2, seq=seq, lsn=9000)
    decide(node)
    assert node.parts.synchronous._left == {}


def test_two_connections_of_one_name_are_nobody():
    node = a_leader(peers=PEERS[1:] + PEERS[2:])
    saved(node)
    lasting(node, 1, 2)
    assert decide(node)[1:3] == (1, NAMES[1:2])


def test_who_takes_over_claims_for_itself_too_and_takes_that_back():
    node = a_leader(Claim(4, 2, 2, (1, 2)))
    see_standby(node)
    node.parts.synchronous.elected()
    assert node.parts.claims.claim == Claim(TERM, 3, 1, (0, 1, 2))
    node.parts.synchronous.gave_up()
    assert node.parts.claims.claim == Claim(TERM, 4, 2, (1, 2))
    node.parts.synchronous.gave_up()
    assert node.parts.claims.claim == Claim(TERM, 4, 2, (1, 2))
    node.parts.synchronous.begin(True)
    assert node.parts.claims.claim == Claim(TERM, 5, 1, (0,))


def see_standby(node):
    """Its database is a standby after all."""
    found = a_check(0, ())._replace(in_recovery=True)
    node.parts.database.apply(found, node.facts.now)


def test_a_running_primary_claims_anew_what_was_claimed():
    """A claim of an earlier leader, which few have, might be newer in its own term else."""
    node = a_leader(Claim(4, 2, 1, (1, 2)))
    node.parts.synchronous.elected()
    node.parts.synchronous.begin(False)
    assert node.parts.claims.claim == Claim(TERM, 3, 1, (1, 2))


def test_in_mode_off_nothing_of_this_happens():
    node = a_leader(Claim(TERM, 1, 1, (1,)), SynchronousMode.OFF)
    saved(node)
    lasting(node, 1, 2)
    assert decide(node) is None
    node.parts.synchronous.hand_to(1)
    assert node.parts.claims.claim == Claim(TERM, 1, 1, (1,))
    assert node.consensus.state is NodeState.LEADER
