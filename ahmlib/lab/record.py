"""From what the client and the prober wrote down to the figures that are reported.

All instants are seconds of the one machine's CLOCK_MONOTONIC.  A record is an attempt to write
(client.py says what its results mean); only what was acknowledged counts as written, and only what
was acknowledged can be missing.
"""
import json
import math
from typing import Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

PROBE_PATIENCE = 1.1


class Attempt(NamedTuple):
    """One attempt to write a row: begun at `began`, settled at `t`."""
    began: float
    t: float
    id: int
    result: str
    server: Optional[str]

    @property
    def accepted(self) -> bool:
        """Whether a server acknowledged the row."""
        return self.result == 'ok'


class Gap(NamedTuple):
    """A time without an acknowledged write; `end` is infinite where none followed."""
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def load(path: str) -> List[Attempt]:
    """The attempts in a file of JSON lines, in order of `t`; an unfinished last line is skipped."""
    attempts = []
    with open(path) as file:
        for line in file:
            if line.endswith('\n'):
                row = json.loads(line)
                attempts.append(Attempt(row['began'], row['t'], row['id'], row['result'],
                                        row['server']))
    return sorted(attempts, key=lambda attempt: attempt.t)


def gaps(attempts: Iterable[Attempt], after: float) -> List[Gap]:
    """Every Gap between neighbouring acknowledged writes, from the last one before `after` on.

    Where nothing follows the fault, one endless gap: the outage did not end in this record.
    """
    times = [attempt.t for attempt in attempts if attempt.accepted]
    before = [t for t in times if t <= after]
    later = [t for t in times if t > after]
    start = before[-1] if before else after
    if not later:
        return [Gap(start, math.inf)]
    return [Gap(*pair) for pair in zip([start] + later, later)]


def longest_gap(attempts: Iterable[Attempt], after: float) -> Gap:
    """The longest of gaps()."""
    return max(gaps(attempts, after), key=lambda gap: gap.seconds)


def write_outage(attempts: Iterable[Attempt], after: float) -> float:
    """How long writes were impossible because of a fault at `after`: the longest gap, in seconds.

    From the acknowledgement of one write to that of the next, so the client's interval is in it.
    """
    return longest_gap(attempts, after).seconds


def failing_outage(attempts: Sequence[Attempt], after: float) -> float:
    """The longest of gaps() in which an attempt failed, in seconds; 0.0 where there is none.

    A client that a busy machine let wait for its turn, or for an answer that came, was not kept
    from writing.  A gap without an end counts always.
    """
    failed = [attempt.t for attempt in attempts if not attempt.accepted]
    return max((gap.seconds for gap in gaps(attempts, after)
                if gap.end == math.inf or any(gap.start < t <= gap.end for t in failed)),
               default=0.0)


def machine_delay(probes: Sequence[Attempt], service: str, after: float) -> float:
    """How long this machine let a prober wait for its turn, or an answer of its server, in seconds.

    The longest time after `after` between two attempts, whatever came of them, at a server other
    than `service`: what holds those up has nothing to do with the service.  0.0: nothing is known.
    """
    longest = 0.0
    for server in {probe.server for probe in probes} - {service}:
        times = [probe.t for probe in probes if probe.server == server and probe.t > after]
        longest = max([longest] + [later - sooner for sooner, later in zip(times, times[1:])])
    return longest


def acknowledged_ids(attempts: Iterable[Attempt], server: Optional[str] = None) -> Set[int]:
    """The ids of the acknowledged rows (a set), all or those acknowledged by one server."""
    return {attempt.id for attempt in attempts
            if attempt.accepted and server in (None, attempt.server)}


def missing_rows(acknowledged: Iterable[int], in_database: Iterable[int]) -> List[int]:
    """The acknowledged ids that the database does not have, a sorted list of int."""
    return sorted(set(acknowledged) - set(in_database))


def missing_within_received(attempts: Sequence[Attempt], server: str,
                            in_database: Iterable[int]) -> List[int]:
    """The missing rows that asynchronous replication does not excuse, a sorted list of int.

    `server` died, another was promoted and has the rows `in_database`.  One client writes one row
    after the other, so what the standby had received is a beginning of what `server` acknowledged:
    a missing row followed by one that is there had been received, and was lost afterwards.  So is
    every missing row that another server acknowledged.
    """
    old = acknowledged_ids(attempts, server)
    received = max(old & set(in_database), default=0)
    return [number for number in missing_rows(acknowledged_ids(attempts), in_database)
            if number < received or number not in old]


def last_accepted(attempts: Iterable[Attempt], server: str) -> Optional[float]:
    """When `server` last acknowledged a write; None if it never did."""
    return max((attempt.t for attempt in attempts
                if attempt.accepted and attempt.server == server), default=None)


def first_accepted(attempts: Iterable[Attempt], server: str,
                   after: float = -math.inf) -> Optional[float]:
    """When `server` first acknowledged a write later than `after`; None if it never did."""
    return min((attempt.t for attempt in attempts
                if attempt.accepted and attempt.server == server and attempt.t > after),
               default=None)


def accepting_intervals(probes: Iterable[Attempt], server: str,
                        patience: float = PROBE_PATIENCE) -> List[Tuple[float, float]]:
    """When `server` accepted writes: a list of (first, last) accepted INSERTs.

    An interval joins accepted INSERTs with no refused or unanswered one between them, and none
    further from the next than `patience` seconds (the prober itself stood still: no evidence).
    """
    intervals: List[Tuple[float, float]] = []
    joined = False
    for probe in probes:
        if probe.server != server:
            continue
        if not probe.accepted:
            joined = False
        elif joined and probe.t - intervals[-1][1] <= patience:
            intervals[-1] = (intervals[-1][0], probe.t)
        else:
            intervals.append((probe.t, probe.t))
            joined = True
    return intervals


def double_primary_seconds(probes: Sequence[Attempt]) -> float:
    """Seconds in which two or more servers accepted writes, as the prober saw it.

    The overlap of the servers' accepting_intervals().  Its resolution is the prober's interval
    (50 ms), and it errs towards too little: an interval begins and ends with an INSERT that was
    really accepted, so each overlap may have been up to two intervals longer, and one shorter than
    an interval may not show at all.  0.0 says: no overlap longer than 0.1 s.
    """
    steps = []
    for server in {probe.server for probe in probes if probe.server is not None}:
        for start, end in accepting_intervals(probes, server):
            steps += [(start, 1), (end, -1)]
    total, accepting, since = 0.0, 0, 0.0
    for instant, change in sorted(steps):
        if accepting >= 2:
            total += instant - since
        accepting += change
        since = instant
    return total
