"""The row: all that one node tells the others, and the only message between them (R1).

Every decision is a function of (own row, newest rows of the others, now), so a lost, doubled,
late or reordered datagram can do no more than delay one: the newest row wins and older ones are
ignored.

Nodes are numbered by their place among the sorted addresses of nodes.conf, the same on every node
whose file is the same (`cluster` is the fingerprint that tells).  Ages are in seconds, because an
instant of another node's clock says nothing here.
"""

from enum import IntEnum
from typing import Any, NamedTuple, Optional, Tuple

from .states import LEADING, DatabaseState, NodeState, Role


class Due(IntEnum):
    """For whom a node finds an election due; each level includes those below it."""
    NOBODY = 0
    PRIMARY = 1     # a rightful primary that runs: nothing would be promoted
    FENCER = 2      # also the primary on record itself, and who can fence it
    ANYBODY = 3     # nobody alive reaches the old primary


class Verdict(IntEnum):
    """What a probe of a database says (R26)."""
    UNREACHABLE = 0
    STARTING = 1
    REACHABLE = 2


class Farewell(IntEnum):
    """The two goodbyes, for good (R35, R37) and for a restart, and none."""
    NONE = 0
    LEAVING = 1
    RESTARTING = 2


class Record(NamedTuple):
    """The primary on record: the newest node seen leading over a primary database.

    Records compare by (timeline, term); `node` is the place number, `system_id` the database's
    system identifier.
    """
    timeline: int
    term: int
    node: int
    system_id: str


class Claim(NamedTuple):
    """What a commit waits for: `needed` of these nodes confirm each one (R21).

    Made by the leader of `term`; `version` is its number among those of that term.
    """
    term: int = 0
    version: int = 0
    needed: int = 0
    nodes: Tuple[int, ...] = ()


class Pause(NamedTuple):
    """Whether the cluster is paused, and which node alone may lead then (R57).

    Made by the leader of `term`; `version` is its number among those of that term.
    """
    term: int = 0
    version: int = 0
    on: bool = False
    holder: Optional[int] = None
    sealed: bool = False        # so many know it that nobody else can be elected


class Evidence(NamedTuple):
    """One node's verdict on the database of node `about`, `age` seconds old.

    Where it was formed because another node asked, `inquirer` and `number` repeat that inquiry.
    """
    about: int
    verdict: Verdict
    age: float
    inquirer: Optional[int]
    number: int


class Inquiry(NamedTuple):
    """A leader's request to everybody: probe the database of `about` anew."""
    about: int
    number: int


class IntentKind(IntEnum):
    """What an operator can ask of the whole cluster through one node."""
    PROMOTE = 1     # make the database of that node the primary
    SHUTDOWN = 2    # end all daemons; databases and VIP stay as they are
    FORCE = 3       # as PROMOTE, by the votes of those who are left: the others are gone for good


class Intent(NamedTuple):
    """Asked through `node`, while that was in `term`.

    `incarnation` and `number` tell it from all others that were asked there.
    """
    kind: IntentKind
    node: int
    incarnation: int
    number: int
    term: int


class Trouble(NamedTuple):
    """One thing that is wrong at a node, for people; `age`: seconds since it began."""
    kind: str
    critical: bool
    text: str
    age: float


