"""ahm_events: what it asks, in which order it shows, what it draws."""

import json
import time
from xml.etree import ElementTree

import pytest

from ahmlib.ipc import client
from ahmlib.utilities import common, event_plot, event_sources, events


def event(term, seq, node='db1', at='2026-11-30T06:00:00.000Z', kind='state', **more):
    """An event as a daemon tells it."""
    return dict({'schema': 1, 'at': at, 'node': node, 'term': term, 'seq': seq, 'kind': kind,
                 'cause': '', 'by': None, 'steps': [], 'text': 'a text'}, **more)


STEPS = [{'name': 'detection', 'at': '2026-11-30T06:00:00.000Z', 'took': 3.0},
         {'name': 'promotion <&>', 'at': '2026-11-30T06:00:03.000Z', 'took': 0.25}]
FAILOVER = event(5, 30, 'db2', '2026-11-30T06:00:03.250Z', 'failover', steps=STEPS,
                 text='db2 leads <in place> of db1 & all', cause='gone')


def test_the_order_is_that_of_terms_and_numbers_whatever_the_clocks_say():
    late = event(4, 9, 'db3', at='2026-11-30T09:00:00.000Z')
    found = event_sources.merged([FAILOVER, event(5, 29), late, event(5, 29), event(4, 9, 'db1')])
    assert [(one['term'], one['seq'], one['node']) for one in found] == [
        (4, 9, 'db1'), (4, 9, 'db3'), (5, 29, 'db1'), (5, 30, 'db2')]
    since = event_sources.moment('2026-11-30T06:00:03.000Z')
    assert event_sources.merged(found, since) == [late, FAILOVER]


@pytest.mark.parametrize('text, ago', [('90s', 90), ('15m', 900), ('2h', 7200), ('1.5d', 129600)])
def test_since_a_duration(text, ago):
    assert events.since_when(text, 1e9) == 1e9 - ago


@pytest.mark.parametrize('text', [
    '2026-11-30T06:15Z', '2026-11-30T06:15:00Z', '2026-11-30T06:15:00.000Z'])
def test_since_a_time_in_utc(text):
    assert events.since_when(text, 0.0) == event_sources.moment('2026-11-30T06:15:00.000Z')


def test_since_a_local_time():
    expected = time.mktime(time.strptime('2026-11-30', '%Y-%m-%d'))
    assert events.since_when('2026-11-30', 0.0) == expected


@pytest.mark.parametrize('text', ['', '2', '2w', '-2h', 'yesterday', '2026-13-01', '2hZ'])
def test_since_nothing_that_is_known_is_wrong_usage(text):
    with pytest.raises(common.Failure) as refused:
        events.since_when(text, 0.0)
    assert refused.value.code == common.USAGE and 'expected a duration' in str(refused.value)


def test_the_picture_is_well_formed_and_holds_the_steps():
    known = [event(5, 29, 'db1', '2026-11-30T06:00:02.000Z'), FAILOVER]
    assert event_plot.newest(known) is FAILOVER
    drawn = event_plot.picture(FAILOVER, known)
    text = ''.join(ElementTree.fromstring(drawn.encode('utf-8')).itertext())
    assert 'promotion <&>' in text and 'detection: 3.000 s' in text and '3.250 s' in text
    assert 'db1' in text and 'db2 leads <in place>' in text
    assert event_plot.newest([event(5, 29)]) is None
    # Each step has its colour beside its name in the list, too: a picture on paper has no pointer.
    bars = [(rect.get('fill'), rect[0].text.split(':')[0]) for rect in ElementTree.fromstring(
        drawn.encode('utf-8')).iter('{http://www.w3.org/2000/svg}rect') if len(rect)]
    for step in FAILOVER['steps']:
        colours = [colour for colour, title in bars if title == step['name']]
        assert len(colours) == 2 and len(set(colours)) == 1, step


@pytest.mark.parametrize('change', [
    {'at': 'today'}, {'term': '1'}, {'by': 'root'}, {'steps': [1]},
    {'steps': [{'name': 'x', 'at': '2026-11-30T06:00:00.000Z', 'took': '1'}]}, {'text': None}])
def test_what_is_no_event_is_not_believed(change):
    assert event_sources.is_event(FAILOVER) and not event_sources.is_event(
        dict(FAILOVER, **change))


