"""What the result of a child says to the core: the event that answers an effect.

A result is a dict that came out of another process, which may have been killed before it said all:
nothing is taken for granted but that it is a dict.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from ahmlib.core import events
from ahmlib.core.beacon import Verdict
from ahmlib.runtime.children import Result


def rehearsed(token: int, result: Result) -> events.Rehearsed:
    """The Rehearsed of a rehearsal's result."""
    if not result.get('ok'):
        return events.Rehearsed(token, None)
    return events.Rehearsed(token, tuple(result['fails']), tuple(result['lacks']))


def handover_rehearsed(token: int, result: Result) -> events.HandoverRehearsed:
    """The HandoverRehearsed of a rehearsal's result."""
    if not result.get('ok'):
        return events.HandoverRehearsed(token, None)
    return events.HandoverRehearsed(
        token, tuple((place, why) for place, why in result['asked']),
        result['no_checkpoint'], result['unarchived'], result['no_start'])


def inspected(token: int, result: Result) -> events.DatabaseInspected:
    """The DatabaseInspected of what was found in the files."""
    if not result.get('ok'):
        return events.DatabaseInspected(token, None, why_not(result))
    return events.DatabaseInspected(token, bool(result['standby']), '', int(result['timeline']),
                                    str(result['system_identifier']))


def why_not(result: Result) -> str:
    """Why a function failed; '' where it did not."""
    return '' if result.get('ok', True) else str(result.get('reason', 'it failed'))


def ended(token: int, result: Result) -> events.ActionEnded:
    """The ActionEnded of a function's result."""
    ok = bool(result.get('ok'))
    return events.ActionEnded(token, ok, '' if ok else why_not(result),
                              int(result.get('timeline') or 0), int(result.get('lsn') or 0),
                              result.get('here'), bool(result.get('diverged')),
                              int(result.get('switch_lsn') or 0),
                              int(result.get('needed_lsn') or 0), bool(result.get('withdrawn')),
                              str(result.get('remark') or ''))


def verdict(result: Result) -> Tuple[Verdict, str]:
    """(Verdict, reason) of a probe; one that was killed at its limit reached nothing."""
    name = result.get('verdict', 'UNREACHABLE')
    reason = result.get('reason', '')
    if name == 'REACHABLE' and result.get('in_recovery'):
        return Verdict.STARTING, 'it is in recovery'
    return Verdict[name], reason


def checked(token: int, result: Result) -> events.DatabaseChecked:
    """The DatabaseChecked of a check's result."""
    found = Verdict[result.get('verdict', 'UNREACHABLE')]
    if not result.get('answered'):
        return events.DatabaseChecked(token, found, result.get('reason', ''))
    upstream = result.get('upstream')
    if upstream is not None:
        upstream = (str(upstream.get('host') or ''), int(upstream.get('port') or 0))
    return events.DatabaseChecked(
        token, found, '', bool(result['in_recovery']), result.get('system_identifier') or '',
        result.get('timeline') or 0, result.get('lsn') or 0, bool(result.get('streaming')),
        upstream, result.get('sync_needed'), tuple(result.get('sync_names') or ()),
        tuple((str(name), str(address)) for name, address in result.get('sync_peers') or ()),
        result.get('replayed_lsn') or 0, result.get('standstill') or '', bool(result.get('held')),
        bool(result.get('lsn_known', True)), result.get('mismatch') or '',
        result.get('remark') or '', _names(result.get('pending')))


class Server(NamedTuple):
    """What a check told of the server that no decision rests on: it is for monitors."""
    version: int = 0                            # e.g. 150013; 0: not known
    slots: Tuple[Tuple[str, int], ...] = ()     # (name, bytes of WAL that it keeps)


def server_of(result: Result) -> Optional[Server]:
    """The Server of a check's result; None where no query was answered."""
    if not result.get('answered'):
        return None
    return Server(int(result.get('server_version') or 0),
                  tuple((str(name), int(kept)) for name, kept in result.get('slots') or ()))


def _names(told: Optional[Sequence[str]]) -> Optional[Tuple[str, ...]]:
    """What a child tells as a list, or does not tell."""
    return None if told is None else tuple(map(str, told))


def vip_checked(token: int, result: 'Result') -> events.VipChecked:
    """Whether the VIP is on this host."""
    return events.VipChecked(token, result.get('here'), result.get('reason') or '',
                             bool(result.get('usable', True)))


def vip_pinged(token: int, result: 'Result') -> events.VipPinged:
    """Whether anybody answers for the VIP."""
    return events.VipPinged(token, result.get('answers'), result.get('reason') or '',
                            result.get('by') or '', bool(result.get('of_suspect')))
