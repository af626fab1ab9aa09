"""One cluster, one fault, one outcome: what an operator's own configuration does when it matters.

The settings of all nodes follow from the configuration of one of them and its nodes.conf.  The
cluster is formed in a simulated world, the fault strikes at an instant that the seed decides, and
the world runs until clients are served again or a limit is reached.  What happened is observed as
clients would see it; a lemma that does not hold ends the run and is part of its outcome.

Clients reach every running host that has the VIP, also one that is cut off from the other nodes;
fencing scripts work, also over a network that is cut.
"""

from random import Random
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.config.timing import failover_intervals
from ahmlib.core.settings import Settings, split_address
from ahmlib.core.states import NodeState
from ahmlib.runtime.settings import core_settings
from ahmlib.simulation.clients import WRITE_SECONDS
from ahmlib.simulation.faults import FAULTS, is_harmless, strike
from ahmlib.simulation.host import Host
from ahmlib.simulation.network import Network
from ahmlib.simulation.world import Broken, World

Steps = Tuple[Tuple[float, str, int], ...]

#: Ordinary faults, from which random runs draw.
ORDINARY = ('power-off', 'cut', 'cut-between', 'part', 'mute', 'deafen', 'crash', 'freeze',
            'kill-database', 'hang-database', 'crash-recovery', 'stop', 'restart')
ON_DATABASES = ('kill-database', 'hang-database', 'crash-recovery')

#: (fault or the beginning of its name, what the settings of its node are asked, in words): without
#: that nothing happens.
NEEDS = tuple(
    [(name, lambda item: not item.witness, 'a node with a database') for name in ON_DATABASES + (
        'thaw-database', 'start-database', 'stop-replication', 'fail-checks',
        'stop-slow', 'stop-fails', 'promote-', 'demote-by-hand', 'start-fails', 'follow-fails',
        'signal-fails')]
    + [(name, lambda item: item.vip, 'a configuration with virtual_IP')
       for name in ('vip-', 'drop-vip', 'answer-for-vip')]
    + [(name, lambda item: item.trusted, 'a configuration with trusted_servers')
       for name in ('lose-trusted', 'reach-trusted')]
    + [('hook-lies', lambda item: item.pre_promotion,
        'a configuration with pre_promotion_command')])
#: How often a random fault strikes the leader's node.
LEADER_SHARE = 2 / 3

#: Which failover window is about this fault; the others have none of their own.
WINDOWS = {'kill-database': 'database_refusing', 'hang-database': 'database_hanging'}
WINDOWS.update((name, 'lost_node') for name in (
    'power-off', 'cut', 'cut-between', 'part', 'mute', 'deafen', 'crash', 'freeze'))

#: The takeover and a clock that is slow by the most that is allowed for, on top of a window.
TAKEOVER_SECONDS, SLOW_CLOCK = 10.0, 1.1
LIMIT_FACTOR = 3
FORM_SECONDS = 30.0
#: Shorter pauses than this between two rows are no outage.
OUTAGE_LEAST = 2.5 * WRITE_SECONDS

CLIENTS = 'clients'
TWO_PRIMARIES = 'two primaries'


class Impossible(Exception):
    """No cluster can be formed of this configuration; the message says why and what to do."""


class Event(NamedTuple):
    """One line of the timeline; `seconds` count from the fault."""
    seconds: float
    node: str
    text: str


class Served(NamedTuple):
    """Clients wrote on this node; seconds from the fault, the first time from 0."""
    node: str
    since: float
    until: float


class Outcome(NamedTuple):
    """What one run came to.  Instants and durations in seconds."""
    fault: str                              # the schedule in words
    node: str                               # whom its first fault struck
    struck_leader: bool
    at: float                               # of the fault, on the world's clock
    write_outage_seconds: Optional[float]   # None: writes did not come back
    outage_from: Optional[float]            # since the fault; None without an outage
    two_primaries_seconds: float
    lost_rows: Optional[int]                # None: there is no primary to ask
    recovered: bool
    why_not: str
    remark: str
    broken: str                             # the lemma that did not hold, and how
    watched: float                          # for how long, from the fault
    seed: int
    plan: Steps
    served: Tuple[Served, ...]
    timeline: Tuple[Event, ...]


