"""Which path is answered by what, and when it is rendered.

A page is rendered at most once in 100 ms, however many ask.  The status of a health check never
comes from there: it is judged when it is asked for, and that is when it is written.
"""

import json
import re
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple

from ahmlib.http import exposition, live, metrics, page, pages, timelines
from ahmlib.http.counters import Counters, path_label
from ahmlib.http.health import CHECKS
from ahmlib.http.looks import WalLooks
from ahmlib.http.request import METHODS, Request
from ahmlib.http.response import LINES, Response, as_json, as_text
from ahmlib.http.view import view_of
from ahmlib.utilities import status_check

if TYPE_CHECKING:
    from ahmlib.runtime.driver import Driver
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock, Loop
    from ahmlib.runtime.reload import Reload

RENDERED_SECONDS = 0.1
LOG_SECONDS = 60.0
EVENTS_MAX = 200
#: What Patroni changes by HTTP, and what does it here.
INSTEAD = {
    '/switchover': 'ahm_promote_node', '/failover': 'ahm_promote_node',
    '/restart': 'ahm_restart_database', '/reinitialize': 'ahm_attach_node',
    '/reload': 'ahm reload', '/config': 'ahm reload', '/sigterm': 'ahm stop'}

Rendered = Tuple[float, bytes]


class Site:
    """All that is answered, of one Driver."""

    def __init__(self, driver: 'Driver', counters: Counters, looks: WalLooks, reload: 'Reload',
                 loop: 'Loop', log: 'Log', clock: 'Clock') -> None:
        self.driver, self._counters, self._reload = driver, counters, reload
        self._looks = looks
        self._loop, self._log, self._clock = loop, log, clock
        self._rendered: Dict[str, Rendered] = {}
        self._page_for_people = page.load()
        self._pages: Dict[str, Callable[[], Any]] = {
            '/patroni': self._node, '/cluster': self._cluster, '/status': self._status,
            '/config': self._config, '/history': self._history}

    def answer(self, request: Request) -> Response:
        """The answer as of now.  A bug here costs an answer, and is logged; no daemon ends by it.
        """
        try:
            return self._answer(request)
        except Exception:
            if self._log.bounded('http bug', LOG_SECONDS):
                self._log.error('a bug in the answer to an HTTP request: %s',
                                traceback.format_exc())
            return as_text(500, 'a bug: see the log')

    def _answer(self, request: Request) -> Response:
        if request.method not in METHODS:
            instead = INSTEAD.get(request.path, 'a utility of AHM')
            return as_text(405, 'nothing is changed by HTTP: use %s' % instead,
                           ('Allow', ', '.join(METHODS)))
        if request.path in CHECKS:
            return self._checked(request)
        if request.path == '/ui':
            return self._page_for_people.response(200)
        if request.path == '/events':
            return self._events_after(request)
        if request.path == '/metrics':
            return self._metrics('patroni' in request.values('names'))
        if request.path == '/status' and 'short' in request.values('hears'):
            return Response(200, self._once(
                'short', lambda: as_json(200, live.short(self._status())).body))
        if request.path in self._pages:
            return Response(200, self._page(request.path))
        return as_text(404, 'there is no such page')

    def _checked(self, request: Request) -> Response:
        """The answer of a health check; who looks with a browser is shown the page."""
        is_for_people = request.path == '/' and 'text/html' in request.headers.get('accept', '')
        body = self._page('/patroni') if request.method == 'GET' and not is_for_people else b''
        # Last: what is said was so when the answer left, not before its body was made.
        code = 200 if self._is_so(request) else 503
        return self._page_for_people.response(code) if is_for_people else Response(code, body)

    def _is_so(self, request: Request) -> bool:
        """The check as of this instant; deadlines come first, for this process may be late."""
        self.driver.tick()
        return CHECKS[request.path](request, view_of(self.driver.node, self._clock()))

    def _page(self, path: str) -> bytes:
        return self._once(path, lambda: as_json(200, self._pages[path]()).body)

    def _once(self, key: str, make: Callable[[], bytes]) -> bytes:
        now = self._clock()
        at, body = self._rendered.get(key, (now, b''))
        if not body or not now < at + RENDERED_SECONDS:
            body = make()
            self._rendered[key] = now, body
        return body

    @property
    def known(self) -> Set[str]:
        """All paths that are there."""
        return {'/events', '/metrics', '/ui'}.union(CHECKS, self._pages)

    def answered(self, request: Optional[Request], code: int) -> None:
        """Count an answer that has begun to leave."""
        self._counters.http_answered(path_label(request, self.known), code)

    def _status(self) -> pages.Page:
        status = self.driver.status()
        more = live.live(self.driver, status, self._events(), self._clock(),
                         self._page_for_people.digest)
        return dict(status_check.told(status), live=more)

    def _node(self) -> pages.Page:
        return pages.node_page(self.driver.node, self.driver.server.version,
                               self._counters.majority_at)

    def _history(self) -> List[List[Any]]:
        node = self.driver.node
        return timelines.history_page(self._looks.found, self._events(), node.parts.place.record,
                                      node.facts.names)

    def _config(self) -> pages.Page:
        return pages.config_page(self.driver.node, self.driver.config)

    def _metrics(self, with_patroni: bool) -> Response:
        def make() -> bytes:
            now = self._clock()
            status = self.driver.status()
            seen = metrics.Seen(
                self.driver, self._counters, status, view_of(self.driver.node, now),
                self._events(), self._config(), self._reload.taken, self._looks.found, now,
                time.time())
            text = metrics.render(seen, self._loop)
            if with_patroni:
                text += metrics.render_patroni(seen, self._node())
            return text.encode('utf-8', 'replace')
        return Response(200, self._once('/metrics %d' % with_patroni, make), exposition.KIND)

    def _cluster(self) -> pages.Page:
        return pages.cluster_page(self.driver.node, self.driver.status(),
                                  self.driver.config.http_port)

    # -- events --------------------------------------------------------------------------------

    def _events(self) -> List[pages.Page]:
        history = self.driver.history
        return [] if history is None else history.kept()

    def _events_after(self, request: Request) -> Response:
        """Lines of the history of events, oldest first: those after since=TERM,NUMBER, and of
        them the newest last=N, else the oldest.
        """
        after: Optional[List[int]] = [0, 0]
        for text in request.values('since'):
            after = _place(text)
        if after is None:
            return as_text(400, 'since: expected TERM,NUMBER, such as 4,1070')
        last = request.values('last')
        if any(not re.fullmatch('[0-9]{1,9}', text) for text in last):
            return as_text(400, 'last: expected a number of events, such as 50')
        found = [event for event in self._events() if [event['term'], event['seq']] > after]
        for text in last:
            found = found[max(0, len(found) - min(int(text), EVENTS_MAX)):]
        lines = [json.dumps(event, sort_keys=True) + '\n' for event in found[:EVENTS_MAX]]
        return Response(200, ''.join(lines).encode('ascii'), LINES)


def _place(text: str) -> Optional[List[int]]:
    found = re.fullmatch('([0-9]{1,18}),([0-9]{1,18})', text)
    return None if found is None else [int(found.group(1)), int(found.group(2))]
