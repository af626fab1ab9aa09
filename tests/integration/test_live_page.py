"""The live page of real daemons in a real browser: a failover, a daemon that hangs, a restart."""

import pytest

from tests.browser.chromium import LACK, Chromium
from tests.browser.test_live_page import IS_FRESH
from tests.lab.cluster import loopback_available

from .doors import HTTP_PORT, ask
from .scenarios import CALM, FIRST, NAMES, formed, is_led_by_another

WHY = LACK or loopback_available()
pytestmark = pytest.mark.skipif(bool(WHY), reason=str(WHY))


@pytest.fixture
def browser():
    """A browser."""
    found = Chromium()
    yield found
    found.close()


def page_of(browser, node, path='/ui'):
    """The live page of a node, opened."""
    page = browser.page()
    page.go('http://%s:%d%s' % (node.host.address, HTTP_PORT, path))
    page.wait(IS_FRESH)
    return page


def test_the_page_sees_a_failover_a_daemon_that_hangs_and_a_restart(browser):
    with formed(kind='loopback', settings=dict(CALM, http_port=HTTP_PORT)) as scenario:
        cluster = scenario.cluster
        first = cluster.nodes[0]
        pages = {node.name: page_of(browser, node) for node in cluster.nodes}
        at_root = page_of(browser, cluster.nodes[2], '/')       # 503, and the page all the same
        for page in list(pages.values()) + [at_root]:
            page.reads('#verdict', 'leader %s' % FIRST)
            page.reads('#tiles', 'on %s, as seen there' % FIRST)
        links = pages[FIRST].evaluate('[...document.querySelectorAll("#rows a[href]")].map('
                                      'link => link.href)')
        assert links == ['http://%s:%d/ui' % (node.host.address, HTTP_PORT)
                         for node in cluster.nodes[1:]]

        first.kill_database()
        new = is_led_by_another(cluster, FIRST)
        for page in pages.values():
            page.wait('document.querySelector("#tiles .name").innerText === "%s"' % new)
            page.reads('#tiles', 'on %s, as seen there' % new)
        drawn = pages[new]
        drawn.reads('#takeover', 'failover')
        drawn.reads('#legend', 'promotion')
        drawn.reads('#events', 'failover')
        assert drawn.evaluate('document.querySelectorAll("#steps i").length') > 3
        other = next(name for name in NAMES if name not in (FIRST, new))
        pages[other].reads('#told', 'Who took over shows its own')

        # SIGSTOP: its port still takes connections, and nobody answers.
        watched = cluster.node(other)
        watched.freeze_ahm()
        try:
            pages[other].reads('#verdict', 'stale for')
            pages[other].reads('#stale', 'no answer in time')
            pages[new].reads('#rows', 'LOST')
        finally:
            watched.thaw_ahm()
        pages[other].wait(IS_FRESH)
        pages[other].reads('#tiles', 'on %s, as seen there' % new)

        # A daemon that ends, and one that begins: its port is closed in between.
        told = pages[other].evaluate('document.querySelectorAll("#events li").length')
        watched.kill_ahm()
        pages[other].reads('#stale', 'no connection')
        watched.start_ahm()
        pages[other].wait(IS_FRESH)
        pages[other].reads('#events', 'daemon started')
        assert pages[other].evaluate('document.querySelectorAll("#events li").length') >= min(
            told, 50)
        for page in list(pages.values()) + [at_root]:
            assert page.complaints == []
        counted = ask(watched, '/metrics')[1].decode()
        assert 'ahm_http_requests_total{path="/status",code="200"}' in counted
