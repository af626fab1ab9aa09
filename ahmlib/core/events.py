"""What can happen to a node.  Past tense; results carry the token their effect left with."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

from .beacon import Beacon, Farewell, Verdict
from .consensus.saved import Saved
from .settings import Settings


class Started(NamedTuple):
    """The first event of a node's life."""


class Ticked(NamedTuple):
    """The instant `Node.wake_at` has come, or nothing in particular happened."""


class BeaconHeard(NamedTuple):
    """A row came from the address of its sender."""
    beacon: Beacon


class StateSaved(NamedTuple):
    """This state is on disk, fsynced."""
    saved: Saved


class StateSaveFailed(NamedTuple):
    """The state could not be written; nothing may be said that depends on it."""
    reason: str


class OwnFilesLooked(NamedTuple):
    """What is wrong with the PID file or the UNIX socket has changed; '' where nothing is."""
    reason: str


class HistoryLooked(NamedTuple):
    """Why events are lost that should be kept has changed; '' where none are."""
    reason: str


class DatabaseChecked(NamedTuple):
    """A check of the local database ended.

    `verdict` REACHABLE with `in_recovery` None means: it answered, and refused us.
    Positions are byte counts; `upstream` is the (host, port) it is told to stream from.
    `sync_names` are all that synchronous_standby_names lists, connected or not, '*' too;
    `sync_peers` are the (application_name, address) of the standbys that are connected.
    """
    token: int
    verdict: Verdict
    reason: str = ''
    in_recovery: Optional[bool] = None
    system_id: str = ''
    timeline: int = 0
    lsn: int = 0
    streaming: bool = False
    upstream: Optional[Tuple[str, int]] = None
    sync_needed: Optional[int] = 0      # None: the server does not tell
    sync_names: Tuple[str, ...] = ()
    sync_peers: Tuple[Tuple[str, str], ...] = ()
    replayed: int = 0           # of a standby: how far it has replayed
    standstill: str = ''        # why its replay cannot go on by itself; '' where it can
    held: bool = False          # its replay waits, for a reader or a delay
    lsn_known: bool = True      # False: more WAL may be on its disk than `lsn` says
    mismatch: str = ''          # why this server is not the one of db_data_dir
    remark: str = ''            # what people should know of it
    pending: Optional[Tuple[str, ...]] = ()     # what it takes at its next restart; None: not told


class DatabaseInspected(NamedTuple):
    """What the local database would come up as; `standby` None: could not be found out."""
    token: int
    standby: Optional[bool]
    reason: str = ''
    timeline: int = 0
    system_id: str = ''


class DatabaseProbed(NamedTuple):
    """A probe of another node's database ended."""
    token: int
    verdict: Verdict
    reason: str = ''


class VipChecked(NamedTuple):
    """Whether the VIP is on an interface of this host; None: could not be found out.

    `usable` False: it is there, and the kernel does not use it (`reason` says why).
    """
    token: int
    here: Optional[bool]
    reason: str = ''
    usable: bool = True


class VipPinged(NamedTuple):
    """Whether anybody answers for the VIP; None: could not be found out.

    `by` is the hardware address that answers, '' where it is not known; `of_suspect` whether that
    is the host that was asked about.
    """
    token: int
    answers: Optional[bool]
    reason: str = ''
    by: str = ''
    of_suspect: bool = False


class TrustedPinged(NamedTuple):
    """Whether any of the trusted servers answered."""
    token: int
    reached: bool


class Rehearsed(NamedTuple):
    """Why a takeover here would fail, and what it would lack, a sentence each.

    `fails` None: it could not be found out.
    """
    token: int
    fails: Optional[Tuple[str, ...]]
    lacks: Tuple[str, ...] = ()


class HandoverRehearsed(NamedTuple):
    """What a handover lacks: of each server that answered, why it would not let this one in as a
    standby, '' where it would; and what is wrong with this one.

    `asked` None: nothing could be found out.  `no_checkpoint`: why this server's CHECKPOINT may
    not be ordered; `unarchived`: of a primary, what its archiver does not do; `no_start`: why this
    server could not be started again; '' where all is well.
    """
    token: int
    asked: Optional[Tuple[Tuple[int, str], ...]]
    no_checkpoint: str = ''
    unarchived: str = ''
    no_start: str = ''


class ActionEnded(NamedTuple):
    """An action ended: done, or not and why."""
    token: int
    ok: bool
    reason: str = ''
    timeline: int = 0       # of a promotion, or of a clean stop
    lsn: int = 0            # of a promotion; of a clean stop: where its shutdown checkpoint begins
    here: Optional[bool] = None     # of a VIP command: where the VIP is now
    diverged: bool = False  # of an attach that failed: this history is not the primary's
    switch_lsn: int = 0     # of a promotion: where the timeline before ended
    needed_lsn: int = 0     # of a promotion: where the WAL ended that it had; 0: not known
    withdrawn: bool = False     # of a promotion that failed: it cannot complete any more
    remark: str = ''        # of an action that succeeded: what people should know


class ActionProgressed(NamedTuple):
    """An action that takes long is under way: what it is about now, for people."""
    token: int
    text: str


class StopAsked(NamedTuple):
    """The operator or the service manager wants this daemon to end."""
    farewell: Farewell


class ClientAsked(NamedTuple):
    """A utility asked something; the answer leaves as `Reply` with this token."""
    token: int
    request: Dict[str, Any]
    origin: str = ''        # who asked, in words
    by: Optional[Dict[str, Any]] = None     # the same, as the history of events keeps it


class SettingsChanged(NamedTuple):
    """The configuration was read again; only what may change in a running daemon differs."""
    settings: Settings


class ForeignHeard(NamedTuple):
    """A node of nodes.conf sent a row of another cluster: its file or quorum rule differs."""
    host: str
    name: str
    nodes: Tuple[str, ...]
