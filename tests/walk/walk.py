"""Breadth-first over every state of the world up to a bound."""

import gc
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ahmlib.core.consensus.saved import Saved

from .world import Bound, State, World

Name = Tuple[Any, ...]


class Walked(NamedTuple):
    """What came of a walk; `path` leads to what was violated, the first step first."""
    bound: Bound
    states: int
    steps: int
    depth: int
    seconds: float
    is_whole: bool              # nothing is left to be seen within the bound, however deep
    violated: Optional[AssertionError] = None
    path: Tuple[Name, ...] = ()

    def __str__(self) -> str:
        said = '%d nodes: %d states, %d steps, depth %d%s, %.1f s' % (
            self.bound.size, self.states, self.steps, self.depth,
            ' (all there is)' if self.is_whole else '', self.seconds)
        if self.violated is None:
            return said
        return '%s: %s\n    %s' % (said, self.violated, '\n    '.join(map(str, self.path)))


def walk(bound: Bound) -> Walked:
    """Walk until all is seen that lies within the bound, or something is violated."""
    collects, began = gc.isenabled(), time.time()
    gc.disable()        # nothing here goes round in circles
    try:
        return _Walk(bound).run(began)
    finally:
        if collects:
            gc.enable()


class _Walk:
    """One walk; `came`: from where each state was reached first, and by which step."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.world = bound, World(bound)
        self.came: Dict[State, Tuple[Optional[State], Name]] = {}
        self.steps = self.depth = 0
        self.at: Optional[State] = None
        self.by: Name = ()

    def run(self, began: float) -> Walked:
        """All of it."""
        violated, layer = None, []      # type: Optional[AssertionError], List[State]
        try:
            layer = [self._reached(state, None, (name,)) for name, state in begins(self.world)]
            while layer and self.depth < self.bound.depth:
                layer = self._beyond(layer)
                self.depth += 1
        except AssertionError as error:
            violated = error
        path = () if violated is None else tuple(self._path()) + (self.by,)
        return Walked(self.bound, len(self.came), self.steps, self.depth, time.time() - began,
                      not layer, violated, path)

    def _beyond(self, layer: List[State]) -> List[State]:
        """The states that are reached first by a step from these."""
        found, came = [], self.came
        for self.at in layer:
            self.by = ('the step after',)
            for name, state in self.world.steps(self.at):
                self.steps += 1
                if state not in came:
                    self.by = name
                    found.append(self._reached(state, self.at, name))
                    self.by = ('the step after',)
        return found

    def _reached(self, state: State, at: Optional[State], name: Name) -> State:
        self.world.lemmas.at(state.nodes)
        self.came[state] = at, name
        return state

    def _path(self) -> List[Name]:
        names, at = [], self.at
        while at is not None:
            at, name = self.came[at]
            names.append(name)
        return names[::-1]


# -- where walks begin -------------------------------------------------------------------------

def begins(world: World) -> Iterator[Tuple[str, State]]:
    """States from which a walk begins.  All can be reached from the first one."""
    state = _cold(world)
    yield 'all have just started', state
    everybody = [(one, 'hears', other) for one in world.places for other in world.places
                 if one != other]
    others = world.places[1:]
    state = played(world, state, everybody * 3 + [(0, 'looks, and stands')] + [
        name for other in others for name in ((other, 'hears', 0), (other, 'votes for', 0))])
    state = played(world, state, [(0, 'hears', other) for other in others] + [
        (other, 'hears', 0) for other in others] + everybody * 2 + [(0, 'lead')] + everybody * 2)
    yield 'node 0 leads', state
    if len(others) < 2:
        return
    away = played(world, state, [('a tick', None)] * world.bodies[0].hold
                   + [(1, 'hears', 2), (2, 'hears', 1)] * 2)
    yield 'node 0 was cut off', away
    yield 'node 1 is elected', played(world, away, [
        (0, 'stepped_down'), (1, 'looks, and stands'), (2, 'hears', 1), (2, 'votes for', 1),
        (1, 'hears', 2)])


def _cold(world: World) -> State:
    """All have just started; the state files of all say that nothing has been yet."""
    numbers = []
    for place in world.places:
        born = world.bodies[place].start(Saved(), 1, False)
        numbers.append(world.outcomes(place, world.intern(place, born))[0].number)
    return State(tuple(numbers), (), frozenset(), world.bound.faults)


def played(world: World, state: State, script: List[Name]) -> State:
    """The state after these steps, of which some may change nothing."""
    for name in script:
        state = next((after for step, after in world.steps(state)
                      if step[:len(name)] == name and not any(step[len(name):])), state)
    return state
