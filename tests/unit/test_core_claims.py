"""What commits wait for, in terms of nodes, and how a change of it is claimed."""

import pytest

from ahmlib.core import events
from ahmlib.core.beacon import Claim, Verdict
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import Node
from ahmlib.core.policy.claims import joined
from ahmlib.core.states import DatabaseState, NodeState

from .rows import SYSTEM, elect, one_settings, row

NAMES = ('AHM-NODE-1', 'AHM-NODE-2', 'AHM-NODE-3')


def a_leader(claim=Claim(), names=NAMES):
    """Node 0 of three, which leads over a primary."""
    node = Node(one_settings(), Saved(claim=claim, names=names), 4711, 100.0)
    node.parts.database.apply(a_check(0, ()), 100.0)
    elect(node, 6)
    node.consensus.lead()
    return node


def a_check(needed, names, peers=(), lsn=1000):
    """A check of the primary, whose synchronous_standby_names lists these."""
    return events.DatabaseChecked(0, Verdict.REACHABLE, in_recovery=False, system_id=SYSTEM,
                                  timeline=1, lsn=lsn, sync_needed=needed, sync_names=names,
                                  sync_peers=peers)


def see(node, *checks):
    """Take these checks, and decide after each."""
    for check in checks:
        node.parts.claims.checked(check)
        node.parts.claims.decide()


def hear(node, *rows):
    """These nodes are in contact, and their rows are the newest."""
    node.consensus.members.sent(1, node.facts.now)
    for each in rows:
        heard = ((node.consensus.incarnation, 1), None, None)
        assert node.consensus.members.accept(each._replace(heard=heard))


def setting(node):
    """The setting that the newest check has shown."""
    return node.parts.claims._setting


def test_all_that_are_listed_count_whoever_is_connected():
    """One alone confirmed and died, and the claim became the others."""
    node = a_leader()
    see(node, a_check(1, ('AHM-NODE-2', 'AHM-NODE-3'), peers=(('AHM-NODE-3', '10.0.0.3'),)))
    assert setting(node)[:2] == (1, (1, 2)) and not setting(node).doubt


def test_a_setting_that_the_server_did_not_tell_is_not_none():
    node = a_leader()
    see(node, a_check(1, ('AHM-NODE-2',)), a_check(None, ()))
    assert setting(node)[:2] == (1, (1,))


def test_names_are_compared_as_the_server_does():
    node = a_leader()
    see(node, a_check(1, ('ahm-node-2',)))
    assert setting(node)[:2] == (1, (1,))


@pytest.mark.parametrize('names, peers', [
    (('*',), ()), (('*',), (('walreceiver', '10.0.0.2'),)), (('walreceiver',), ()),
    (('AHM-NODE-2', 'somebody'), ())])
def test_a_standby_that_may_be_any_is_all_of_them(names, peers):
    """It was read as "no synchronous standby", and one beside it was promoted."""
    node = a_leader()
    see(node, a_check(1, names, peers))
    assert setting(node)[:2] == (1, (1, 2))
    assert 'synchronous_standby_names' in node.parts.claims.doubt
    assert [effect.severity for effect in node.out.effects if effect.event == 'synchronous'] \
        == ['WARNING']


def test_a_name_that_nobody_gave_is_known_by_the_address_it_comes_from():
    node = a_leader()
    see(node, a_check(1, ('walreceiver',), (('walreceiver', '10.0.0.3'),)))
    assert setting(node)[:2] == (1, (2,)) and not node.parts.claims.doubt


def test_what_is_no_node_by_its_address_confirms_beside_the_nodes():
    node = a_leader()
    see(node, a_check(1, ('archive', 'AHM-NODE-2'), (('archive', '192.0.2.77'),)))
    assert setting(node)[:2] == (1, (1,))


def test_standbys_that_stream_over_a_network_of_their_own_are_not_taken_for_nobody():
    """Their addresses were no node's: "no synchronous standby", and one beside it was promoted."""
    node = a_leader()
    see(node, a_check(1, ('walreceiver',), (('walreceiver', '192.0.2.2'),
                                            ('walreceiver', '192.0.2.3'))))
    assert setting(node)[:2] == (1, (1, 2)) and 'walreceiver' in node.parts.claims.doubt


