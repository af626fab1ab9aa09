"""The live page as people have it before them: what it shows, says, and survives."""
import copy
import json
import re

import pytest

from ahmlib.http import page as pages
from ahmlib.http.response import BODY_BYTES_MAX, as_text

from . import samples
from .chromium import LACK, Chromium
from .stub import Stub, rendered

pytestmark = pytest.mark.skipif(bool(LACK), reason=LACK)

IS_STALE = 'document.querySelector("#frame").classList.contains("stale")'
IS_FRESH = '!%s && !document.querySelector("#main").hidden' % IS_STALE


@pytest.fixture(scope='module')
def browser():
    """One browser for all."""
    found = Chromium()
    yield found
    found.close()


@pytest.fixture(scope='module')
def well():
    """/status of the leader of a cluster that is well, and its events."""
    world = samples.formed()
    return samples.status_of(world), samples.events_of(world)


@pytest.fixture(scope='module')
def after():
    """The same of who leads after a failover, and /status of the other one that is left."""
    world, new = samples.failed_over()
    return (samples.status_of(world, new), samples.events_of(world, new),
            samples.status_of(world, 3 - new))


@pytest.fixture
def opened(browser):
    """opened(status, events, languages) -> (its page, its stub); it must not complain."""
    found = []

    def open_page(status, events=(), languages='en-US,en', path='/ui'):
        stub, page = Stub(status, events), browser.page(languages)
        found.append((page, stub))
        page.go(stub.url + path)
        return page, stub
    yield open_page
    for page, stub in found:
        complaints = page.complaints
        page.close()
        stub.close()
        assert complaints == []


def changed(status, **live):
    """A copy of a status, with other things in `live`."""
    found = copy.deepcopy(status)
    found['live'].update(live)
    return found


# -- what is shown -----------------------------------------------------------------------------


def test_it_shows_what_the_status_says(opened, well):
    status, events = well
    page, stub = opened(status, events)
    page.reads('#verdict', 'leader AHM-NODE-1, successor AHM-NODE-2, 3 of 3 nodes alive')
    assert page.text('#badge') == 'OK' and status['live']['check'] == 'OK'
    tiles = page.text('#tiles')
    for part in ('10.0.0.100', 'on AHM-NODE-1, as seen there', '3 of 3',
                 'AHM-NODE-2 in 1.2 to 1.7 s', 'asynchronous'):
        assert part in tiles, part
    rows = page.evaluate('[...document.querySelectorAll("#rows tr")].map(row => row.innerText)')
    assert 'leads' in rows[0] and 'yes, the successor' in rows[1] and 'streaming' in rows[2]
    page.wait('document.querySelectorAll("#events li").length === %d' % len(events))
    newest = events[-1]
    assert newest['text'] in page.text('#events li')
    assert page.evaluate('document.title') == 'OK · AHM-NODE-1 · AHM'
    # It asks again, and asks for events where there are new ones only.
    page.wait('performance.getEntriesByType("resource").filter('
              'each => each.name.includes("/status?")).length >= 3')
    assert stub.count('/events') == 1


def test_after_a_failover_it_says_what_is_wrong_and_draws_what_was_done(opened, after):
    status, events, other = after
    page, _ = opened(status, events)
    page.reads('#verdict', 'AHM-NODE-1 is LOST')
    assert page.text('#badge') == 'WARNING'
    steps = status['live']['takeover']['steps']
    assert page.evaluate('document.querySelectorAll("#steps i").length') == len(steps) > 4
    widths = page.evaluate(
        '[...document.querySelectorAll("#steps i")].map(bar => bar.offsetWidth)')
    assert widths.index(max(widths)) == max(
        range(len(steps)), key=lambda place: steps[place]['took'])
    assert 'detection' in page.text('#legend') and '%.3f s' % steps[0]['took'] in page.text(
        '#legend')
    assert 'not heard for' in page.text('#rows tr')
    page, _ = opened(other)
    page.reads('#told', 'None in its history')
    assert page.text('#told a') == status['asked']


