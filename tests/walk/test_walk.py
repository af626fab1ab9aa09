"""Every state of consensus up to a bound keeps the lemmas; and each mutant is found."""

import pytest

from ahmlib.core.consensus.follower import Follower
from ahmlib.core.states import Role

from .body import UNREAD
from .bounds import QUICK, WHOLE
from .frozen import Frozen
from .lemmas import Violated
from .mutants import MUTANTS, Mutant, Patch, planted
from .walk import begins, played, walk
from .world import Bound, Faults, World


@pytest.mark.parametrize('bound', QUICK, ids=lambda bound: bound.said())
def test_no_state_within_the_bound_violates_a_lemma(bound):
    found = walk(bound)
    print(bound.said(), found, sep=': ')
    assert found.violated is None, str(found)
    assert found.states > 1000, 'a walk that goes nowhere shows nothing'


@pytest.mark.parametrize('mutant', MUTANTS, ids=lambda mutant: mutant.name)
def test_the_walk_finds_this_fault(mutant):
    with planted(mutant):
        found = walk(mutant.bound)
    assert getattr(found.violated, 'lemma', None) in mutant.lemmas, str(found)


def left_and_is_back(world):
    """Node 2 never took the row of node 1, so it finds an election due, and node 0 hears that."""
    return played(world, dict(begins(world))['node 1 is elected'], [
        (0, 'hears', 1), (1, 'hears', 0), (0, 'leaves for good'), (0, 'exits'), (0, 'starts'),
        (2, 'hears', 0), (0, 'hears', 2)])


def test_who_left_for_good_and_is_back_still_backs_the_lease_of_a_leader_that_did_not_hear_it():
    """It was freed at once."""
    world = World(Bound(3, faults=Faults(leaves=1)))
    state = left_and_is_back(world)
    world.lemmas.at(state.nodes)
    assert world.bodies[1].leads_on(world.nodes[state.nodes[1]])
    assert world.nodes[state.nodes[0]].owed.leader == 1
    state = played(world, state, [('a tick', None)] * world.bodies[0].hold + [
        (2, 'hears', 0), (0, 'hears', 2)])
    world.lemmas.at(state.nodes)
    assert world.nodes[state.nodes[0]].owed.leader is None, 'it is freed in the end'


def test_a_lemma_sees_who_left_for_good_freed_at_once():
    """As a mutant of R36; the walk of `make walk` goes as far as this by itself."""
    freed = Mutant('who left is freed at once', (8, 9), Bound(3, faults=Faults(leaves=1)), (
        Patch(Follower, '_frees', 'return self.facts.reached(self.promise.until)', 'return True'),))
    with planted(freed):
        world = World(freed.bound)
        with pytest.raises(Violated) as violated:
            world.lemmas.at(left_and_is_back(world).nodes)
    assert violated.value.lemma in freed.lemmas


def test_two_nodes_are_walked_to_the_end():
    assert walk(QUICK[0]).is_whole


def test_a_walk_begins_where_it_says():
    world = World(Bound(3))
    roles = {name: [world.nodes[number].role for number in state.nodes]
             for name, state in begins(world)}
    assert roles == {
        'all have just started': [Role.FOLLOWS] * 3,
        'node 0 leads': [Role.LEADS, Role.FOLLOWS, Role.FOLLOWS],
        'node 0 was cut off': [Role.RETREATS, Role.FOLLOWS, Role.FOLLOWS],
        'node 1 is elected': [Role.FOLLOWS, Role.ELECTED, Role.FOLLOWS]}


def test_a_thawed_node_freezes_to_what_it_was():
    for name, _ in begins(World(Bound(3))):
        world = World(Bound(3))
        again = dict(begins(world))[name]
        for body, number in zip(world.bodies, again.nodes):
            node = world.nodes[number]
            assert isinstance(node, Frozen)
            body.thaw(node)
            assert body.freeze(node) == node


#: What `body` thaws and freezes, and what it leaves out: what follows from the rest, or is told to
#: people, or belongs to what the walk is without.
ATTRIBUTES = {
    'ballot': 'facts leader leads out pending_until role state steps_down term voted_for',
    'contest': 'ballot due due_only facts follower members out promise ready '
               'speaker stand_after stand_until tenure tie_break why_not',
    'follower': 'ballot facts followed lost_at members out promise speaker tenure',
    'members': '_alive _changes _counted _in_touch _living _two_way _were_alive facts incarnation '
               'peers regained_at sent_at',
    'promise': 'blind blind_until bound facts free_for hold incarnation leader reigned seq until',
    'speaker': 'answered_at answers disk facts members out refused round_at said save_retry_at '
               'saving_since sent_at seq try_at unsaved_since wanted',
    'tenure': 'acting ballot facts lease members out reigns speaker tie_break',
    'tie_break': 'facts members promise reached_at since',
}


@pytest.mark.parametrize('part', ATTRIBUTES)
def test_the_walk_knows_all_that_consensus_remembers(part):
    consensus = World(Bound(3)).bodies[0].consensus
    assert sorted(vars(getattr(consensus, part))) == ATTRIBUTES[part].split(), \
        'what is new has to be thawed and frozen, or nothing may depend on it'


def test_the_walk_knows_all_parts_and_what_they_are_made_of():
    consensus = World(Bound(3)).bodies[0].consensus
    assert sorted(vars(consensus)) == sorted(list(ATTRIBUTES) + ['facts', 'farewell',
                                                                 'incarnation'])
    assert sorted(vars(consensus.tenure.lease)) == [
        'acked', 'counts_from', 'facts', 'left', 'returned_at', 'tie_break']
    assert sorted(vars(consensus.members.peers[1])) == [
        'heard', 'heard_at', 'past', 'row', 'row_at']


def test_what_is_left_out_of_a_row_trips_who_reads_it():
    for reads in (lambda: UNREAD == 1, lambda: UNREAD < 1, lambda: bool(UNREAD), lambda: UNREAD[0]):
        with pytest.raises(AssertionError):
            reads()


@pytest.mark.parametrize('bound', [bound for bound in QUICK + WHOLE if bound.rates],
                         ids=lambda bound: bound.said())
def test_where_clocks_differ_some_count_more_ticks(bound):
    assert len({body.hold for body in World(bound).bodies}) == 2


def test_the_whole_bound_has_all_kinds_of_faults():
    for kind in QUICK[0].faults._fields:
        for bounds in (QUICK, WHOLE):
            assert any(getattr(bound.faults, kind) for bound in bounds), kind
