"""What a reviewer should see of a run: states, decisions with their reasons, deeds, and clients.

The idea is etcd raft's: a trace that is read is a test of what nobody thought of asserting.  So a
trace leaves out all that may change while the behaviour stays: beacons, checks, wake-ups, tokens,
incarnations, positions in the WAL, thousandths of seconds.  The recorder looks from outside, as a
lemma does: at the effects, at what the disks hold, and at the simulated hosts.
"""

import textwrap
from typing import Any, Dict, List, Optional, Tuple

from ahmlib.core import effects
from ahmlib.core.beacon import Record
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.simulation.host import Host
from ahmlib.simulation.lemma import Lemma
from ahmlib.simulation.lemmas import LEMMAS
from ahmlib.simulation.world import World

COLUMNS = 100
#: Added before an instant is cut to hundredths: most things happen at whole hundredths of a
#: millisecond, so the last digit of a float does not decide which hundredth is shown.
ROUNDING_SECONDS = 0.000005

#: Effects that change the world, in words.  An effect that only looks is not in a trace.
DEEDS = {
    effects.RaiseVip: 'raise the VIP',
    effects.LowerVip: 'lower the VIP',
    effects.RunHook: 'run {hook}',
    effects.Promote: 'promote the database',
    effects.StopDatabase: 'stop the database ({mode})',
    effects.StartDatabase: 'start the database',
    effects.LeaveStandbySignal: 'leave a standby.signal',
    effects.FollowPrimary: 'point the database to {leader}',
    effects.AttachDatabase: 'attach the database to {leader}',
    effects.CheckpointDatabase: 'checkpoint the database',
}


class RecordedWorld(World):
    """A world that tells its story in lines of (instant, who, what)."""

    def __init__(self, settings: Any, **world: Any) -> None:
        self.told: List[Tuple[float, str, str]] = []
        super().__init__(settings, lemmas=LEMMAS + (Recorder,), **world)

    def note(self, host: Host, text: str) -> None:
        """One line of the trace: a fault, a report, or what a command has done."""
        super().note(host, text)
        self.tell(host.settings.name, text)

    def tell(self, who: str, what: str) -> None:
        """One line of the story."""
        self.told.append((self.now, who, what))

    def name_of(self, place: Optional[int]) -> str:
        """The name of the node of this place, if it is one."""
        return 'nobody' if place is None else self.hosts[place].settings.name


class Recorder(Lemma):
    """It checks nothing, and tells what the world itself does not tell."""

    watches = tuple(DEEDS) + (effects.Report,)
    watches_steps = watches_events = watches_disks = True

    def __init__(self, world: RecordedWorld) -> None:
        super().__init__(world)
        self.served = ''
        self.states: Dict[str, Tuple[int, str]] = {}    # by node: its life, its last 'state' report
        self.wanted: List[Tuple[str, str]] = []

    def performed(self, host: Host, effect: Any) -> None:
        """A deed is wanted: told behind all that is reported with it, however the core orders them.

        Reports are lines of the world already.
        """
        if not isinstance(effect, effects.Report):
            words = dict(effect._asdict())
            if 'leader' in words:
                words['leader'] = self.world.name_of(words['leader'])
            self.wanted.append((host.settings.name,
                                'wants: ' + DEEDS[type(effect)].format(**words)))
        elif effect.event == 'state':
            self.states[host.settings.name] = host.life, effect.text

    def handled(self, host: Host, event: Any) -> None:
        """A state that changed without a report is told all the same."""
        name, state = host.settings.name, host.node.state.name
        life, text = self.states.get(name, (0, ''))
        if life != host.life:
            text = '-> INITIALIZING:'       # no report says what every daemon begins with
        if '-> %s:' % state not in text:
            self.world.tell(name, 'state: %s, and no report says why' % state)
            text = '-> %s:' % state
        self.states[name] = host.life, text
        self._tell_wanted()

    def _tell_wanted(self) -> None:
        for name, text in self.wanted:
            self.world.tell(name, text)
        self.wanted.clear()

    def saved(self, host: Host, saved: Saved) -> None:
        """What this state changes on the disk, of what the safety argument rests on."""
        before, after = self._words(host.saved or Saved()), self._words(saved)
        changed = [word for word, old in zip(after, before) if word != old]
        if changed:
            self.world.tell(host.settings.name, 'on disk: ' + ', '.join(changed))

    def _words(self, saved: Saved) -> List[str]:
        name_of = self.world.name_of
        vote = 'spent' if saved.voted_for == SPENT else 'for ' + name_of(saved.voted_for)
        return ['term %d' % saved.term, 'vote ' + vote, 'leader ' + name_of(saved.leader),
                'record ' + self._record(saved.record)]

    def _record(self, record: Optional[Record]) -> str:
        if record is None:
            return 'empty'
        return '%s on timeline %d' % (self.world.name_of(record.node), record.timeline)

    def step(self) -> None:
        """Whether clients can write, and where, has changed."""
        self._tell_wanted()     # of a daemon that ended: it has handled nothing more
        served = ' and '.join(host.settings.name for host in self.world.hosts
                              if self.world.serves_clients(host))
        if served != self.served:
            self.served = served
            self.world.tell('clients', 'write on %s' % served if served else 'cannot write')


def ending(world: RecordedWorld) -> None:
    """Tell how each host stands at the end."""
    for host in world.hosts:
        daemon = 'no power' if not host.powered else 'no daemon' if host.node is None \
            else host.node.state.name
        words = [daemon, 'term %d' % (host.saved or Saved()).term]
        words += ['holds the VIP'] if host.has_vip else []
        if host.database is not None:
            upstream = world.upstream_of(host)
            words.append('no database runs' if not host.database.running
                         else 'primary on timeline %d' % host.database.timeline
                         if not host.database.in_recovery
                         else 'streams from nobody' if upstream is None
                         else 'streams from ' + [other.settings.name for other in world.hosts
                                                 if other.database is upstream][0])
        world.tell(host.settings.name, 'at the end: ' + ', '.join(words))


def lines_since(world: RecordedWorld, began: float) -> List[str]:
    """The story from this instant on, as the lines of a file; instants count from there."""
    lines: List[str] = []
    for at, who, what in world.told:
        if at >= began:
            hundredths = int((at - began + ROUNDING_SECONDS) * 100)
            head = '%7.2f %-8s' % (hundredths / 100, who)
            lines += textwrap.wrap(what, COLUMNS, initial_indent=head,
                                   subsequent_indent=' ' * (len(head) + 4),
                                   break_long_words=False, break_on_hyphens=False)
    return lines
