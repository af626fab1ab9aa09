"""The live page as the daemon gives it: the file, its policy, where it stands, what it reads."""

import base64
import hashlib
import os
import re
import runpy
import sys
import types

import pytest

from ahmlib.core.consensus.speaking import STALL_SECONDS, TRY_STALL_SECONDS
from ahmlib.core.settings import SynchronousMode
from ahmlib.http import live, page, view
from ahmlib.http.counters import path_label
from ahmlib.http.request import Request
from ahmlib.http.response import HEADERS, render
from ahmlib.ipc.listeners import IpcError
from ahmlib.utilities import status_check
from release import deb, tarball
from tests.browser import samples

from .pages import ROOT

PATH = os.path.join('ahmlib', 'http', 'ui.html')
HTML = {'accept': 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'}


@pytest.fixture(scope='module')
def world():
    """Three nodes; the first one leads."""
    return samples.formed()


@pytest.fixture(scope='module')
def text():
    """The page."""
    with open(os.path.join(ROOT, PATH), encoding='utf-8') as file:
        return file.read()


def asked(world, path, own=0, method='GET', headers=None, query=()):
    """What a node answers."""
    return samples.site_of(world, own)._answer(Request(method, path, query, headers or {}))


# -- the file ----------------------------------------------------------------------------------


def test_it_is_small_and_needs_nothing_from_elsewhere(text):
    assert len(text.encode('utf-8')) < 60000
    # A link that a browser would follow by itself, and what makes markup of a text.
    assert not re.search(r'(src|href|action)=["\'](?!data:,|\?lang=|#|")', text)
    assert not re.search(r'@import|url\(|innerHTML|outerHTML|insertAdjacent|document\.write|eval\('
                         r'|new Function|srcdoc|localStorage|cookie', text)
    assert not re.search(r'\son\w+=|style="', text)     # the policy would refuse both
    assert text.count('<script>') == text.count('<style>') == 1


def test_its_policy_names_what_stands_in_it_and_nothing_else(text):
    policy = dict(part.split(' ', 1) for part in page.load().policy.split('; '))
    for tag in ('script', 'style'):
        inside = text.split('<%s>' % tag)[1].split('</%s>' % tag)[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode('utf-8')).digest()).decode()
        assert policy[tag + '-src'] == "'sha256-%s'" % digest
    assert policy['default-src'] == policy['frame-ancestors'] == "'none'"
    assert policy['connect-src'] == "'self'" and policy['img-src'] == 'data:'


def test_a_page_that_is_not_there_is_told_at_the_start(tmp_path):
    with pytest.raises(IpcError) as caught:
        page.load(str(tmp_path / 'none.html'))
    assert 'none.html cannot be read' in str(caught.value) and 'http_port' in str(caught.value)


def test_it_travels_with_ahm(tmp_path, monkeypatch):
    told = {}
    monkeypatch.setitem(sys.modules, 'setuptools', types.SimpleNamespace(
        find_packages=lambda include: include, setup=told.update))
    runpy.run_path(os.path.join(ROOT, 'setup.py'))
    assert told['package_data'] == {'ahmlib.http': ['ui.html']}
    assert tarball.own()[PATH].data == page.load().body
    deb.stage(str(tmp_path))
    assert (tmp_path / deb.HOME / PATH).read_bytes() == page.load().body


# -- where it is -------------------------------------------------------------------------------


@pytest.mark.parametrize('path, headers, own, code', [
    ('/ui', {}, 1, 200), ('/', HTML, 0, 200), ('/', HTML, 1, 503)])