def test_who_reads_korean_is_told_in_korean_and_who_wants_english_gets_it(opened, after):
    status, events, _ = after
    page, stub = opened(status, events, 'ko-KR,ko,en')
    page.reads('#badge', '경고')
    assert page.evaluate('document.documentElement.lang') == 'ko'
    assert '지금 Primary가 죽는다면' in page.text('#tiles') and '감지' in page.text('#legend')
    assert page.evaluate('document.querySelector("#verdict").lang') == 'en'
    assert 'accept-language: ko-kr' in stub.asked[0][1].lower()
    page.evaluate('document.querySelector("#language").click()')
    page.reads('#badge', 'WARNING')
    assert page.evaluate('document.documentElement.lang') == 'en'
    # Neither of the two: English; and the order of who reads counts.
    for languages, word in (('de-DE,de', 'WARNING'), ('fr,ko', '경고'), ('en,ko', 'WARNING')):
        page, _ = opened(status, (), languages)
        page.reads('#badge', word)


def test_every_word_is_there_in_both_languages(opened, well):
    """A word that is missing would be an exception, so all states are shown in each."""
    status = well[0]
    sync = {'needed': 1, 'members': ['a', 'b'], 'streaming': ['a'], 'wait': False}
    cases = [dict(changed(status, lease=None, confirming=None), leader=None, successor=None,
                  has_majority=False),
             dict(changed(status, lease={'kind': 'promise', 'seconds': 2.0, 'remaining': None},
                          confirming=sync), successor=None, virtual_ip=None),
             dict(changed(status, confirming=dict(sync, streaming=[], wait=True), page='another',
                          differences=[{'parameter': 'virtual_IP', 'here': '1', 'node': 'b',
                                        'there': ''}]), paused=True, advice=['priority: 0'])]
    for node, state in zip(cases[0]['nodes'], ({'out': True}, {'database': 'PRIMARY'},
                                               {'maintenance': True, 'hears': None})):
        node.update(state)
    both = [opened(status, (), languages) for languages in ('en', 'ko')]
    for number, case in enumerate(cases, 1000):
        case['term'] = number
        for _, stub in both:
            stub.status(case)
        for page, _ in both:
            page.reads('#about', 'term %d' % number)
            assert page.evaluate(IS_FRESH)
            words = page.evaluate('document.body.innerText')
            assert not re.search(r'undefined|\{\d\}|NaN|\[object', words), words


def test_a_pause_differences_and_commits_that_wait_are_in_plain_sight(opened, well):
    status = changed(
        well[0], confirming={'needed': 1, 'members': ['AHM-NODE-2'], 'streaming': [],
                             'wait': True},
        differences=[{'parameter': 'virtual_IP', 'here': '10.0.0.100', 'node': 'AHM-NODE-3',
                      'there': '10.0.0.200'}])
    status['paused'] = True
    page, _ = opened(status)
    page.reads('#paused', 'ahm_resume_cluster')
    assert 'commits wait' in page.text('#tiles') and 'nobody takes over' in page.text('#tiles')
    assert '10.0.0.200 · AHM-NODE-3' in page.text('#differences')


def test_it_leads_to_the_pages_of_the_other_nodes(opened, well):
    status = copy.deepcopy(well[0])
    status['nodes'][2]['address'] = '2001:db8::3'
    page, _ = opened(status, (), path='/ui?lang=ko')
    page.reads('#badge', '정상')
    links = page.evaluate('[...document.querySelectorAll("#rows a.name")].map('
                          'link => link.getAttribute("href"))')
    assert links == [None, 'http://10.0.0.2:8008/ui?lang=ko', 'http://[2001:db8::3]:8008/ui?lang=ko']


def test_another_version_of_the_page_is_offered(opened, well):
    page, stub = opened(well[0])
    page.wait(IS_FRESH)
    assert page.evaluate('document.querySelector("#renewed").hidden')
    stub.status(changed(well[0], page='0123456789abcdef'))
    page.reads('#renewed', 'Load it')


# -- for everybody -----------------------------------------------------------------------------


def test_it_is_used_by_keyboard(opened, well):
    page, _ = opened(*well)
    page.wait(IS_FRESH)
    focused = 'document.activeElement.id || document.activeElement.textContent'
    page.press('Tab', 9)
    assert 'Skip to the nodes' in page.evaluate(focused)
    assert page.evaluate('document.activeElement.getBoundingClientRect().width > 40')
    page.press('Enter', 13, '\r')
    page.wait('document.activeElement.id === "nodes"')
    page.press('Tab', 9)
    assert page.evaluate(focused) == 'AHM-NODE-2'
    assert page.evaluate('getComputedStyle(document.activeElement).outlineStyle') == 'solid'