class ObservedWorld(World):
    """A world that keeps its trace as data."""

    def __init__(self, settings: List[Settings], seed: int, primary: int) -> None:
        self.told: List[Tuple[float, str, str]] = []
        super().__init__(settings, seed, primary)
        self.network = Network(self.random)

    def note(self, host: Host, text: str) -> None:
        """One line of the trace, kept with its instant."""
        super().note(host, text)
        self.told.append((self.now, host.settings.name, text))

    def serving(self) -> List[Host]:
        """The hosts on which clients can write now."""
        return [host for host in self.hosts if self.serves_clients(host)]


# -- the cluster -------------------------------------------------------------------------------

def cluster_settings(config: Any, witnesses: Sequence[int] = ()) -> List[Settings]:
    """Settings of every node, by place; `witnesses` are indices into nodes.conf.

    All is as in `config` but what is a node's own: its place, name, priority, and whether it is a
    witness.
    """
    own, own_index = core_settings(config), config.nodes.own
    names = node_names(config)
    made = []
    for index, place in enumerate(own.order):
        mine = index == own_index
        made.append(own._replace(
            name=names[index], own=place, priority=own.priority if mine else index + 1,
            witness=index in witnesses or (mine and own.witness)))
    return sorted(made, key=lambda settings: settings.own)


def node_names(config: Any) -> List[str]:
    """A name for every node in the order of nodes.conf; only the own one is known."""
    names = ['AHM-NODE-%d' % (index + 1) for index in range(len(config.nodes.entries))]
    if config.node_name in names:
        # The name that the own node takes away: its owner gets the one that becomes free.
        names[names.index(config.node_name)] = names[config.nodes.own]
    names[config.nodes.own] = config.node_name
    return names


def first_primary(settings: Sequence[Settings]) -> int:
    """The place of the first node of nodes.conf that has a database."""
    for place in settings[0].order:
        if not settings[place].witness:
            return place
    raise Impossible('found only witnesses, expected a node with a database; name fewer witnesses')


def find_node(settings: Sequence[Settings], text: str) -> Optional[int]:
    """The place of the node with this name, address, or host that only one address has."""
    for place, item in enumerate(settings):
        if text in (item.name, item.addresses[place]):
            return place
    hosts = [place for place in range(len(settings))
             if split_address(settings[0].addresses[place])[0] == text.strip('[]')]
    return hosts[0] if len(hosts) == 1 else None


# -- the schedule ------------------------------------------------------------------------------

def run_seed(seed: int, number: int) -> int:
    """The seed of run `number` of many that begin with `seed`."""
    return Random('run %d of %d' % (number, seed)).randrange(2 ** 32)


def draw(settings: Sequence[Settings], seed: int) -> Steps:
    """A random ordinary fault; the seed decides which, and whom it strikes."""
    random = Random('plan %d' % seed)
    fault, leader = random.choice(ORDINARY), first_primary(settings)
    others = [place for place, item in enumerate(settings)
              if place != leader and not (item.witness and fault in ON_DATABASES)]
    struck = leader
    if others and random.random() > LEADER_SHARE:
        struck = random.choice(others)
    steps = [(0.0, fault, struck)]
    if fault == 'freeze':
        steps.append((round(random.uniform(0, 2 * settings[0].timing.hold), 3), 'thaw', struck))
    if fault == 'cut' and settings[0].trusted:
        # A host that is cut off from all others reaches no router either.
        steps.append((0.0, 'lose-trusted', struck))
    return tuple(steps)


