"""The kinds of trouble that a node looks for in itself, in every round, as a table.

Each is a question of its parts, and changes nothing.
"""

from typing import Callable

from ..consensus.speaking import STALL_SECONDS
from ..parts import Parts
from ..states import DatabaseState
from .agreement import why_names_clash, why_unlike_leader
from .troubles import Kind, around

#: The kind of a database that was reported out.
OUT = 'out'


def _failing_checks(parts: Parts) -> str:
    """Before the last one that counts: what failed, and what comes of it, and when."""
    database = parts.database
    if not database.failures or database.failed or database.out or database.distrust:
        return ''
    settings = parts.facts.settings
    left = settings.max_consec_failures - database.failures
    period = settings.health_check_period
    comes = 'it counts as failed'
    if parts.consensus.leads:
        comes = 'it is started again' if settings.restart_failed else \
            'failover, if no other node reaches it either,'
    return around('%d of %d checks of the database failed: ' % (
        database.failures, settings.max_consec_failures), database.reason,
        '; %s in %.4g to %.4g s' % (comes, (left - 1) * period, left * period))


def _passes_again(parts: Parts) -> str:
    return '' if parts.database.failures else 'the database passes its checks again'


def _trusted_again(parts: Parts) -> str:
    return 'the database is trusted again' if _is_well(parts) else ''


def _replays_again(parts: Parts) -> str:
    well = _is_well(parts) and parts.database.in_recovery
    return 'the standby replays again' if well else ''


def _streams_again(parts: Parts) -> str:
    return 'the standby streams from the primary again' if parts.database.streaming else ''


def _commits_end(parts: Parts) -> str:
    well = _is_well(parts) and parts.database.runs_as_primary
    return 'commits wait no more' if well and parts.consensus.leads else ''


def _is_well(parts: Parts) -> bool:
    """Whether its newest check was answered, and it was not stopped since.

    Else a trouble has ended with its database, or nobody knows.
    """
    return parts.database.answer is not None and not parts.database.failures


def _distrust(parts: Parts) -> str:
    """A leader leads on: its primary serves."""
    database = parts.database
    if not database.distrust:
        return ''
    if parts.consensus.leads and not database.mismatch:
        return around('the database fails its checks here (', database.reason,
                      '), but another node reaches it: no failover')
    return 'the database is not trusted while this lasts: %s' % database.distrust


def _down(parts: Parts) -> str:
    """A leader whose primary nobody reaches leads on where nobody could take over.

    What AHM itself has stopped, for a handover or a restart, is not down.
    """
    database = parts.database
    if not parts.consensus.leads or not database.failed or database.half_done \
            or not (parts.duties.has_no_heir or parts.paused.is_held):
        return ''
    if parts.paused.is_held:
        return around('the database is down (', database.reason, '), and nothing fails over in a '
                      'pause: start it')
    return around('the database is down (', database.reason, '), and no other node may take over: '
                  'start it; if it is gone for good, run "ahm stop" here, and see the status of '
                  'the others')


def _is_up(parts: Parts) -> str:
    return 'the database is up again' if _is_well(parts) else ''


def _standstill(parts: Parts) -> str:
    why = parts.database.standstill
    return why and around('the standby receives, and cannot replay: ', why,
                          '; it is not promoted while that lasts')


def _not_streaming(parts: Parts) -> str:
    if parts.database.streaming is not False or parts.database.state is not DatabaseState.STANDBY:
        return ''
    return 'the standby does not stream from the primary: it is not promoted; see the log of its ' \
        'database, then run ahm_attach_node'


def _commits_wait(parts: Parts) -> str:
    return parts.database.commits_wait \
        if parts.consensus.leads and not parts.synchronous.enabled else ''


def _takeover(parts: Parts) -> str:
    halves = ((parts.rehearsals.would_fail, 'a takeover here would fail: '),
              (parts.rehearsals.would_lack, 'a takeover here would lack: '))
    return '; '.join(words + '; '.join(found) for found, words in halves if found)


def _handover(parts: Parts) -> str:
    found = ['a switchover from here would be undone: %s' % parts.rehearsals.no_checkpoint] \
        if parts.consensus.leads and parts.rehearsals.no_checkpoint else []
    found += filter(None, [parts.rehearsals.no_start])
    return '; '.join(found + [
        'the database of %s would not let this one in as its standby: %s' % (
            parts.facts.name_of(place), reason)
        for place, reason in parts.rehearsals.refused_by().items()])


def _lets_in(parts: Parts) -> str:
    """A node that leads no more has not mended what kept it from handing over."""
    return 'a switchover would get through now, as far as can be tried' \
        if parts.rehearsals.is_well() else ''


def _archiver(parts: Parts) -> str:
    return parts.rehearsals.unarchived if parts.consensus.leads else ''


def _archives_again(parts: Parts) -> str:
    return 'the archiver keeps up again' if parts.consensus.leads else ''


