"""The health checks: each path is a pure function of what is asked and of a View.

The paths and what they mean are Patroni's, so that a HAProxy file written for it serves AHM.  Where
Patroni lets a doubt pass, AHM does not: an unknown lag, a lag that cannot be read and a tag that
AHM does not have are 503.
"""

import re
from typing import Callable, Dict, List, Optional

from ahmlib.http.request import Request
from ahmlib.http.view import ASYNC, QUORUM, SYNC, View

Check = Callable[[Request, View], bool]

UNITS = {'': 1, 'b': 1, 'kb': 1024, 'mb': 1024 ** 2, 'gb': 1024 ** 3, 'tb': 1024 ** 4}
_LAG = re.compile(r'\s*([0-9]{1,18})\s*([A-Za-z]*)\s*')
#: What Patroni called a primary before 4.0; load balancers still ask so.
OLDER_SPELLING = '/mas' 'ter'


def bytes_of(text: str) -> Optional[int]:
    """A lag such as 16MB in bytes; None where it cannot be read."""
    found = _LAG.fullmatch(text)
    if found is None or found.group(2).lower() not in UNITS:
        return None
    return int(found.group(1)) * UNITS[found.group(2).lower()]


def _primary(request: Request, view: View) -> bool:
    return view.serves


def _replica(request: Request, view: View) -> bool:
    return view.standby and not view.serves and _is_as_asked(request, view)


def _is_as_asked(request: Request, view: View, lag: Optional[int] = None) -> bool:
    """Whether a standby has what the query wants of it; what AHM does not have it has not."""
    if any(name.startswith('tag_') for name, _ in request.query):
        return False
    states = request.values('replication_state')
    if any(state != 'streaming' or not view.streams for state in states):
        return False
    lag = view.applied_lag if lag is None else lag
    limits = [bytes_of(text) for text in request.values('lag')]
    return all(limit is not None and lag is not None and lag <= limit for limit in limits)


def _confirming(*kinds: str) -> Check:
    """A replica for which commits wait in one of these ways, or do not."""
    return lambda request, view: _replica(request, view) and view.confirms in kinds


def _or_primary(check: Check) -> Check:
    return lambda request, view: _primary(request, view) or check(request, view)


def _never(request: Request, view: View) -> bool:
    return False


def _healthy(request: Request, view: View) -> bool:
    return view.checked_well


def _live(request: Request, view: View) -> bool:
    return not view.stuck


def _ready(request: Request, view: View) -> bool:
    """A primary, or a standby that streams and is as near as was asked for."""
    if view.serves:
        return True
    modes: List[str] = request.values('mode') or ['apply']
    if not view.standby or not view.streams or any(mode not in LAGS for mode in modes):
        return False
    lags = [LAGS[mode](view) for mode in modes]
    if not request.values('lag'):
        return _is_as_asked(request, view)
    return all(lag is not None and _is_as_asked(request, view, lag) for lag in lags)


LAGS: Dict[str, Callable[[View], Optional[int]]] = {
    'apply': lambda view: view.applied_lag, 'write': lambda view: view.written_lag}

CHECKS: Dict[str, Check] = {
    '/': _primary, '/primary': _primary, '/read-write': _primary, '/leader': _primary,
    OLDER_SPELLING: _primary,
    '/replica': _replica, '/read-only': _or_primary(_replica),
    '/sync': _confirming(SYNC), '/synchronous': _confirming(SYNC),
    '/quorum': _confirming(QUORUM),
    '/async': _confirming(ASYNC), '/asynchronous': _confirming(ASYNC),
    '/read-only-sync': _or_primary(_confirming(SYNC)),
    '/read-only-synchronous': _or_primary(_confirming(SYNC)),
    '/read-only-quorum': _or_primary(_confirming(QUORUM)),
    '/standby-leader': _never, '/standby_leader': _never,
    '/health': _healthy, '/patroni': _healthy, '/liveness': _live, '/readiness': _ready,
}
