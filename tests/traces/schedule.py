"""The head of a trace file: a cluster and what happens to it, as text that people read and write.

    # What the story is about; the rest of the comment says what to look at.
    cluster: alpha, beta, gamma (witness)
    with:    half votes, a trusted server
    begins:  formed
    plan:
        +1.0  alpha  power-off
        +9.0  end

`begins: formed` is a cluster that alpha leads over the primary with the VIP; `begins: down` is one
whose databases run and whose daemons do not.  A line of the plan is a fault or an operator's wish
of `ahmlib.simulation.faults`, so many seconds after the line before it.

Nothing is left to chance: clocks run alike, datagrams take fixed times, daemons start at fixed
instants.  So a trace does not change because somebody draws one random number more.  Nor do two
things happen at the same instant, where the last digit of a float would decide what comes first:
datagrams take a little longer between one pair of hosts than between another, and daemons start at
odd instants.
Plans see to that with gaps that are no multiples of the interval (0.5 s) after a daemon's start.
"""

from functools import partial
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

from ahmlib.core.settings import Settings
from ahmlib.simulation.faults import FAULTS, strike
from ahmlib.simulation.host import make_settings
from ahmlib.simulation.network import Network

from .recorder import RecordedWorld, ending, lines_since

#: What can stand behind `with:`, and the settings that it means.
OPTIONS: Dict[str, Dict[str, Any]] = {
    'half votes': {'half_votes': True},
    'a trusted server': {'trusted': True},
    'a fencing script': {'pre_promotion': True},
    'auto_attach': {'auto_attach': True},
}
WITNESS = ' (witness)'
KEYS, END = ('cluster', 'with', 'begins', 'plan'), 'end'
BEGINNINGS = ('formed', 'down')
#: A formed cluster is as old as this when its plan begins.
FORMED_SECONDS = 10.0
#: When the first daemon of a formed cluster starts, and how far apart the others do.
FIRST_SECONDS, APART_SECONDS = 0.0131, 0.0371
#: How long a datagram takes, and how much longer with each place of its target and of its source.
DELAY_SECONDS, TARGET_SECONDS, SOURCE_SECONDS = 0.001, 0.0001, 0.00003


class Unreadable(ValueError):
    """The head of a trace file says something that nobody understands."""


class PlainNetwork(Network):
    """A network that loses nothing by itself, and takes a fixed time for each pair of hosts."""

    def arrivals(self, source: int, target: int, for_all: bool = False) -> Tuple[float, ...]:
        """After how many seconds a datagram arrives: never, or once."""
        arrives = super().arrivals(source, target, for_all)
        seconds = DELAY_SECONDS + target * TARGET_SECONDS + source * SOURCE_SECONDS
        return (seconds,) if arrives else ()


class Schedule(NamedTuple):
    """One cluster, and what happens to it: (seconds after the step before, fault, place)."""
    settings: Tuple[Settings, ...]
    is_formed: bool
    steps: Tuple[Tuple[float, str, int], ...]


def parse(head: List[str]) -> Schedule:
    """The schedule of these lines."""
    values: Dict[str, str] = {}
    steps: List[List[str]] = []
    for line in (line.strip() for line in head if not line.startswith('#')):
        if line.startswith('+'):
            steps.append(line[1:].split())
        elif line:
            key, _, value = line.partition(':')
            values[_known(key, KEYS)] = value.strip()
    if not steps or steps[-1][1:] != [END]:
        raise Unreadable('found no end; a plan ends with "+SECONDS end"')
    settings = _settings(values['cluster'], values.get('with', ''))
    names = [item.name for item in settings]
    return Schedule(settings, _known(values['begins'], BEGINNINGS) == 'formed',
                    tuple(_step(step, names) for step in steps))


def _known(word: str, words: Iterable[str]) -> str:
    if word not in words:
        raise Unreadable('found "%s", expected one of: %s' % (word, ', '.join(sorted(words))))
    return word


def _settings(cluster: str, options: str) -> Tuple[Settings, ...]:
    nodes = [node.strip() for node in cluster.split(',')]
    changes: Dict[str, Any] = {}
    for option in filter(None, (option.strip() for option in options.split(','))):
        changes.update(OPTIONS[_known(option, OPTIONS)])
    witnesses = [place for place, node in enumerate(nodes) if node.endswith(WITNESS)]
    made = make_settings(len(nodes), witnesses=witnesses, **changes)
    return tuple(item._replace(name=node.replace(WITNESS, '')) for item, node in zip(made, nodes))


def _step(words: List[str], names: List[str]) -> Tuple[float, str, int]:
    if words[1:] == [END]:
        return float(words[0]), END, 0
    gap, name, fault = words
    return float(gap), _known(fault, FAULTS), names.index(_known(name, names))


def run(schedule: Schedule, seed: int = 0) -> List[str]:
    """The trace that this schedule gives."""
    world = RecordedWorld(list(schedule.settings), seed=seed, skewed=False)
    world.network = PlainNetwork(world.random)
    if schedule.is_formed:
        for place in range(len(world.hosts)):
            world.at(FIRST_SECONDS + place * APART_SECONDS, partial(world.start, place))
        world.run(FORMED_SECONDS)
        assert world.serves() == 0, '\n'.join(world.trace)
    began = world.now
    for gap, fault, place in schedule.steps:
        world.run(gap)
        if fault != END:
            strike(world, fault, place)
    ending(world)
    return lines_since(world, began)
