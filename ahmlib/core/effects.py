"""What a node can ask its world for.  Imperative; an ordered list of these is a decision.

Effects with a token are answered once, by the event named in their docstring.  Limits are seconds:
when one has passed, the world ends the effect by force and answers that it failed.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

from .beacon import Beacon
from .consensus.saved import Saved


class SaveState(NamedTuple):
    """Make this durable (fsync) -> StateSaved or StateSaveFailed; nothing waits meanwhile."""
    saved: Saved


class SaveLease(NamedTuple):
    """Note, without fsync, until when this node may lead on if it is started again in this boot."""
    until: float


class SendBeacon(NamedTuple):
    """Send this row to every other node, or to one."""
    beacon: Beacon
    to: Optional[int] = None


class CheckDatabase(NamedTuple):
    """Check the local database by a new connection -> DatabaseChecked."""
    token: int = 0
    limit: float = 0.0


class ProbeDatabase(NamedTuple):
    """Try the database of node `about` by a new connection -> DatabaseProbed."""
    token: int = 0
    about: int = 0
    limit: float = 0.0


class CheckVip(NamedTuple):
    """See whether the VIP is on this host -> VipChecked."""
    token: int = 0
    limit: float = 0.0


class PingVip(NamedTuple):
    """See whether the VIP answers, and whether it is the host of node `about` -> VipPinged."""
    token: int = 0
    limit: float = 0.0
    about: Optional[int] = None


class PingTrusted(NamedTuple):
    """See whether a trusted server answers -> TrustedPinged."""
    token: int = 0
    limit: float = 0.0


class Rehearse(NamedTuple):
    """Try what a takeover here would need, as far as that changes nothing -> Rehearsed."""
    token: int = 0
    limit: float = 0.0


class RehearseHandover(NamedTuple):
    """Ask the local server what a handover from here would need, and the servers of these nodes
    whether they would let this one in as their standby -> HandoverRehearsed."""
    token: int = 0
    servers: Tuple[int, ...] = ()
    limit: float = 0.0


class RaiseVip(NamedTuple):
    """Put the VIP on this host -> ActionEnded, ok only when it is there."""
    token: int = 0
    limit: float = 0.0


class LowerVip(NamedTuple):
    """Take the VIP off this host -> ActionEnded, ok only when it is off."""
    token: int = 0
    limit: float = 0.0


class AnnounceVip(NamedTuple):
    """Announce the VIP again by gratuitous ARP -> ActionEnded."""
    token: int = 0
    limit: float = 0.0


class RunHook(NamedTuple):
    """Run the operator's command of this name -> ActionEnded."""
    token: int = 0
    hook: str = ''
    variables: Tuple[Tuple[str, str], ...] = ()
    limit: float = 0.0


class Promote(NamedTuple):
    """Promote the local standby -> ActionEnded with timeline and lsn, ok when it accepts writes."""
    token: int = 0
    limit: float = 0.0


class StopDatabase(NamedTuple):
    """Stop the local database -> ActionEnded, ok only when no process of it is left.

    Where it was shut down cleanly, `lsn` of the answer is where its shutdown checkpoint begins.
    `mode` is 'fast' or 'immediate'; either escalates up to SIGKILL within the limit.
    """
    token: int = 0
    mode: str = 'fast'
    limit: float = 0.0


class StartDatabase(NamedTuple):
    """Start the local database -> ActionEnded, ok when it answers."""
    token: int = 0
    limit: float = 0.0


class RestartDatabase(NamedTuple):
    """Stop the local database (fast) and start it as it is -> ActionEnded, ok when it answers.

    By the operator's own command, where there is one.
    """
    token: int = 0
    limit: float = 0.0


class InspectDatabase(NamedTuple):
    """Read in its files what the local database, which does not run, would come up as ->
    DatabaseInspected."""
    token: int = 0
    limit: float = 0.0


class LeaveStandbySignal(NamedTuple):
    """See to it that a later start of the local database cannot make a primary -> ActionEnded."""
    token: int = 0
    limit: float = 0.0


class FollowPrimary(NamedTuple):
    """Point the local standby, running or not, to the primary of node `leader` -> ActionEnded."""
    token: int = 0
    leader: int = 0
    limit: float = 0.0
    variables: Tuple[Tuple[str, str], ...] = ()


class CheckpointDatabase(NamedTuple):
    """Order a checkpoint of the local primary -> ActionEnded, so that its stop takes no time."""
    token: int = 0
    limit: float = 0.0


class AttachDatabase(NamedTuple):
    """Make the local database a standby of the primary of node `leader` -> ActionEnded.

    ok only once it is seen to stream from there.  `rewind`: a diverged history may be rewound,
    where the configuration allows it at all.  `rebuild`: what cannot be a standby otherwise may be
    replaced by a copy of that primary, and is kept; told meanwhile by ActionProgressed (R65).
    """
    token: int = 0
    leader: int = 0
    rewind: bool = False
    limit: float = 0.0
    variables: Tuple[Tuple[str, str], ...] = ()
    rebuild: bool = False


class SetSynchronous(NamedTuple):
    """Let the commits of the local server wait for `needed` of these names, none: for nobody ->
    ActionEnded, ok once that is seen in force.

    `lsn` of the answer is the server's own position, read after that.
    """
    token: int = 0
    needed: int = 0
    names: Tuple[str, ...] = ()
    limit: float = 0.0


class Cancel(NamedTuple):
    """End the effect with this token by force; it is not answered any more."""
    token: int


class Report(NamedTuple):
    """Tell people: log, events, notifications.  `event` is a stable name, `text` says why.

    `kind`: what it is in the history of events, where that has another name; `cause`: the reason.
    """
    severity: str
    event: str
    text: str
    kind: str = ''
    cause: str = ''


#: `Report.kind` of what is in the history already, or is told there by a Record.
UNKEPT = '-'
#: Of a trouble that begins and ends; `cause` is which.  However often it comes, it is kept.
TROUBLE, TROUBLE_OVER = 'trouble', 'trouble over'
#: What a leader that is to hand over tells; a switchover is the whole, at who takes over.
HAND_OVER = 'hand over'


class Record(NamedTuple):
    """Keep this in the history of events: what no single line of the log tells.

    `by`: who asked for it, as the world named him; `steps`: (name, at, seconds it took) each.
    """
    kind: str
    cause: str
    text: str
    by: Optional[Dict[str, Any]] = None
    steps: Tuple[Tuple[str, float, float], ...] = ()


class Reply(NamedTuple):
    """Answer the client that asked under this token."""
    token: int
    answer: Dict[str, Any]


class Exit(NamedTuple):
    """End the daemon.  Database and VIP stay as they are."""
    code: int
    reason: str