STATUS = {'asked': 'db1', 'nodes': [
    {'name': 'db1', 'address': '192.0.2.1', 'port': 9500},
    {'name': 'db2', 'address': '192.0.2.2', 'port': 9500},
    {'name': None, 'address': '192.0.2.3', 'port': 9500}]}


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes that answer, in pages of one event, and one that does not."""
    history = {None: [event(5, 28, 'db1', text='evil \033[2J')], '192.0.2.2': [
        event(5, 29, 'db2'), FAILOVER]}

    def ask(request, host=None, port=0, socket_dir='', limit=0):
        if request['ask'] == 'status':
            return {'ok': True, 'status': STATUS}
        if host not in history:
            raise client.NoDaemon('no AHM daemon at %s' % host)
        found = [one for one in history[host]
                 if [one['term'], one['seq']] > list(request['after'])]
        return {'ok': True, 'events': found[:1], 'more': len(found) > 1}
    monkeypatch.setattr(client, 'ask', ask)
    return history


def test_all_nodes_are_shown_and_who_does_not_answer_is_named(cluster, capsys):
    assert events.main([]) == events.NOT_ALL
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 5 and '\033' not in said.out
    assert 'db2  term 5  failover: db2 leads' in lines[2]
    assert lines[3].split() == ['3.000', 's', 'detection']
    assert said.err == 'Warning: no events from 192.0.2.3:9500: no AHM daemon at 192.0.2.3\n'


def test_some_nodes_only(cluster, capsys):
    assert events.main(['--node', 'db2', '--json']) == common.OK
    told = json.loads(capsys.readouterr().out)
    assert [one['seq'] for one in told['events']] == [29, 30] and told['silent'] == {}
    assert (told['ok'], told['text'], told['exit_code']) == (True, '2 events', 0)
    with pytest.raises(common.Failure) as refused:
        events.main(['--node', 'db4'])
    assert refused.value.code == common.USAGE and 'db1, db2' in str(refused.value)


def test_json_names_who_does_not_answer(cluster, capsys):
    assert events.main(['--json']) == events.NOT_ALL
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told['exit_code'] == events.NOT_ALL and err == '' and len(told['events']) == 3
    assert told['silent'] == {'192.0.2.3:9500': 'no AHM daemon at 192.0.2.3'}


def test_a_node_is_asked_first_by_its_name(cluster, capsys):
    """The daemon of this host knows where that is; it is asked for events there, too."""
    cluster['192.0.2.1'] = cluster.pop(None)
    assert events.main(['-h', 'db1', '--node=db1']) == common.OK
    assert 'evil' in capsys.readouterr().out


def test_follow_shows_each_event_once_until_it_is_ended(cluster, capsys, monkeypatch):
    rounds = []

    def pause(seconds):
        rounds.append(seconds)
        if len(rounds) == 1:
            cluster[None].append(event(6, 31, 'db1', text='later'))
        if len(rounds) == 3:
            raise KeyboardInterrupt
    monkeypatch.setattr(events.time, 'sleep', pause)
    assert events.main(['--follow', '--json', '--since=2026-11-01']) == common.OK
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4 and 'later' in said.out.splitlines()[-1]
    assert said.err.count('Warning') == 1


def test_only_events_of_a_kind_and_a_slip_is_noticed(cluster, capsys):
    assert events.main(['--kind', 'failover', '--kind', 'trouble']) == events.NOT_ALL
    assert 'failover: db2 leads' in capsys.readouterr().out.splitlines()[0]
    with pytest.raises(common.Failure) as refused:
        events.main(['--kind', 'failovr'])
    assert refused.value.code == common.REFUSED
    assert str(refused.value) == '--kind: found no event of the kind failovr, expected one of ' \
        'those that there are: failover, state'
    cluster.clear()
    with pytest.raises(common.Failure, match='there are: none$'):
        events.main(['--kind=state'])


def test_a_kind_is_followed_alone(cluster, capsys, monkeypatch):
    def pause(seconds):
        raise KeyboardInterrupt
    monkeypatch.setattr(events.time, 'sleep', pause)
    assert events.main(['--follow', '--json', '--kind=failover']) == common.OK
    assert [json.loads(line)['kind'] for line in capsys.readouterr().out.splitlines()] == [
        'failover']


def test_who_asked_is_shown():
    asked = event(5, 1, by={'address': None, 'uid': 0, 'user': 'root'})
    assert events._lines(asked)[0].endswith('(asked by user root)')
    told = event(5, 1, kind='asked', text='attach was asked for by user 0 of this host',
                 by={'address': None, 'uid': 0, 'user': 'root'})
    assert events._lines(told)[0].endswith('asked: attach was asked for by user root')
    told.update(text='attach was asked for by 192.0.2.1', by={'address': '192.0.2.1', 'uid': None})
    assert events._lines(told)[0].endswith('attach was asked for by 192.0.2.1')
    assert events.asked_by({'address': '192.0.2.1', 'uid': None, 'user': None}) == '192.0.2.1'


def test_a_picture_is_written_or_it_is_said_why_not(cluster, capsys, tmp_path):
    path = str(tmp_path / 'failover.svg')
    assert events.main(['--node', 'db2', '--plot', path]) == common.OK
    ElementTree.parse(path)
    drawn = 'drawn: %s, the failover of %s to db2' % (path, events._local(FAILOVER['at']))
    assert capsys.readouterr().out == drawn + '\n'
    assert events.main(['--node', 'db2', '--plot', path, '--json']) == common.OK
    assert json.loads(capsys.readouterr().out)['text'] == drawn
    with pytest.raises(common.Failure, match='nothing to draw'):
        events.main(['--node', 'db1', '--plot', path])
    with pytest.raises(common.Failure, match='cannot be written'):
        events.main(['--node', 'db2', '--plot', str(tmp_path / 'none' / 'x.svg')])


@pytest.mark.parametrize('argv, said', [
    (['--plot='], "--plot: found '', expected the path of a file"),
    (['--node='], "--node: found '', expected the node_name of a node"),
    (['--node=db1', '--node='], "--node: found '', expected the node_name of a node"),
    (['--node=db9'], "--node: found 'db9', expected one of "),
    (['--since='], "--since: found '', expected a duration such as 90s, "),
    (['--kind='], "--kind: found '', expected the kind of an event, such as failover"),
    (['--kind=vote', '--plot=x.svg'], '--plot: found --kind besides, expected one of the two'),
    (['--follow', '--plot=x.svg'], '--plot: found --follow besides, expected one of the two')])
def test_a_wrong_input_is_named_with_what_was_expected(cluster, argv, said):
    with pytest.raises(common.Failure) as refused:
        events.main(argv)
    assert refused.value.code == common.USAGE and str(refused.value).startswith(said)