def test_it_is_at_ui_and_at_the_root_for_who_looks_with_a_browser(world, path, headers, own, code):
    response = asked(world, path, own, headers=headers)
    assert (response.code, response.kind) == (code, page.KIND)
    assert response.body == page.load().body
    head, _, body = render(response, 'GET').partition(b'\r\n\r\n')
    assert body == response.body
    lines = head.decode().split('\r\n')
    assert lines[0].startswith('HTTP/1.1 %d ' % code)
    for line in ('X-Content-Type-Options: nosniff', 'Cache-Control: no-store',
                 'Content-Security-Policy: ' + page.load().policy,
                 'Content-Type: text/html; charset=utf-8', 'Content-Length: %d' % len(body)):
        assert lines.count(line) == 1, line
    assert head.count(b'Content-Security-Policy') == 1
    # As a browser may ask first: the same head, and no body.
    assert render(asked(world, path, own, 'HEAD', headers), 'HEAD') == head + b'\r\n\r\n'
    assert render(asked(world, path, own, 'OPTIONS', headers), 'OPTIONS').endswith(b'\r\n\r\n')


@pytest.mark.parametrize('path, headers', [
    ('/', {}), ('/', {'accept': '*/*'}), ('/', {'accept': 'application/json'}), ('/primary', HTML),
    ('/leader', HTML), ('/health', HTML)])
def test_a_check_is_answered_as_ever(world, path, headers):
    response = asked(world, path, headers=headers)
    assert response.code == 200 and b'"role": "primary"' in response.body
    assert dict(HEADERS)['Content-Security-Policy'].encode() in render(response, 'GET')


def test_it_is_read_once_and_never_in_the_loop(world, monkeypatch):
    site = samples.site_of(world)
    monkeypatch.setattr(page, 'load', lambda: 1 / 0)
    monkeypatch.setattr('builtins.open', lambda *words: 1 / 0)
    assert site._answer(Request('GET', '/ui')).code == 200
    assert path_label(Request('GET', '/ui'), site.known) == '/ui'
    assert {'/ui', '/status', '/primary'} <= site.known


# -- what it reads -----------------------------------------------------------------------------


def test_the_status_is_what_json_prints_and_what_the_page_needs_besides(world):
    status, driver = samples.status_of(world), samples.Driver(world, 0)
    more = status.pop('live')
    assert status == status_check.told(driver.status())
    assert status['text'] == '%s: %s' % (more['check'], more['verdict'])
    assert more['findings'] == [] and more['check'] == 'OK'
    assert more['failover'] == {'host': [1.2375, 1.7375], 'database': [0.5, 1.0], 'takeover': None}
    assert more['lease']['kind'] == 'lease' and more['lease']['seconds'] == 1.125
    assert 0 < more['lease']['remaining'] <= 1.125
    follower = samples.status_of(world, 1)['live']['lease']
    assert follower['kind'] == 'promise' and 0 < follower['remaining'] <= follower['seconds']


def test_a_takeover_is_told_with_its_steps_by_who_did_it():
    world, new = samples.failed_over()
    more, other = (samples.status_of(world, own)['live'] for own in (new, 3 - new))
    assert more['takeover']['kind'] == 'failover' and other['takeover'] is None
    steps = {step['name']: step['took'] for step in more['takeover']['steps']}
    assert more['failover']['takeover'] == pytest.approx(
        sum(steps.values()) - steps['detection'] - steps['election'])
    assert more['findings'][0][0] == 'WARNING' and 'AHM-NODE-1 is LOST' in more['findings'][0][1]
    assert more['newest_event'] == [samples.events_of(world, new)[-1][key]
                                    for key in ('term', 'seq')]


def test_who_leads_without_an_end_and_who_is_bound_have_no_seconds_left(world):
    parts = samples.Driver(world, 1).node.parts
    promise, bound = parts.consensus.promise, parts.consensus.promise.bound
    promise.bound = True
    try:
        assert live._lease(parts, 0.0)['remaining'] is None
    finally:
        promise.bound = bound


def test_how_many_confirm_a_commit_is_the_word_of_the_leader():
    world = samples.formed(synchronous=1)
    for own in range(3):
        told = samples.status_of(world, own)['live']['confirming']
        assert told['needed'] == 1 and len(told['members']) == 2 and not told['wait']
        assert set(told['streaming']) <= set(told['members']) and told['streaming']