CONTRAST = '''(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => { const each = [r, g, b].map(value => (value /= 255) <= .04045
    ? value / 12.92 : ((value + .055) / 1.055) ** 2.4);
    return .2126 * each[0] + .7152 * each[1] + .0722 * each[2]; };
  const behind = element => { for (; element; element = element.parentElement) {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour; } return [255, 255, 255]; };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(each => each.nodeType === 3 && each.data.trim());
    if (!own || !element.getClientRects().length || element.closest('.unseen, .skip')) continue;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(light);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push([ratio.toFixed(2), element.className,
      element.textContent.slice(0, 40)]);
  }
  return found; })()'''


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_every_text_stands_out_from_what_is_behind_it(opened, after, scheme):
    page, _ = opened(*after[:2])
    page.looks(1280, 900, scheme)
    page.reads('#verdict', 'LOST')
    page.wait('document.querySelectorAll("#events li").length > 3')
    assert page.evaluate(CONTRAST) == []
    dark = page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(14, 18, 23)'
    assert dark is (scheme == 'dark')


@pytest.mark.parametrize('width', [360, 700, 900, 1280])
def test_nothing_is_wider_than_the_window(opened, after, width):
    status = copy.deepcopy(after[0])
    status['nodes'][0]['name'] = status['live']['findings'][0][1] = 'A-name-without-a-blank-' * 4
    for languages in ('en', 'ko'):
        page, _ = opened(status, after[1], languages)
        page.looks(width, 800)
        page.wait(IS_FRESH)
        page.wait('document.querySelectorAll("#events li").length > 3')
        assert page.evaluate('document.documentElement.scrollWidth') == width
        assert page.evaluate('''[...document.querySelectorAll("body *")].filter(each =>
            !each.closest(".scroll, .unseen, .skip") && each.getBoundingClientRect().right
            > innerWidth + 1).map(each => each.outerHTML.slice(0, 99))''') == []


def test_states_are_words_and_not_colours_alone(opened, after):
    page, _ = opened(*after[:2])
    page.reads('#verdict', 'LOST')
    page.wait('document.querySelectorAll("#events li").length > 3')
    marked = page.evaluate('[...document.querySelectorAll(".mark")].map(each => each.innerText)')
    assert len(marked) > 9 and all(text.strip() for text in marked)
    assert page.evaluate('[...document.querySelectorAll(".hears td:not(.none)")].every('
                         'cell => cell.getAttribute("aria-label"))')


# -- what goes wrong ---------------------------------------------------------------------------

HOSTILE = ('<img src=x onerror="window.bad=1">', '<script>window.bad=1</script>',
           '"><svg onload=window.bad=1>', "javascript:window.bad=1//", '\u202egnp.exe',
           '__proto__', 'constructor', '{0}{1}', '&lt;b&gt;')


@pytest.mark.parametrize('evil', HOSTILE)
def test_what_holds_markup_is_text(opened, after, evil):
    def worse(value):
        if isinstance(value, dict):
            return {key: worse(each) for key, each in value.items()}
        if isinstance(value, list):
            return [worse(each) for each in value]
        return evil + value if isinstance(value, str) else value
    status, events = worse(after[0]), worse(after[1])
    status['schema'] = 1
    page, stub = opened(status, events)
    elements = page.wait('document.querySelectorAll("#events li").length > 3 && '
                         'document.querySelectorAll("*").length')
    assert page.evaluate('window.bad') is None
    assert page.evaluate('document.querySelectorAll("img, svg, iframe, object").length') == 0
    assert page.evaluate('document.querySelectorAll("script").length') == 1
    assert page.evaluate('[...document.querySelectorAll("a[href]")].every('
                         'link => /^https?:$/.test(link.protocol))')
    shown = page.evaluate('document.body.textContent')
    for value in (status['nodes'][0]['reason'], status['live']['findings'][0][1],
                  events[-1]['text'], status['nodes'][1]['name']):
        assert value in shown
    assert elements < 1000


def test_a_script_that_gets_into_the_page_is_not_run(browser, well):
    """What else must not be: the policy refuses it, and this is how a violation is seen."""
    stub, page = Stub(well[0]), browser.page()
    whole = pages.load().response(200)
    body = whole.body.replace(b'<main', b'<script>window.bad=1</script><p style="color:red">x</p>'
                              b'<img src="http://127.0.0.1:1/x" onerror="window.bad=1"><main')
    stub.answers['/ui'] = lambda: rendered(whole._replace(body=body))
    page.go(stub.url + '/ui')
    page.wait(IS_FRESH)
    assert page.evaluate('window.bad') is None
    assert len([each for each in page.complaints if 'Content Security Policy' in each]) >= 3
    page.close()
    stub.close()