def _out(parts: Parts) -> str:
    out = parts.database.out
    return out and 'reported out until attached again: %s' % out


def _unwritable(parts: Parts) -> str:
    stalls = parts.consensus.speaker.stalls()
    why = parts.consensus.speaker.refused or (
        'the disk of data_dir has not answered for %g s' % stalls if stalls else '')
    if not why:
        return ''
    means = 'silent'
    if parts.consensus.speaker.is_saved():
        means = 'this node can neither vote nor follow another leader'
    return around('the state file cannot be written: ', why, '; %s until it can be' % means)


def _of_silence(parts: Parts) -> str:
    speaker = parts.consensus.speaker
    if not speaker.refused and speaker.stalls() == STALL_SECONDS:
        return 'WARNING'
    return 'ERROR' if speaker.is_saved() else 'CRITICAL'


def _as_leader(parts: Parts) -> str:
    leader = parts.consensus.leader_row()
    return '' if leader is None else \
        'the parameters that have to be the same everywhere are those of %s' % leader.name


def _maintenance(parts: Parts) -> str:
    return 'in maintenance: it is no candidate, and its database is left alone; end that with ' \
        '"ahm_resume_cluster --node=%s"' % parts.facts.settings.name \
        if parts.database.maintained else ''


def _paused(parts: Parts) -> str:
    """Its holder says it; where it does not lead, all do."""
    paused = parts.paused
    if not paused.on or not (paused.is_held or parts.consensus.leader_row() is None):
        return ''
    holder = parts.facts.name_of(paused.pause.holder)
    why = paused.waits_for() or (
        'the nodes.conf here was changed in this pause: it waits for %s, with the same' % holder
        if paused.moved and not paused.is_held else '')
    if why:
        return 'the cluster is paused: nothing fails over, and only %s may lead; %s' % (holder, why)
    return 'the cluster is paused: nothing fails over, and only %s may lead; end that with ' \
        '"ahm_resume_cluster"' % holder


def _judged(say: Callable[[Parts], str]) -> Callable[[Parts], str]:
    """Of a database that is left to its operator nothing is said, also not that a trouble is over.
    """
    return lambda parts: '' if parts.database.maintained else say(parts)


def _always(severity: str) -> Callable[[Parts], str]:
    return lambda parts: severity


def _once_over(text: str) -> Callable[[Parts], str]:
    return lambda parts: text


def _of_mismatch(parts: Parts) -> str:
    return 'CRITICAL' if parts.consensus.leads and parts.database.mismatch else 'ERROR'


KINDS = (
    Kind('paused', _always('WARNING'), _paused, _once_over('')),
    Kind('maintenance', _always('WARNING'), _maintenance, _once_over('in maintenance no more')),
    Kind('checks', _always('WARNING'), _judged(_failing_checks), _judged(_passes_again)),
    Kind('quarantined', _of_mismatch, _distrust, _trusted_again),
    Kind('down', _always('CRITICAL'), _down, _is_up),
    Kind('replay', _always('ERROR'), _judged(_standstill), _judged(_replays_again)),
    Kind('not streaming', _always('WARNING'), _judged(_not_streaming), _judged(_streams_again),
         ends='streaming'),
    Kind('commits', _always('CRITICAL'), _commits_wait, _commits_end),
    Kind('synchronous', lambda parts: 'CRITICAL' if parts.synchronous.commits_wait() else 'WARNING',
         lambda parts: parts.synchronous.shortage(),
         _once_over('as many standbys confirm each commit as was asked for')),
    Kind('takeover', _always('ERROR'), _judged(_takeover), _judged(
        _once_over('a takeover here would get through now, as far as can be tried'))),
    Kind('handover', _always('ERROR'), _judged(_handover), _judged(_lets_in)),
    Kind('archiver', _always('WARNING'), _archiver, _archives_again),
    Kind('state', _of_silence, _unwritable, _once_over('the state file can be written again')),
    Kind('unlike the leader', _always('ERROR'),
         lambda parts: why_unlike_leader(parts.facts, parts.consensus), _as_leader),
    Kind('foreign', _always('ERROR'),
         lambda parts: parts.foreign.told(parts.facts.settings.interval, parts.facts.now),
         _once_over('no node of another cluster is heard any more')),
    Kind('names', _always('ERROR'), lambda parts: why_names_clash(parts.facts), _once_over(
        'every node has a name of its own')),
    Kind('own files', _always('WARNING'), lambda parts: parts.troubles.of_own_files, _once_over(
        'the PID file and the UNIX socket are there again')),
    Kind('events', _always('WARNING'), lambda parts: parts.troubles.of_history, _once_over(
        'events are kept again')),
    Kind('vip', _always('CRITICAL'), lambda parts: parts.vip.problem, _once_over(''), begins=False),
    Kind(OUT, _always('WARNING'), _out, _once_over(''), begins=False),
)
