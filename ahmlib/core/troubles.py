"""What is wrong at this node, for as long as it lasts: one cause, told once, and again at its end.

A trouble is looked for anew in every round, in a table of kinds.  Its text may change while it
lasts (a count, say); people are told when it begins, every hour, and when it is over.  The row
carries it, so every node can tell it of every other one: who asks through the VIP must not be sent
to another host to find out what is the matter there.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from .agreement import why_names_clash, why_unlike_leader
from .beacon import Trouble
from .speaking import TRY_STALL_SECONDS
from .states import DatabaseState

HOUR_SECONDS = 3600.0
#: The kind of a database that was reported out.
OUT = 'out'
#: Of one row, so that it stays a small datagram.
TROUBLES_MAX = 8
TEXT_MAX = 240


class Kind(NamedTuple):
    """One kind of trouble.

    `find(node)` says what is wrong, '' where nothing is; `over(node)` what people are told at the
    end, '' where something else has taken its place.  `begins` False: who finds it says so itself.
    `ends`: the event of the end, where that has another name.
    """
    event: str
    severity: Callable[[Any], str]
    find: Callable[[Any], str]
    over: Callable[[Any], str]
    begins: bool = True
    ends: str = ''


class Lasting(NamedTuple):
    """A trouble that lasts."""
    text: str
    severity: str
    since: float
    told_at: float


class Troubles:
    """What lasts at this node."""

    def __init__(self, node) -> None:
        self.node = node
        self.of_own_files = ''      # what is wrong with the PID file or the socket, as was told
        self.lasting: Dict[str, Lasting] = {}   # by the event of its kind

    def own_files_looked(self, reason: str) -> None:
        """What the daemon found when it looked after its PID file and socket; '' where nothing."""
        self.of_own_files = reason

    def decide(self) -> None:
        """Tell people of what began, lasts, and is over."""
        for kind in KINDS:
            text, before = kind.find(self.node), self.lasting.get(kind.event)
            if text:
                self.lasting[kind.event] = self._goes_on(kind, text, before)
            elif before is not None:
                del self.lasting[kind.event]
                over = kind.over(self.node)
                if over:
                    self.node.report('NOTICE', kind.ends or kind.event, over)

    def _goes_on(self, kind: Kind, text: str, before) -> Lasting:
        node, severity = self.node, kind.severity(self.node)
        if before is None:
            if kind.begins:
                node.report(severity, kind.event, text)
            return Lasting(text, severity, node.now, node.now)
        if node.now < before.told_at + HOUR_SECONDS and severity == before.severity:
            return before._replace(text=text)
        node.report(severity, kind.event, '%s (for %.0f min by now)' % (
            text, (node.now - before.since) / 60))
        return Lasting(text, severity, before.since, node.now)

    def published(self) -> Tuple[Trouble, ...]:
        """For the row: what is critical first."""
        found = [Trouble(event, item.severity == 'CRITICAL', cut(item.text),
                         max(0.0, self.node.now - item.since))
                 for event, item in self.lasting.items()]
        return tuple(sorted(found, key=lambda trouble: not trouble.critical)[:TROUBLES_MAX])

    def deadlines(self) -> List[float]:
        """When people are told again."""
        return [item.told_at + HOUR_SECONDS for item in self.lasting.values()]


def cut(text: str, most: int = TEXT_MAX) -> str:
    """A text that fits into a row, or into so many letters of one, cut between words."""
    if len(text) <= most:
        return text
    whole = text[:max(0, most - 4)].rsplit(' ', 1)[0]
    return whole + ' ...'


def around(head: str, reason: str, tail: str) -> str:
    """A reason between what is wrong and what comes of it: where it is long, it is what is cut."""
    return head + cut(reason, TEXT_MAX - len(head) - len(tail)) + tail


# -- the kinds ---------------------------------------------------------------------------------

def _failing_checks(node) -> str:
    """Before the last one that counts: what failed, and what comes of it, and when."""
    database = node.database
    if not database.failures or database.failed or database.out or database.distrust:
        return ''
    settings = node.settings
    left = settings.max_consec_failures - database.failures
    period = settings.health_check_period
    comes = 'it counts as failed'
    if node.is_leading:
        comes = 'it is started again' if settings.restart_failed else \
            'failover, if no other node reaches it either,'
    return around('%d of %d checks of the database failed: ' % (
        database.failures, settings.max_consec_failures), database.reason,
        '; %s in %.4g to %.4g s' % (comes, (left - 1) * period, left * period))


def _passes_again(node) -> str:
    return '' if node.database.failures else 'the database passes its checks again'


def _trusted_again(node) -> str:
    return 'the database is trusted again' if _is_well(node) else ''


def _replays_again(node) -> str:
    well = _is_well(node) and node.database.in_recovery
    return 'the standby replays again' if well else ''


def _streams_again(node) -> str:
    return 'the standby streams from the primary again' if node.database.streaming else ''


def _commits_end(node) -> str:
    well = _is_well(node) and node.database.runs_as_primary
    return 'commits wait no more' if well and node.is_leading else ''


def _is_well(node) -> bool:
    """Whether its newest check was answered, and it was not stopped since.

    Else a trouble has ended with its database, or nobody knows.
    """
    return node.database.answer is not None and not node.database.failures


def _distrust(node) -> str:
    """A leader leads on: its primary serves."""
    database = node.database
    if not database.distrust:
        return ''
    if node.is_leading and not database.mismatch:
        return around('the database fails its checks here (', database.reason,
                      '), but another node reaches it: no failover')
    return 'the database is not trusted while this lasts: %s' % database.distrust


def _down(node) -> str:
    """A leader whose primary nobody reaches leads on where nobody could take over."""
    database = node.database
    if not node.is_leading or not database.failed or not node.leadership.has_no_heir:
        return ''
    return around('the database is down (', database.reason, '), and no other node may take over: '
                  'start it; if it is gone for good, run "ahm stop" here, and see the status of '
                  'the others')


def _is_up(node) -> str:
    return 'the database is up again' if _is_well(node) else ''


def _standstill(node) -> str:
    why = node.database.standstill
    return why and around('the standby receives, and cannot replay: ', why,
                          '; it is not promoted while that lasts')


def _not_streaming(node) -> str:
    if node.database.streaming is not False or node.database.state is not DatabaseState.STANDBY:
        return ''
    return 'the standby does not stream from the primary: it is not promoted; see the log of its ' \
        'database, then run ahm_attach_node'


def _commits_wait(node) -> str:
    return node.database.commits_wait if node.is_leading else ''


def _takeover(node) -> str:
    parts = ((node.rehearsals.would_fail, 'a takeover here would fail: '),
             (node.rehearsals.would_lack, 'a takeover here would lack: '))
    return '; '.join(words + '; '.join(found) for found, words in parts if found)


def _handover(node) -> str:
    found = ['a switchover from here would be undone: %s' % node.rehearsals.no_checkpoint] \
        if node.is_leading and node.rehearsals.no_checkpoint else []
    found += filter(None, [node.rehearsals.no_start])
    return '; '.join(found + [
        'the database of %s would not let this one in as its standby: %s' % (
            node.name_of(place), reason)
        for place, reason in node.rehearsals.refused_by().items()])


def _lets_in(node) -> str:
    """Who leads no more has not mended what kept it from handing over."""
    return 'a switchover would get through now, as far as can be tried' \
        if node.rehearsals.is_well() else ''


def _archiver(node) -> str:
    return node.rehearsals.unarchived if node.is_leading else ''


def _archives_again(node) -> str:
    return 'the archiver keeps up again' if node.is_leading else ''


def _out(node) -> str:
    out = node.database.out
    return out and 'reported out until attached again: %s' % out


def _unwritable(node) -> str:
    why = node.speaker.refused or node.speaker.stalls() \
        and 'the disk of data_dir has not answered for %g s' % TRY_STALL_SECONDS
    if not why:
        return ''
    means = 'this node can neither vote nor follow another leader' if node.speaker.is_saved() \
        else 'silent'
    return around('the state file cannot be written: ', why, '; %s until it can be' % means)


def _of_silence(node) -> str:
    return 'ERROR' if node.speaker.is_saved() else 'CRITICAL'


def _as_leader(node) -> str:
    leader = node.leader_row()
    return '' if leader is None else \
        'the parameters that have to be the same everywhere are those of %s' % leader.name


def _always(severity: str) -> Callable[[Any], str]:
    return lambda node: severity


def _once_over(text: str) -> Callable[[Any], str]:
    return lambda node: text


def _of_mismatch(node) -> str:
    return 'CRITICAL' if node.is_leading and node.database.mismatch else 'ERROR'


KINDS = (
    Kind('checks', _always('WARNING'), _failing_checks, _passes_again),
    Kind('quarantined', _of_mismatch, _distrust, _trusted_again),
    Kind('down', _always('CRITICAL'), _down, _is_up),
    Kind('replay', _always('ERROR'), _standstill, _replays_again),
    Kind('not streaming', _always('WARNING'), _not_streaming, _streams_again, ends='streaming'),
    Kind('commits', _always('CRITICAL'), _commits_wait, _commits_end),
    Kind('takeover', _always('ERROR'), _takeover,
         _once_over('a takeover here would get through now, as far as can be tried')),
    Kind('handover', _always('ERROR'), _handover, _lets_in),
    Kind('archiver', _always('WARNING'), _archiver, _archives_again),
    Kind('state', _of_silence, _unwritable, _once_over('the state file can be written again')),
    Kind('unlike the leader', _always('ERROR'), why_unlike_leader, _as_leader),
    Kind('foreign', _always('ERROR'),
         lambda node: node.foreign.told(node.settings.interval, node.now),
         _once_over('no node of another cluster is heard any more')),
    Kind('names', _always('ERROR'), why_names_clash, _once_over(
        'every node has a name of its own')),
    Kind('own files', _always('WARNING'), lambda node: node.troubles.of_own_files, _once_over(
        'the PID file and the UNIX socket are there again')),
    Kind('vip', _always('CRITICAL'), lambda node: node.vip.problem, _once_over(''), begins=False),
    Kind(OUT, _always('WARNING'), _out, _once_over(''), begins=False),
)