def wrong_answers(status):
    """What is answered instead of a status, and what the page says of it."""
    whole = json.dumps(status).encode()
    head = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n'
    full = head % len(whole)

    def json_of(value):
        body = json.dumps(value).encode()
        return head % len(body) + body
    return {
        'silent': (None, 'no answer in time'),
        '503': (rendered(as_text(503, 'the answer would have more')), 'status 503'),
        'half': (full + whole[:len(whole) // 2], 'no status'),
        'half without a length': (full.replace(b'Content-Length', b'X') + whole[:999], 'no status'),
        'no HTTP': (b'\0\1\2 nonsense', 'no connection'),
        'nothing': (b'', 'no connection'),
        'moved': (b'HTTP/1.1 302 Found\r\nLocation: /ui\r\nContent-Length: 0\r\n\r\n',
                  'no connection'),
        'no JSON': (head % 6 + b'<html>', 'no status'),
        'null': (json_of(None), 'no status'), 'list': (json_of([1]), 'no status'),
        'no nodes': (json_of(dict(status, nodes=[None])), 'no status'),
        'another schema': (json_of(dict(status, schema=2)), 'no status'),
        'no live': (json_of(dict(status, live=None)), 'no status'),
        'wrong live': (json_of(changed(status, findings=[7], lease={'kind': 1})), 'no status'),
    }


def test_what_is_no_answer_makes_it_stale_and_an_answer_fresh_again(browser, well):
    status = well[0]
    tried = []
    for name, (answer, said) in wrong_answers(status).items():
        stub, page = Stub(status), browser.page()
        page.go(stub.url + '/ui')
        tried.append((name, answer, said, stub, page))
    for _, answer, _, stub, page in tried:
        page.wait(IS_FRESH)
        stub.answers['/status'] = lambda answer=answer: answer
    for name, _, said, stub, page in tried:
        page.wait(IS_STALE)
        page.reads('#verdict', 'stale for')
        page.reads('#stale', said)
        assert 'AHM-NODE-2' in page.text('#stale-links'), name
        assert page.text('#badge') == 'STALE' and 'STALE' in page.evaluate('document.title')
        # What was known is still there, and is not said to be so now.
        assert '10.0.0.100' in page.text('#tiles'), name
        stub.status(status)
    for name, _, _, stub, page in tried:
        page.wait(IS_FRESH)
        page.reads('#verdict', 'leader AHM-NODE-1')
        assert page.evaluate('document.querySelector("#stale").hidden'), name
        assert page.complaints == [], name
        page.close()
        stub.close()


def test_it_needs_three_misses_to_be_stale_and_counts_on(opened, well):
    page, stub = opened(well[0])
    page.wait(IS_FRESH)
    good, left = stub.answers['/status'], [2]

    def twice():
        left[0] -= 1
        return good() if left[0] < 0 else b''
    stub.answers['/status'] = twice
    page.evaluate('window.seen = []; new MutationObserver(() => window.seen.push(%s)).observe('
                  'document.querySelector("#frame"), {attributes: true})' % IS_STALE)
    page.browser_waits(lambda: left[0] <= -2)
    assert True not in page.evaluate('window.seen')
    stub.answers['/status'] = lambda: b''
    seconds = 'Number((/stale for (\\d+) s/.exec(document.querySelector("#verdict").innerText) ' \
        '|| [])[1])'
    first = page.wait(seconds)
    page.wait('%s > %d' % (seconds, first))


def test_who_comes_back_to_a_hidden_page_sees_no_old_one(browser, well):
    stub, page = Stub(well[0]), browser.page()
    # Its clock stands still: nothing but the first look and what is tried here asks.
    page.call('Page.addScriptToEvaluateOnNewDocument', source='window.setTimeout = () => 0')
    page.go(stub.url + '/ui')
    page.wait(IS_FRESH)
    assert stub.count('/status') == 1
    page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')
    page.browser_waits(lambda: stub.count('/status') == 2)
    page.close()
    stub.close()


def test_a_page_that_never_had_an_answer_says_so(opened):
    page, stub = opened(None)
    stub.answers['/status'] = lambda: b''
    page.reads('#verdict', 'does not answer')
    assert 'Nothing was answered yet' in page.text('#stale')
    assert page.evaluate('document.querySelector("#main").hidden')


def test_events_that_cannot_be_read_are_asked_for_again(opened, well):
    status, events = well
    page, stub = opened(status)
    page.wait(IS_FRESH)
    stub.status(changed(status, newest_event=[9, 9]))
    stub.answers['/events'] = lambda: b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"kind": '
    page.reads('#no-events', 'cannot be read')
    stub.events(events)
    page.wait('document.querySelectorAll("#events li").length === %d' % len(events))
    assert page.text('#no-events') == ''


# -- many, and long ----------------------------------------------------------------------------


def test_three_hundred_nodes(opened, well):
    status = samples.many(well[0], 300)
    status['nodes'][249].update(alive=False, state='LOST', eligible=False, reason='not heard')
    assert len(json.dumps(status)) < BODY_BYTES_MAX / 3
    status['live']['findings'] = [['WARNING', 'finding %d' % number] for number in range(100)]
    status['live']['findings_more'] = 50
    page, stub = opened(status)
    page.wait('document.querySelectorAll("#rows tr").length === 300')
    assert '299 of 300' in page.text('#tiles')
    # Who needs a look is not found by scrolling.
    assert 'AHM-NODE-250' in page.text('#rows tr:nth-child(2)')
    assert page.text('#deaf').startswith('AHM-NODE-8 does not hear: AHM-NODE-2, AHM-NODE-3')
    assert page.text('#deaf').endswith('AHM-NODE-13, and 3 more')
    assert page.evaluate('document.querySelector("#matrix").hidden')
    assert 'and 138 more' in page.text('#found')
    before = stub.count('/status')
    page.browser_waits(lambda: stub.count('/status') >= before + 3)
    assert page.evaluate(IS_FRESH)
    stub.status(well[0])        # a smaller nodes.conf
    page.wait('document.querySelectorAll("#rows tr").length === 3')


DAY = '''(() => {
  let now = 0, last = 0, asked = 0;
  const timers = new Map(), RealDate = Date;
  window.setTimeout = (call, ms) => { timers.set(++last, [now + (ms || 0), call]); return last; };
  window.clearTimeout = id => timers.delete(id);
  performance.now = () => now;
  window.Date = class extends RealDate {
    constructor(...words) { super(...(words.length ? words : [1796000000000 + now])); } };
  window.fetch = async url => {
    if (String(url).includes('events'))
      return {ok: true, status: 200, text: async () => window.lines.join('\\n')};
    asked += 1;
    if (asked % 1000 < 5) throw new TypeError('no connection');
    const status = JSON.parse(window.statuses[Math.floor(asked / 700) % window.statuses.length]);
    status.term = asked;
    status.live.newest_event = [1, Math.floor(asked / 60)];
    return {ok: true, status: 200, json: async () => status};
  };
  window.pass = async seconds => {
    for (const until = now + seconds * 1000; ;) {
      const due = [...timers].filter(([, [at]]) => at <= until)
        .sort((a, b) => a[1][0] - b[1][0])[0];
      if (!due) { now = until; return [asked, timers.size]; }
      timers.delete(due[0]);
      now = Math.max(now, due[1][0]);
      due[1][1]();
      for (let turn = 0; turn < 12; turn++) await null;
    }
  };
})()'''


def test_a_day_leaves_nothing_behind(browser, well, after):
    """Each second of it is a look, now and then without an answer, and often with news."""
    stub, page = Stub(well[0]), browser.page()
    page.call('Page.addScriptToEvaluateOnNewDocument', source=DAY + ';' + 'window.statuses = %s; '
              'window.lines = %s' % (json.dumps([json.dumps(each) for each in (well[0], after[0])]),
                                     json.dumps([json.dumps(each) for each in after[1]])))
    page.go(stub.url + '/ui')
    page.call('Performance.enable')

    def size():
        for _ in range(2):
            page.call('HeapProfiler.collectGarbage')
        metrics = {each['name']: each['value']
                   for each in page.call('Performance.getMetrics')['metrics']}
        return [metrics['JSHeapUsedSize'], metrics['Nodes'], metrics['JSEventListeners'],
                page.evaluate('document.querySelectorAll("*").length')]
    page.evaluate('pass(1400)')         # both statuses were shown
    first = size()
    for _ in range(23):
        asked, timers = page.evaluate('pass(3655)')
    page.evaluate('pass(%d)' % (86400 - 1400 - 23 * 3655 + 600))
    assert asked > 80000 and timers <= 2
    last = size()
    assert page.text('#badge') and page.complaints == []
    assert last[0] < first[0] + 500000, (first, last)
    assert all(now <= then + 20 for now, then in zip(last[1:], first[1:])), (first, last)
    page.close()
    stub.close()