def test_who_is_its_own_standby_by_an_inherited_list_is_not():
    node = a_leader()
    see(node, a_check(1, ('AHM-NODE-1', 'AHM-NODE-3')))
    assert setting(node)[:2] == (1, (2,))


def test_nothing_is_claimed_before_so_many_have_what_was_there():
    node = a_leader()
    hear(node, row(1, lsn=900), row(2, lsn=1000))
    see(node, a_check(2, NAMES[1:]), a_check(2, NAMES[1:], lsn=1000))
    assert node.parts.claims.claim == Claim()
    hear(node, row(1, lsn=1000, seq=2))
    node.parts.claims.decide()
    assert node.parts.claims.claim == Claim(6, 1, 2, (1, 2))


def test_one_look_at_a_new_setting_does_not_show_that_all_sessions_obey_it():
    node = a_leader()
    hear(node, row(1, lsn=5000))
    see(node, a_check(1, NAMES[1:2]))
    assert node.parts.claims.claim == Claim()
    see(node, a_check(1, NAMES[1:2]))
    assert node.parts.claims.claim == Claim(6, 1, 1, (1,))


def test_between_two_settings_their_join_is_claimed():
    node = a_leader(Claim(6, 3, 1, (1,)))
    see(node, a_check(1, NAMES[2:]))
    assert node.parts.claims.claim == Claim(6, 4, 1, (1, 2))
    hear(node, row(2, lsn=1000))
    see(node, a_check(1, NAMES[2:]))
    assert node.parts.claims.claim == Claim(6, 5, 1, (2,))


def test_what_was_confirmed_counts_until_all_standbys_have_it_once_nobody_confirms_any_more():
    node = a_leader(Claim(6, 3, 1, (1,)))
    hear(node, row(2, lsn=900))
    see(node, a_check(0, ()), a_check(0, ()))
    assert node.parts.claims.claim == Claim(6, 3, 1, (1,))
    hear(node, row(2, lsn=1000, seq=2))
    node.parts.claims.decide()
    assert node.parts.claims.claim == Claim(6, 4, 0, ())


def test_a_new_leader_claims_what_was_claimed_before_with_what_its_database_is_set_to():
    node = a_leader(Claim(4, 9, 1, (0, 1)))
    node.parts.claims.checked(a_check(1, NAMES[2:]))
    node.parts.claims.begin()
    assert node.parts.claims.claim == Claim(6, 0, 1, (0, 1, 2))


def test_the_newest_claim_that_is_heard_is_kept_and_saved():
    node = a_leader(Claim(4, 9, 1, (1,)))
    node.parts.claims.learn(row(1, sync_term=4, sync_version=8, sync_needed=2, sync_nodes=(1, 2)))
    assert node.parts.claims.claim == Claim(4, 9, 1, (1,))
    node.parts.claims.learn(row(1, sync_term=5, sync_version=0, sync_needed=1, sync_nodes=(2,)))
    assert node.to_save().claim == Claim(5, 0, 1, (2,))


def test_a_leader_of_the_version_before_is_believed_as_it_was():
    node = a_leader()
    node.parts.claims.learn(row(1, state=NodeState.LEADER, database=DatabaseState.PRIMARY,
                          sync_needed=1, sync_nodes=(2,)))
    assert node.parts.claims.claim == Claim(0, 0, 1, (2,))


@pytest.mark.parametrize('before, needed, nodes, both', [
    (Claim(1, 1, 0, ()), 1, (1,), (0, ())), (Claim(1, 1, 2, (1, 2)), 0, (), (2, (1, 2))),
    (Claim(1, 1, 2, (1, 2)), 1, (2, 3), (1, (1, 2, 3)))])
def test_the_join_covers_both(before, needed, nodes, both):
    assert joined(before, needed, nodes) == both