def test_commits_that_wait_are_told_and_a_standby_that_is_gone_does_not_stream():
    world = samples.formed(synchronous=1)
    for place in (1, 2):
        world.hosts[place].database.stop()
    assert world.run_until(lambda: world.hosts[0].node.parts.database.commits_wait, 30.0)
    world.run(5.0)
    for own in range(3):
        told = samples.status_of(world, own)['live']
        assert told['confirming']['wait'] and told['confirming']['streaming'] == []
    assert told['findings'][0][0] == 'CRITICAL' and 'commits wait' in told['findings'][0][1]


def test_commits_that_wait_in_a_strict_synchronous_mode_are_told_too():
    """There it is another trouble that says it."""
    world = samples.formed(synchronous_mode=SynchronousMode.STRICT)
    assert samples.status_of(world)['live']['confirming']['wait'] is False
    for place in (1, 2):
        world.hosts[place].database.stop()
    world.run(20.0)
    assert samples.status_of(world)['live']['confirming']['wait'] is True


def test_a_disk_that_is_silent_for_a_moment_does_not_make_the_daemon_stuck():
    world = samples.formed()
    speaker, now = world.hosts[1].node.consensus.speaker, world.hosts[1].node.facts.now
    speaker.saving_since = speaker.unsaved_since = now - STALL_SECONDS
    assert speaker.stalls() and view.why_stuck(world.hosts[1].node.parts, now) == ''
    speaker.saving_since = now - TRY_STALL_SECONDS
    assert view.why_stuck(world.hosts[1].node.parts, now) == 'the disk of data_dir does not answer'


def test_what_is_configured_otherwise_is_told_with_both_values(world):
    parts = samples.Driver(world, 0).node.parts
    assert live._differences(parts) == []
    settings = parts.facts.settings
    parts.facts.settings = settings._replace(interval=2.0, retries=9)
    try:
        found = live._differences(parts)
    finally:
        parts.facts.settings = settings
    assert {(each['parameter'], each['here'], each['node'], each['there']) for each in found} == {
        (name, here, node, there) for node in ('AHM-NODE-2', 'AHM-NODE-3')
        for name, here, there in (('beacon_message_interval_seconds', '2', '0.5'),
                                  ('beacon_message_retry_count', '9', '2'))}


def test_of_many_nodes_it_is_told_who_does_not_hear_whom():
    names = ['n%d' % number for number in range(20)]
    nodes = [{'name': name, 'address': 'a', 'port': 1,
              'hears': [each for each in names if each != name]} for name in names]
    status = {'nodes': nodes}
    assert live._deaf(status) == [] and all(
        node['hears'] is None for node in live.short(status)['nodes'])
    nodes[3]['hears'] = ['n0']
    nodes[5]['hears'].remove('n4')
    nodes.append({'name': None, 'address': 'fe80::1', 'port': 2, 'hears': None})
    assert live._deaf(status) == [
        {'node': 'n3', 'misses': sorted(set(names) - {'n0', 'n3'})[:12], 'more': 6},
        {'node': 'n5', 'misses': ['n4'], 'more': 0}]
    assert live._name(nodes[-1]) == '[fe80::1]:2'
    with open(page.PATH, encoding='utf-8') as file:
        assert 'MATRIX_MOST = %d,' % live.MATRIX_MOST in file.read()
    few = {'nodes': nodes[:12]}
    assert live.short(few) is few


def test_the_newest_events_are_given_to_who_asks_for_the_last(world):
    whole = samples.events_of(world)
    count = len(whole)
    for last, expected in (('2', 2), ('0', 0), (str(count), count), ('999999', count)):
        lines = asked(world, '/events', query=(('last', last),)).body.decode().splitlines()
        assert len(lines) == expected
        assert [json_seq(line) for line in lines] == [
            event['seq'] for event in whole[count - expected:]]
    assert asked(world, '/events', query=(('last', 'many'),)).code == 400
    after = '%d,%d' % (whole[1]['term'], whole[1]['seq'])
    body = asked(world, '/events', query=(('since', after), ('last', '1'))).body.decode()
    assert body.count('\n') == 1 and json_seq(body) == whole[-1]['seq']


def json_seq(line):
    """The number of the event in a line."""
    return int(re.search(r'"seq": (\d+)', line).group(1))
