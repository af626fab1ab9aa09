"""What utilities ask of this node, as a table; what changes something names who asked.

Whether a client may ask for that at all is decided before, by where it comes from.
"""

from typing import Any, Callable, Dict, Optional

from .asks import CHANGING
from .effects import UNKEPT
from .limits import RESTART_SECONDS, RESTART_SECONDS_MAX
from .parts import Parts
from .status import status


def answer(parts: Parts, request: Dict[str, Any], origin: str = '',
           by: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """The answer to one request of a utility."""
    asked = request.get('ask')
    known = REQUESTS.get(asked) if isinstance(asked, str) else None
    if known is None:
        return {'ok': False, 'reason': 'this daemon does not know the request %r' % (asked,)}
    if asked not in CHANGING or request.get('dry_run'):
        return known(parts, request)
    who = origin or 'somebody'
    parts.out.report('NOTICE', 'asked', '%s was asked for by %s' % (asked, who), UNKEPT)
    answered = known(parts, request)
    parts.history.asked(asked, by, who, answered.get('reason', ''))
    return answered


def _status(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    return {'ok': True, 'status': status(parts)}


def _task(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    task = parts.operator.task
    if task is None or task.number != request.get('task'):
        return {'ok': False, 'reason': 'this daemon does not know that task any more: it was '
                                       'restarted, or another one was asked for since; see '
                                       'ahm_cluster_status and the log'}
    return {'ok': True, 'task': task.shown()}


def _attach(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    return _begun(parts, parts.operator.attach(request.get('rebuild') is True))


def _promote(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    force = request.get('force') is True
    if not request.get('dry_run'):
        return _begun(parts, parts.operator.promote(force))
    refused = _refused(parts.operator.why_not_promote(force))
    if refused or not force:
        return refused or {'ok': True}
    return {'ok': True, 'risks': parts.promotion.forced.risks()}


def _restart(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    limit = request.get('timeout', RESTART_SECONDS)
    if not isinstance(limit, (int, float)) or isinstance(limit, bool) \
            or not 1 <= limit <= RESTART_SECONDS_MAX:
        return {'ok': False, 'reason': 'found a timeout of %r, expected 1 to %d seconds' % (
            limit, RESTART_SECONDS_MAX)}
    warnings = parts.operator.restart_warnings()
    if request.get('dry_run'):
        return _refused(parts.operator.why_not_restart()) or {'ok': True, 'warnings': warnings}
    why = parts.operator.restart(float(limit), request.get('pending') is True)
    return dict(_begun(parts, why), warnings=warnings)


def _shutdown(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    return _refused(parts.operator.shut_down()) or {'ok': True}


def _pause(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    if request.get('node') is None:
        return _begun(parts, parts.operator.pause(True))
    remarks = parts.maintenance.remarks()
    answer = _begun(parts, parts.operator.maintain(True, request.get('node')))
    return dict(answer, remarks=remarks) if answer['ok'] else answer


def _resume(parts: Parts, request: Dict[str, Any]) -> Dict[str, Any]:
    if request.get('node') is None:
        return _begun(parts, parts.operator.pause(False))
    return _begun(parts, parts.operator.maintain(False, request.get('node')))


def _begun(parts: Parts, why: str) -> Dict[str, Any]:
    task = parts.operator.task
    assert why or task is not None
    return _refused(why) if why or task is None else {'ok': True, 'task': task.shown()}


def _refused(why: str) -> Dict[str, Any]:
    return {'ok': False, 'reason': why} if why else {}


REQUESTS: Dict[str, Callable[[Any, Dict[str, Any]], Dict[str, Any]]] = {
    'status': _status, 'task': _task, 'attach': _attach, 'promote': _promote,
    'restart': _restart, 'shutdown': _shutdown, 'pause': _pause, 'resume': _resume,
}