def missing(fault: str, item: Settings) -> str:
    """What this fault needs to have an effect on a node with these settings; empty: nothing."""
    for name, is_there, text in NEEDS:
        if (fault == name or (name.endswith('-') and fault.startswith(name))) \
                and not is_there(item):
            return text
    return ''


def words(settings: Sequence[Settings], plan: Steps) -> str:
    """The schedule as it is typed after --fault."""
    return ', '.join('%s %s%s' % (fault, settings[node].name, ' after %.6g' % gap if gap else '')
                     for gap, fault, node in plan)


def window_of(config: Any, fault: str) -> Any:
    """The failover window that AHM computes for this fault, or None."""
    return getattr(failover_intervals(config), WINDOWS[fault]) if fault in WINDOWS else None


# -- one run -----------------------------------------------------------------------------------

def run(config: Any, settings: List[Settings], plan: Steps, seed: int) -> Outcome:
    """Form the cluster, let the plan happen, watch; the same seed gives the same run."""
    leader = first_primary(settings)
    world, struck_at, broken = ObservedWorld(settings, seed, leader), None, ''
    try:
        _form(world, leader)
        struck_at = world.now + plan[0][0]
        _happen(world, plan)
        _watch(world, config, plan)
    except Broken as error:
        broken = '%s: %s' % (error.lemma.title, error.what)
    at = world.now if struck_at is None else min(struck_at, world.now)
    return _outcome(world, plan, at, broken, seed)


def _form(world: ObservedWorld, leader: int) -> None:
    settings = world.settings
    world.start_all()
    limit = 3 * settings.timing.hold + settings.wait_for_primary + FORM_SECONDS
    if not world.run_until(lambda: world.serves() == leader, limit):
        raise Impossible('found a cluster that never forms: %s, expected that %s leads; correct '
                         'the configuration' % (_why_not(world), settings_name(world, leader)))
    world.run(settings.timing.hold + 1)
    world.run(world.random.uniform(0, settings.interval + settings.health_check_period))


def settings_name(world: World, place: int) -> str:
    """The name of the node at this place."""
    return world.hosts[place].settings.name


def _happen(world: ObservedWorld, plan: Steps) -> None:
    world.harmless = is_harmless(world, plan)
    for gap, fault, node in plan:
        world.run(gap)
        strike(world, fault, node)


def _watch(world: ObservedWorld, config: Any, plan: Steps) -> None:
    """Let pass what AHM needs at most to notice, then what it takes until clients are served.

    Two primaries do not end by themselves, so there is nothing to wait for once they were seen.
    """
    windows = [window_of(config, fault) for _, fault, _ in plan]
    if not any(windows):
        windows = list(failover_intervals(config))
    most = max(window.most for window in windows if window)
    world.run(SLOW_CLOCK * most + TAKEOVER_SECONDS)
    limit = LIMIT_FACTOR * max(window.most for window in failover_intervals(config)) \
        + config.wait_for_primary_timeout_seconds
    world.run_until(lambda: world.serves() is not None
                    or world.clients.two_primaries_seconds > 0, limit)
    world.run(OUTAGE_LEAST)     # a row or two by the new primary


# -- what came of it ---------------------------------------------------------------------------

def _outcome(world: ObservedWorld, plan: Steps, at: float, broken: str, seed: int) -> Outcome:
    names, serving = [host.settings for host in world.hosts], world.serving()
    outage, since = _outage(world, at)
    recovered = len(serving) == 1 and outage is not None and not broken
    lost = [world.clients.lost_by(host.settings.own) for host in serving]
    struck = plan[0][2]
    return Outcome(
        words(names, plan), names[struck].name, struck == first_primary(names), round(at, 3),
        outage, since, round(world.clients.two_primaries_seconds, 3),
        min(lost) if lost else None, recovered,
        '' if recovered else _why(world, serving, broken),
        _remark(world, serving) if recovered else '', broken, round(world.now - at, 3), seed, plan,
        _served(world, at), _timeline(world, at, outage, since))


