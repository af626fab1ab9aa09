"""What happened since the start of this daemon, counted for monitors; it decides nothing.

Labels are of closed lists: nobody on the network can make a new series.
"""

import collections
import time
import weakref
from typing import TYPE_CHECKING, Any, Counter, MutableMapping, Optional, Tuple

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon, Verdict
from ahmlib.core.policy.history import STOPPED
from ahmlib.core.requests import REQUESTS
from ahmlib.core.states import Role
from ahmlib.core.wanted import OVERTAKES, StepDown
from ahmlib.http import causes
from ahmlib.http.view import primary_row

if TYPE_CHECKING:
    from ahmlib.http.request import Request
    from ahmlib.runtime.driver import Driver

Pair = Tuple[str, str]
COMMANDS = frozenset(REQUESTS) | {'events', 'check', 'daemon'}
OTHER = 'other'
STEPPED_DOWN = OVERTAKES[StepDown]
#: An event of the history: another node's database began a timeline.  Its cause is the number.
TIMELINE = 'timeline'
VIP_COMMANDS = (effects.RaiseVip, effects.LowerVip, effects.AnnounceVip)


class Counters:
    """Counted of one Driver; `watch` is told of each event before the core is."""

    def __init__(self, driver: 'Driver', wall: Any = time.time) -> None:
        self._driver, self._wall = driver, wall
        self.checks: Counter[str] = collections.Counter()
        self.elections: Counter[str] = collections.Counter()
        self.hooks: Counter[Pair] = collections.Counter()
        self.requests: Counter[Pair] = collections.Counter()
        self.answers: Counter[Pair] = collections.Counter()     # of HTTP: path and code
        self.step_downs: Counter[str] = collections.Counter()       # by causes.OF_STEP_DOWNS
        self.stopped: Counter[str] = collections.Counter()          # by causes.OF_TAKEOVERS
        self.vip_failures = self.stale = 0
        #: Instants for people, in seconds since 1970; 0.0: never.
        self.majority_at = self.leader_changed_at = 0.0
        self._leader: Optional[int] = None
        self._timeline = 0              # of the newest primary that was led over or followed
        self._role = Role.FOLLOWS
        self._asked: MutableMapping[Any, str] = weakref.WeakKeyDictionary()

    def watch(self, event: Any) -> None:
        """This event is about to be handled."""
        if isinstance(event, events.DatabaseChecked):
            well = event.verdict is Verdict.REACHABLE and event.in_recovery is not None
            self.checks['ok' if well else 'failed'] += 1
        elif isinstance(event, events.ActionEnded):
            self._ended(event)
        elif isinstance(event, events.BeaconHeard):
            self.stale += self._is_stale(event.beacon)
        self._look(self._driver.node)

    def kept(self, kind: str, cause: str, text: str, steps: Any) -> None:
        """This goes into the history of events."""
        if kind == STEPPED_DOWN:
            self.step_downs[causes.of_step_down(cause)] += 1
        elif kind == STOPPED:
            self.stopped[causes.of_takeover(cause, text, steps)] += 1

    def _is_stale(self, row: Beacon) -> bool:
        """Whether a newer row of its sender has come already: it is late, or doubled."""
        peer = self._driver.node.consensus.members.peers.get(row.sender)
        if peer is None or peer.heard is None:
            return False
        incarnation, seq = peer.heard
        return row.incarnation in peer.past or row.incarnation == incarnation and row.seq <= seq

    def _ended(self, event: events.ActionEnded) -> None:
        effect = self._driver.node.out.waiting.get(event.token, (None,))[0]
        if isinstance(effect, effects.RunHook):
            self.hooks[effect.hook, 'ok' if event.ok else 'failed'] += 1
        elif isinstance(effect, VIP_COMMANDS) and not event.ok:
            self.vip_failures += 1

    def _look(self, node: Any) -> None:
        """Note what the event before this one has changed."""
        consensus = node.consensus
        role, before = consensus.role, self._role
        if role is not before:
            self._role = role
            if role is Role.ELECTED:
                self.elections['won'] += 1
            elif before is Role.STANDS:
                self.elections['lost'] += 1
        row = consensus.leader_row()
        leader = node.own if consensus.leads else None if row is None else row.sender
        if leader is not None and leader != self._leader:
            self._leader, self.leader_changed_at = leader, self._wall()
        if consensus.members.has_majority():
            self.majority_at = self._wall()
        primary = primary_row(node.parts)
        if primary is not None and primary.timeline > self._timeline:
            self._began(node, primary)

    def _began(self, node: Any, primary: Beacon) -> None:
        """Keep who began a timeline: its own event tells that at the node itself, and only there.

        Of one that was there when this daemon came it is not known when it began.
        """
        if self._timeline and primary.sender != node.own:
            self._driver.keep(TIMELINE, str(primary.timeline), '%s leads over a primary on '
                              'timeline %d' % (primary.name, primary.timeline), None, ())
        self._timeline = primary.timeline

    # -- who asks ------------------------------------------------------------------------------

    def asked(self, client: Any, request: Any) -> None:
        """A utility asked this."""
        command = request.get('ask')
        self._asked[client] = command if isinstance(command, str) and command in COMMANDS \
            else OTHER

    def answered(self, client: Any, message: Any) -> None:
        """It was answered so."""
        command = self._asked.pop(client, None)
        if command is not None:
            self.requests[command, 'ok' if message.get('ok') else 'refused'] += 1

    def http_answered(self, path: str, code: int) -> None:
        """An answer to a request by HTTP has begun to leave; `path` is of a closed list."""
        self.answers[path, str(code)] += 1


def path_label(request: 'Optional[Request]', known: Any) -> str:
    """The path of a request as a label: no stranger makes a series of his own."""
    return request.path if request is not None and request.path in known else OTHER
