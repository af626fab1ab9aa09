"""The history of events of one node: numbered, kept in memory and in a file, and given to who asks.

An event gets its number as a message gets a Lamport stamp: one more than any that this node has
given, or has heard of in a row.  So what follows from an event of another node has a higher number,
and (term, seq) is an order across nodes, whatever their clocks say.

The loop waits for no disk.  What cannot be written is counted; once it can be again, one event says
how many are missing in the file.  No kind of event may push the others out: of each so many an hour
are kept, and then one says how many were not.
"""

import collections
import datetime
import time
from typing import Any, Callable, Counter, Deque, Dict, Iterable, List, Optional, Tuple

from ahmlib.runtime.event_file import Event, EventWriter
from ahmlib.runtime.loop import Clock

SCHEMA = 1
#: In memory: what is given to who asks; and of that in one answer.
TAIL_MAX, PAGE_MAX = 2000, 200
#: Of one kind, in a time.
KIND_MAX, KIND_SECONDS = 100, 3600.0
#: Between two tries to write, while that fails.
RETRY_SECONDS = 10.0
#: A number beyond is no other daemon's: JSON readers take no larger one.
SEQ_MAX = 2 ** 53 - 1
TEXT_MAX = 2000
LOST = 'events lost'

Steps = Iterable[Tuple[str, float, float]]


class History:
    """What happened at this node.

    term: gives the present term.  on_trouble(text): why events are lost, '' where none are any
    more.  wall: the time for people.
    """

    def __init__(self, writer: EventWriter, node: str, clock: Clock, term: Callable[[], int],
                 on_trouble: Callable[[str], None], wall: Clock = time.time) -> None:
        self.seq = 0
        self.kinds: Counter[str] = collections.Counter()    # how often each came since the start
        #: Is told of each event, kept or not: its kind, cause, text and steps.
        self.watch: Callable[[str, str, str, Steps], None] = lambda *event: None
        self.lost = 0           # events that are not in the file, and of which it does not tell yet
        self._writer, self._node, self._clock, self._term = writer, node, clock, term
        self._on_trouble, self._wall = on_trouble, wall
        self._tail: Deque[Event] = collections.deque(maxlen=TAIL_MAX)
        self._term_seen = 0
        self._retry_at: Optional[float] = None
        self._told = ''
        #: By kind: since when it is counted, how many were kept since, how many were not.
        self._counts: Dict[str, Tuple[float, int, int]] = {}

    def go_on(self, events: Iterable[Event]) -> None:
        """Take along what is in the file; numbers go on from there."""
        self._tail.extend(events)
        self.seq = max([self.seq] + [event['seq'] for event in self._tail])
        self._term_seen = max([self._term_seen] + [event['term'] for event in self._tail])

    def heard(self, seq: int) -> None:
        """Another node has given, or heard of, this number."""
        if self.seq < seq <= SEQ_MAX:
            self.seq = seq

    # -- what happens --------------------------------------------------------------------------

    def add(self, kind: str, cause: str, text: str, by: Optional[Dict[str, Any]] = None,
            steps: Steps = ()) -> None:
        """Something happened now.  `steps`: (name, instant of the clock, seconds) each."""
        self.kinds[kind] += 1
        self.watch(kind, cause, text, steps)
        if self._may_keep(kind):
            self._keep(self._event(kind, cause, text, by, steps), self._ended)

    def _may_keep(self, kind: str) -> bool:
        now = self._clock()
        since, kept, left_out = self._counts.get(kind, (now, 0, 0))
        if now >= since + KIND_SECONDS:
            if left_out:
                self._keep(self._event(LOST, kind, '%d events "%s" were left out: more than %d of '
                                       'them came in %.0f min' % (
                                           left_out, kind, KIND_MAX, KIND_SECONDS / 60)),
                           self._ended)
            since, kept, left_out = now, 0, 0
        keeps = kept < KIND_MAX
        self._counts[kind] = since, kept + keeps, left_out + (not keeps)
        return keeps

    def _event(self, kind: str, cause: str, text: str, by: Optional[Dict[str, Any]] = None,
               steps: Steps = ()) -> Event:
        self.seq += 1
        self._term_seen = max(self._term_seen, self._term())
        now, wall = self._clock(), self._wall()
        return {'schema': SCHEMA, 'at': instant(wall), 'node': self._node, 'term': self._term_seen,
                'seq': self.seq, 'kind': kind, 'cause': cause[:TEXT_MAX], 'by': by,
                'steps': [{'name': name, 'at': instant(wall - (now - at)), 'took': round(took, 3)}
                          for name, at, took in steps],
                'text': text[:TEXT_MAX]}

    def _keep(self, event: Event, on_end: Callable[[str], None]) -> None:
        self._tail.append(event)
        self._writer.keep(event, on_end)

    # -- what is lost --------------------------------------------------------------------------

    def _ended(self, reason: str) -> None:
        if reason:
            self.lost += 1
            if self._retry_at is None:
                self._retry_at = self._clock() + RETRY_SECONDS
                self._tell(reason)

    def _tell(self, reason: str) -> None:
        """The count in it is of the newest try."""
        self._told = reason and 'events cannot be kept (%s): %d are missing in the file so far' % (
            reason, self.lost)
        self._on_trouble(self._told)

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        return self._clock() if self._writer.has_failed() else self._retry_at

    def expire(self, now: float) -> None:
        """Count what could not be handed over, and try to write again."""
        self._writer.expire()
        if self._retry_at is None or now < self._retry_at:
            return
        self._retry_at = now + RETRY_SECONDS
        lost = self.lost
        event = self._event(LOST, 'disk', '%d events before this one are missing in the file: they '
                            'could not be written' % lost)
        self._writer.keep(event, lambda reason: self._tried(event, lost, reason))

    def _tried(self, event: Event, lost: int, reason: str) -> None:
        if reason:
            self._tell(reason)
            return
        self._tail.append(event)
        self.lost -= lost
        self._retry_at = None if not self.lost else self._clock() + RETRY_SECONDS
        self._tell('' if not self.lost else 'others were lost since')

    # -- who asks ------------------------------------------------------------------------------

    def kept(self) -> List[Event]:
        """The events in memory, in their order."""
        return sorted(self._tail, key=place)

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """The events after (term, seq), oldest first; `more`: there are further ones."""
        after = request.get('after', [0, 0])
        if type(after) is not list or len(after) != 2 or any(type(item) is not int
                                                             for item in after):
            return {'ok': False, 'reason': 'after: expected [term, seq], two numbers'}
        found = [event for event in self.kept() if place(event) > tuple(after)]
        return {'ok': True, 'node': self._node, 'events': found[:PAGE_MAX],
                'more': len(found) > PAGE_MAX}


def place(event: Event) -> Tuple[int, int]:
    """Where it stands among the events of all nodes."""
    return event['term'], event['seq']


def instant(wall: float) -> str:
    """An instant for people and programs: UTC, in milliseconds."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=int(wall * 1000))
    return moment.isoformat(timespec='milliseconds') + 'Z'