class Beacon(NamedTuple):
    """One node's row."""
    # identity
    cluster: int                                # fingerprint of nodes.conf and the quorum rule
    sender: int
    name: str
    priority: int
    witness: bool
    interval: float                             # its beacon_message_interval_seconds
    retries: int                                # its beacon_message_retry_count
    incarnation: int                            # random, new at every start
    # liveness
    seq: int                                    # rises within an incarnation
    uptime: float
    heard: Tuple[Optional[Tuple[int, int]], ...]   # by node: (incarnation, seq) of its newest row
    # consensus
    term: int = 0
    voted_for: Optional[int] = None
    leader: Optional[int] = None                # whom it follows in this term
    leader_incarnation: int = 0                 # with leader_seq: the newest leading row taken;
    leader_seq: int = 0                         # this is the acknowledgement
    due: Due = Due.NOBODY
    due_only: Optional[int] = None              # the election is due for this node alone
    followed: bool = False                      # has followed a leader, or led, since its start
    record: Optional[Record] = None
    state: NodeState = NodeState.INITIALIZING
    stepping_down: bool = False
    farewell: Farewell = Farewell.NONE
    bound: bool = False                         # left for good before, bound to `leader`
    successor: Optional[int] = None             # whom a leader names, or a resignation hands to
    # database
    database: DatabaseState = DatabaseState.UNKNOWN
    system_id: str = ''
    timeline: int = 0
    lsn: int = 0                                # max(on disk, replayed), or written
    replayed: int = 0                           # of a standby; 0: not told
    held: bool = False                          # its replay waits, for a reader or a delay
    standstill: str = ''                        # why its replay cannot go on; '' where it can
    fresh: bool = False                         # position probed after the leader was lost
    streaming: Optional[bool] = None            # it streamed when the primary was last healthy
    rightful: bool = False                      # it runs as the rightful primary
    out: bool = False                           # reported out, until it is attached again
    ok_age: Optional[float] = None              # since its last successful check
    primary_lsn: int = 0                        # the last position it knows of the primary
    sync_needed: int = 0                        # of the newest claim (R21): so many of
    sync_nodes: Tuple[int, ...] = ()            # these nodes confirm a commit
    sync_term: int = 0                          # the term of the leader that made the claim,
    sync_version: int = 0                       # and its number among those of that term
    sync_doubt: str = ''                        # why nothing can be guaranteed; '' if it can
    # evidence
    inquiry: Optional[Inquiry] = None
    evidence: Optional[Evidence] = None
    can_fence: bool = False                     # it has a pre_promotion_command
    # VIP
    holds_vip: Optional[bool] = None            # it is on this host; None: unknown
    # for people
    problem: str = ''                           # what is wrong here, in a few words
    nodes: Tuple[str, ...] = ()                 # its nodes.conf, while files seem to differ
    # intents
    intent: Optional[Intent] = None             # what it asks for, or repeats, or carries out
    forced: bool = False                        # it leads, or wants to, without a majority
    shared: Tuple[Tuple[str, str], ...] = ()    # what should be the same everywhere, as it is here
    hindered: bool = False                      # its takeover would fail, as it was rehearsed
    refused_by: Tuple[int, ...] = ()            # whose servers would not let this one in
    no_handover: str = ''                       # why a switchover from here would be undone
    maintenance: bool = False                   # left to its operator: no candidate, not judged
    pause: Pause = Pause()                      # the newest that it knows
    # for people, last: ages change all the time
    troubles: Tuple[Trouble, ...] = ()          # what lasts here, the critical first
    state_age: Optional[float] = None           # since when it has this state; None: does not say
    database_age: Optional[float] = None        # likewise its database
    events: int = 0                             # the number of its newest event, or one heard of

    @property
    def leads(self) -> bool:
        """Whether taking this row is an acknowledgement."""
        return self.state in LEADING

    @property
    def role(self) -> Role:
        """What its sender is in the contest for the lead."""
        if self.farewell is not Farewell.NONE:
            return Role.GONE
        if self.stepping_down:
            return Role.YIELDS if self.leads else Role.RETREATS
        return _ROLES.get(self.state, Role.FOLLOWS)

    @property
    def resigns(self) -> bool:
        """Whether its sender gave up all that a leader has."""
        return self._is_idle and self.holds_vip is not True and self.database in _GIVEN_UP

    @property
    def returns(self) -> bool:
        """Whether its sender leads nothing, beside a primary that still runs."""
        return self._is_idle and self.database is DatabaseState.PRIMARY

    @property
    def _is_idle(self) -> bool:
        return self.role is Role.FOLLOWS and self.state is not NodeState.INITIALIZING

    @property
    def claim(self) -> Claim:
        """The newest claim that its sender knows."""
        return Claim(self.sync_term, self.sync_version, self.sync_needed, self.sync_nodes)


_ROLES = {NodeState.STAND_FOR_LEADER: Role.STANDS, NodeState.TAKING_OVER: Role.ELECTED,
          NodeState.LEADER: Role.LEADS}

#: Database states of a leader that gave its role up: nothing there accepts writes.
_GIVEN_UP = (DatabaseState.STANDBY, DatabaseState.FAILED, DatabaseState.NOT_CONFIGURED,
             DatabaseState.UNKNOWN)


def newer_record(one: Optional[Record], other: Optional[Record]) -> Optional[Record]:
    """The newer of two records; either may be missing."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda record: (record.timeline, record.term))


def significant(row: Beacon) -> Tuple[Any, ...]:
    """The row without what changes all the time: a change of the rest is worth a beacon at once."""
    evidence = row.evidence
    return (tuple(item and item[0] for item in row.heard),
            evidence and (evidence.about, evidence.verdict, evidence.inquirer, evidence.number),
            row[:_SEQ], row[_TERM:_LEADER_SEQ], row[_LEADER_SEQ + 1:_LSN],
            row[_REPLAYED + 1:_OK_AGE], row[_PRIMARY_LSN + 1:_EVIDENCE],
            row[_EVIDENCE + 1:_TROUBLES], tuple(trouble[:-1] for trouble in row.troubles))


# lsn and replayed, and ok_age and primary_lsn, stand side by side.
_SEQ, _TERM, _LEADER_SEQ, _LSN, _REPLAYED, _OK_AGE, _PRIMARY_LSN, _EVIDENCE, _TROUBLES = map(
    Beacon._fields.index, ('seq', 'term', 'leader_seq', 'lsn', 'replayed', 'ok_age', 'primary_lsn',
                           'evidence', 'troubles'))