def _outage(world: ObservedWorld, at: float) -> Tuple[Optional[float], Optional[float]]:
    """(the longest time without a row or None without an end, since when after the fault)."""
    begin, end = world.clients.gap_after(at)
    if (world.now if end is None else end) - begin < OUTAGE_LEAST:
        return 0.0, None
    since = round(max(begin - at, 0.0), 3)
    return (None if end is None else round(end - begin, 3)), since


def _why(world: ObservedWorld, serving: List[Host], broken: str) -> str:
    if broken:
        return 'a lemma did not hold'
    if len(serving) > 1:
        return '%s: %s' % (TWO_PRIMARIES,
                           ' and '.join(host.settings.name for host in serving))
    return _why_not(world)


def _why_not(world: World) -> str:
    """What the living node that sees most of the others says of nobody's leading."""
    living = [host.node for host in world.hosts if host.node is not None and not host.paused]
    if not living:
        return 'no AHM daemon runs'
    node = max(living, key=lambda node: (len(node.consensus.contact_rows()),
                                         not node.settings.witness))
    if len(node.consensus.contact_rows()) < node.facts.votes_needed:
        return 'no majority of the nodes is in contact'
    if node.leads:
        return node.out.problem or '%s leads, and clients cannot write there' % node.settings.name
    return node.out.problem or node.parts.candidate.describe()[1]


def _remark(world: ObservedWorld, serving: List[Host]) -> str:
    if world.serves() is not None:
        return ''
    host = serving[0]
    if host.node is None or host.paused:
        return 'the primary serves on without its AHM'
    others = [other.settings.name for other in world.hosts if other is not host
              and other.node is not None and other.node.state is NodeState.LEADER]
    if others:
        return '%s says that it leads, and serves no clients' % ' and '.join(others)
    return 'the primary serves on, and nobody leads: %s' % _why_not(world)


def _timeline(world: ObservedWorld, at: float, outage: Optional[float],
              since: Optional[float]) -> Tuple[Event, ...]:
    found = [Event(round(when - at, 3), name, text.replace('--- ', 'FAULT: '))
             for when, name, text in world.told if when >= at]
    if since is not None:
        found.append(Event(since, CLIENTS, 'cannot write any more'))
        if outage is not None:
            found.append(Event(round(since + outage, 3), CLIENTS, 'write again'))
    found += _split_events(world, at)
    return tuple(sorted(found, key=lambda event: event.seconds))


def _served(world: ObservedWorld, at: float) -> Tuple[Served, ...]:
    """Where and when clients wrote, without pauses that are no outage."""
    found: List[Served] = []
    now: Dict[int, int] = {}        # by node: where its last stretch is in `found`
    for row in world.clients.acknowledged:
        since = round(row.at - at, 3)
        place = now.get(row.node)
        if since < 0:
            continue
        if place is not None and since - found[place].until < OUTAGE_LEAST:
            found[place] = found[place]._replace(until=since)
        else:
            now[row.node] = len(found)
            found.append(Served(settings_name(world, row.node), since, since))
    return tuple(found)


def _split_events(world: ObservedWorld, at: float) -> List[Event]:
    """When two hosts took writes at the same instant for the first and for the last time."""
    rows = world.clients.acknowledged
    both = [(row.at, before.node, row.node) for before, row in zip(rows, rows[1:])
            if before.at == row.at]
    if not both:
        return []
    first, last = both[0], both[-1]
    names = [settings_name(world, node) for node in first[1:]]
    found = [Event(round(first[0] - at, 3), CLIENTS, 'write on %s: %s and %s'
                   % (TWO_PRIMARIES, names[0], names[1]))]
    if last[0] < world.now - OUTAGE_LEAST:
        found.append(Event(round(last[0] - at, 3), CLIENTS, 'write on one primary again'))
    return found


def descriptions() -> List[Tuple[str, str]]:
    """(fault, what it does) of every fault."""
    return sorted((name, (fault.__doc__ or '').strip()) for name, fault in FAULTS.items())
