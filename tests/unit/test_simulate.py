"""ahm_simulate: the manual's figures, splits seen and not seen, every wrong input in a line."""

import json
import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from ahmlib.config import place as config_place
from ahmlib.simulation import plot, report, scenario
from ahmlib.simulation.faults import FAULTS
from ahmlib.simulation.lemmas import OnePrimary
from ahmlib.simulation.world import Broken
from ahmlib.utilities import common, simulate

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENTRANCE = os.path.join(ROOT, 'bin', 'ahm_simulate')
MANUAL = os.path.join(ROOT, 'tests', 'data', 'manual_ahm_config.sample.yml')
NODES = os.path.join(ROOT, 'conf', 'nodes.conf.sample')

#: Fast timings, so that there is little to simulate.
FAST = """\
node_name: %s
priority: %d
db_data_dir: /nowhere
beacon_message_interval_seconds: 0.5
health_check_period: 1
max_consec_failures: 2
db_connect_timeout: 1
wait_for_primary_timeout_seconds: 5
virtual_IP: 192.0.2.100
if_up_cmd: /bin/ip addr add $_IP_$/24 dev eth0
if_down_cmd: /bin/ip addr del $_IP_$/24 dev eth0
"""
HALF = 'failover_consensus_with_half_votes: true\n'


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """make(size, further text) -> the path of a configuration with fast timings."""
    def make(size=3, more='', name='AHM-NODE-1', priority=1):
        path = tmp_path / 'ahm_config.yml'
        path.write_text(FAST % (name, priority) + more)
        (tmp_path / 'nodes.conf').write_text(''.join(
            '192.0.2.%d:9500\n' % (place + 11) for place in range(size)))
        return str(path)
    monkeypatch.chdir(str(tmp_path))
    return make


@pytest.fixture
def manual(tmp_path, monkeypatch):
    """The manual's own configuration, with its two nodes."""
    shutil.copy(MANUAL, str(tmp_path / 'ahm_config.yml'))
    shutil.copy(NODES, str(tmp_path / 'nodes.conf'))
    monkeypatch.chdir(str(tmp_path))
    return str(tmp_path / 'ahm_config.yml')


@pytest.fixture
def unfenced(manual):
    """The manual's configuration without its fencing script: nothing breaks the tie."""
    with open(manual) as file:
        lines = [line for line in file if not line.startswith('pre_promotion_command')]
    with open(manual, 'w') as file:
        file.writelines(lines)
    return manual


@pytest.fixture
def show(capsys):
    """show(arguments...) -> (exit code, stdout); stderr has to stay empty."""
    def run(*argv):
        code = common.run(simulate.main, list(argv))
        out, err = capsys.readouterr()
        assert err == ''
        return code, out
    return run


def outcome_of(show, *argv):
    code, out = show('--json', *argv)
    assert code == common.OK
    return json.loads(out)['outcome']


# -- one fault --------------------------------------------------------------------------------


def test_the_manuals_power_off_is_over_within_its_44_seconds(show, manual):
    outcome = outcome_of(show, '-f', manual, '--fault', 'power-off AHM-NODE-1')
    assert outcome['recovered'] and 5 < outcome['write_outage_seconds'] < 44
    assert outcome['two_primaries_seconds'] == 0


def test_the_manuals_hanging_database_is_over_within_its_230_seconds(show, manual):
    outcome = outcome_of(show, '-f', manual, '--fault', 'hang-database')
    assert outcome['recovered'] and 100 < outcome['write_outage_seconds'] < 230


def test_the_timeline_tells_what_happened_in_order(show, cluster):
    code, out = show('-f', cluster(), '--fault', 'power-off AHM-NODE-1')
    assert code == common.OK
    events = [line.split(None, 3) for line in out.splitlines()
              if re.match(r' +\d+\.\d{3} s  ', line)]
    assert [float(event[0]) for event in events] == sorted(float(event[0]) for event in events)
    assert events[0][2:] == ['AHM-NODE-1', 'FAULT: its host loses power']
    told = '\n'.join(' '.join(event[2:]) for event in events)
    order = ['clients cannot write', 'AHM-NODE-1 is lost', 'AHM-NODE-2 is promoted',
             'AHM-NODE-2 holds the VIP', 'clients write again']
    places = [told.find(text) for text in order]
    assert -1 not in places and places == sorted(places)
    verdict = out.splitlines()[-4:]
    assert re.fullmatch(r'Write outage: \d+\.\d\d s', verdict[0])
    assert verdict[1] == 'Two primaries: 0.00 s'
    assert re.fullmatch(r'Acknowledged rows lost: \d+', verdict[2])
    assert verdict[3] == 'Recovered: yes'
    assert 'Lost AHM node or host: 1.2' in out      # what AHM itself computes stands beside it


def test_a_node_has_a_name_an_address_and_a_host(show, cluster):
    path = cluster()
    found = [outcome_of(show, '-f', path, '--fault', 'kill-database ' + node)
             for node in ('AHM-NODE-2', '192.0.2.12:9500', '192.0.2.12')]
    assert found[0]['node'] == 'AHM-NODE-2' and found[0] == found[1] == found[2]
    assert found[0]['write_outage_seconds'] == 0 and not found[0]['struck_leader']


def test_faults_follow_one_another(show, cluster):
    outcome = outcome_of(show, '-f', cluster(), '--fault', 'freeze', '--fault',
                         'thaw AHM-NODE-1 after 2.5')
    assert outcome['plan'] == [{'fault': 'freeze', 'after': 0, 'node': 'AHM-NODE-1'},
                               {'fault': 'thaw', 'after': 2.5, 'node': 'AHM-NODE-1'}]
    faults = [event['seconds'] for event in outcome['timeline'] if 'FAULT' in event['text']]
    assert faults == [0, 2.5]


def test_a_primary_without_its_daemon_is_no_outage(show, cluster):
    outcome = outcome_of(show, '-f', cluster(), '--fault', 'crash')
    assert outcome['recovered'] and outcome['write_outage_seconds'] == 0
    assert outcome['remark'] == 'the primary serves on without its AHM'


def test_a_database_in_crash_recovery_takes_no_writes(show, cluster):
    outcome = outcome_of(show, '-f', cluster(), '--fault', 'crash-recovery')
    assert 3.9 < outcome['write_outage_seconds'] < 5


def test_two_nodes_that_need_both_votes_do_not_recover_and_say_why(show, cluster):
    code, out = show('-f', cluster(2), '--fault', 'power-off')
    assert code == common.OK
    assert 'Recovered: no, no majority of the nodes is in contact' in out
    assert 'Write outage: no end within' in out


# -- a split ----------------------------------------------------------------------------------


def test_half_votes_without_a_tie_break_split_and_the_schedule_is_shown(show, unfenced):
    code, out = show('-f', unfenced, '--fault', 'cut-between AHM-NODE-1')
    assert code == common.OK        # by their nature, so no lemma is broken
    assert 'Schedule: cut-between AHM-NODE-1 (seed 1)' in out
    assert 'clients     write on two primaries: AHM-NODE-1 and AHM-NODE-2' in out
    assert float(re.search(r'Two primaries: (\S+) s, and no end', out).group(1)) > 0
    assert 'Recovered: no, two primaries: AHM-NODE-1 and AHM-NODE-2' in out
    warned = out[out.index('What AHM warns of:'):out.index('Schedule:')]
    assert 'both can have a primary; set trusted_servers' in warned


def test_a_split_of_the_table_is_replayed_with_the_schedule_that_makes_it(show, unfenced):
    code, out = show('-f', unfenced, '--runs', '12')
    split = re.search(r'^  seed +(\d+)  (\S+ \S+) +two primaries for (\S+) s', out, re.MULTILINE)
    seed, schedule, seconds = split.groups()
    code, out = show('-f', unfenced, '--replay', seed)
    assert code == common.OK and 'Schedule: %s (seed %s)' % (schedule, seed) in out
    assert 'Two primaries: %s s, and no end' % seconds in out


@pytest.mark.parametrize('size, more, fault', [
    (3, '', 'cut-between AHM-NODE-1'), (3, '', 'cut AHM-NODE-1'),
    (2, HALF + 'pre_promotion_command: /bin/true\n', 'cut-between AHM-NODE-1')])
def test_a_third_node_or_fencing_prevents_the_split(show, cluster, size, more, fault):
    witness = ['--witness', 'AHM-NODE-3'] if size == 3 else []
    outcome = outcome_of(show, '-f', cluster(size, more), '--fault', fault, *witness)
    assert outcome['two_primaries_seconds'] == 0 and outcome['recovered']


def test_a_trusted_server_breaks_the_tie(show, cluster):
    path = cluster(2, HALF + 'trusted_servers: [192.0.2.1]\n')
    outcome = outcome_of(show, '-f', path, '--fault', 'cut AHM-NODE-1', '--fault',
                         'lose-trusted AHM-NODE-1')
    assert outcome['two_primaries_seconds'] == 0 and outcome['recovered']


def test_a_third_witness_prevents_the_split_of_the_same_configuration(show, unfenced):
    with open(os.path.join(os.path.dirname(unfenced), 'nodes.conf'), 'a') as file:
        file.write('210.104.181.79:9500\n')
    for fault in ('cut-between', 'cut', 'part AHM-NODE-2'):
        outcome = outcome_of(show, '-f', unfenced, '--fault', fault, '--witness', 'AHM-NODE-3')
        assert outcome['two_primaries_seconds'] == 0 and outcome['recovered']


def test_random_runs_find_the_split(show, unfenced):
    code, out = show('--json', '-f', unfenced, '--runs', '12')
    assert code == common.OK
    split = [row for row in json.loads(out)['faults'] if row['two_primaries_seconds'] > 0]
    assert {row['fault'] for row in split} & {'cut', 'cut-between', 'part'}
    assert all('two primaries' in reason for row in split for reason in row['not_recovered'])


def test_json_says_where_clients_wrote_so_a_split_can_be_seen(show, unfenced):
    outcome = outcome_of(show, '-f', unfenced, '--fault', 'cut-between')
    first, second = outcome['served']
    assert (first['node'], second['node']) == ('AHM-NODE-1', 'AHM-NODE-2')
    assert first['since'] < second['since'] < second['until'] <= first['until']
    both = second['until'] - second['since']
    assert abs(both - outcome['two_primaries_seconds']) < 0.1


def test_a_broken_lemma_is_an_outcome_and_no_traceback(show, cluster, monkeypatch):
    def watch(world, config, plan):
        raise Broken(OnePrimary(world), 'invented', [])
    monkeypatch.setattr(scenario, '_watch', watch)
    path = cluster()
    code, out = show('-f', path, '--fault', 'cut')
    assert code == simulate.BROKEN
    assert re.search(r'^Lemma that did not hold .*: L2 \(.*\): invented$', out, re.MULTILINE)
    assert 'Recovered: no, a lemma did not hold' in out
    assert show('-f', path, '--runs', '3')[0] == simulate.BROKEN


# -- many runs --------------------------------------------------------------------------------


def test_the_table_has_a_row_a_fault_and_every_run_is_in_it(show, cluster):
    code, out = show('-f', cluster(), '--runs', '14', '--seed', '5')
    assert code == common.OK
    lines = out.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith('fault '))
    assert re.split(r'  +', lines[head]) == list(report.COLUMNS)
    rows = [re.split(r'  +', line) for line in lines[head + 1:lines.index('', head)]]
    assert all(len(row) == len(report.COLUMNS) for row in rows)
    assert sum(int(row[2]) for row in rows) == 14
    assert all(set(row[0].split(' + ')) <= set(FAULTS) for row in rows)
    seeds = [line for line in lines if line.startswith('  seed ')]
    assert len(seeds) == len(rows)
    assert all(re.search('  (no outage|no writes for .* s)$', line) for line in seeds)


def test_the_same_seed_gives_the_same_runs_and_another_gives_others(show, cluster):
    path = cluster()
    first, again, other = [show('-f', path, '--json', '--runs', '3', '--seed', seed)[1]
                           for seed in ('7', '7', '8')]
    assert first == again != other


def test_a_run_of_the_table_can_be_replayed(show, cluster):
    path = cluster()
    for run in json.loads(show('-f', path, '--json', '--runs', '3')[1])['outcomes']:
        replayed = outcome_of(show, '-f', path, '--replay', str(run['seed']))
        assert replayed.pop('timeline') and replayed.pop('served')
        assert replayed == run


def test_runs_of_one_fault_differ_in_instant_and_clocks(show, cluster):
    result = json.loads(show('-f', cluster(), '--json', '--runs', '5', '--fault', 'power-off')[1])
    (row,) = result['faults']
    figures = row['write_outage_seconds']
    assert row['runs'] == 5 and row['struck'] == 'leader'
    assert 0 < figures['min'] < figures['median'] <= figures['p95'] <= figures['max']
    window = result['cluster']['failover_windows']['lost_node']
    assert figures['min'] > window['least'] / 1.05
    assert len({outcome['at'] for outcome in result['outcomes']}) == 5


def test_what_was_done_before_an_interruption_is_shown(show, cluster, monkeypatch):
    real, done = scenario.run, []

    def run(*given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(given)
        return real(*given)
    monkeypatch.setattr(scenario, 'run', run)
    code, out = show('-f', cluster(), '--runs', '50')
    assert code == common.OK and 'Runs: 2 of 50, interrupted, seed 1' in out


def test_lost_rows_are_unknown_where_no_run_ended_with_a_primary(show, cluster):
    path = cluster(2)
    result = json.loads(show('-f', path, '--json', '--runs', '2', '--fault', 'power-off')[1])
    (row,) = result['faults']
    assert row['lost_rows'] is None and row['without_end'] == 2
    assert '  no end  ' in show('-f', path, '--runs', '1', '--fault', 'power-off')[1]


@pytest.mark.parametrize('is_terminal', [True, False])
def test_progress_is_shown_on_a_terminal_only(cluster, monkeypatch, capsys, is_terminal):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: is_terminal)
    assert common.run(simulate.main, ['-f', cluster(), '--runs', '2', '--fault', 'stop']) == 0
    assert capsys.readouterr().err == (
        '\rrun 1 of 2\rrun 2 of 2\r\x1b[K' if is_terminal else '')


def test_statistics():
    assert report.statistics([]) == (None, None, None, None)
    assert report.statistics([3.0]) == (3.0, 3.0, 3.0, 3.0)
    assert report.statistics(list(range(100, 0, -1))) == (1, 50.5, 95, 100)


# -- the cluster ------------------------------------------------------------------------------


def test_the_cluster_is_the_one_of_the_files(show, cluster):
    path = cluster(4, name='db-one', priority=9)
    result = json.loads(show('-f', path, '--json', '--fault', 'restart',
                             '--witness', '192.0.2.14')[1])
    nodes = result['cluster']['nodes']
    assert [node['name'] for node in nodes] == ['db-one', 'AHM-NODE-2', 'AHM-NODE-3',
                                                'AHM-NODE-4']
    assert [node['priority'] for node in nodes] == [9, 2, 3, 4]
    assert [node['witness'] for node in nodes] == [False, False, False, True]
    assert [node['leads'] for node in nodes] == [True, False, False, False]


def test_the_own_name_is_given_to_nobody_else(show, cluster):
    result = json.loads(show('-f', cluster(name='AHM-NODE-2'), '--json', '--fault', 'restart')[1])
    names = [node['name'] for node in result['cluster']['nodes']]
    assert names[0] == 'AHM-NODE-2' and len(set(names)) == 3


def test_a_witness_does_not_lead_at_the_start(show, cluster):
    result = json.loads(show('-f', cluster(), '--json', '--fault', 'restart', '--witness',
                             'AHM-NODE-1')[1])
    assert [node['leads'] for node in result['cluster']['nodes']] == [False, True, False]


def test_what_the_files_do_not_say_is_said(show, cluster, tmp_path):
    path = cluster()
    assert 'No virtual IP' not in show('-f', path, '--fault', 'restart')[1]
    (tmp_path / 'ahm_config.yml').write_text('node_name: w\nis_witness: true\n')
    out = show('-f', path, '--fault', 'restart')[1]
    assert 'No virtual IP: clients find the leader by themselves' in out
    assert 'take the file of a node with a database' in out
    assert re.search('192.0.2.11:9500 witness, priority .*192.0.2.12:9500 leader', out, re.DOTALL)


# -- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize('what', [['--fault', 'power-off'], ['--runs', '5']])
def test_the_picture_is_well_formed(show, cluster, tmp_path, what):
    picture = str(tmp_path / 'picture.svg')
    out = show('-f', cluster(name='<&x'), '--plot', picture, *what)[1]
    assert out.endswith('\n\nPicture: %s\n' % picture)
    root = ElementTree.parse(picture).getroot()
    assert root.tag == '{http://www.w3.org/2000/svg}svg'
    texts = [node.text for node in root.iter('{http://www.w3.org/2000/svg}text')]
    if what[0] == '--fault':
        assert {'<&x', 'AHM-NODE-2', 'AHM-NODE-3', 'clients'} <= set(texts)
        titles = [node.text for node in root.iter('{http://www.w3.org/2000/svg}title')]
        assert any(title.startswith('no writes: ') for title in titles)
    else:
        assert 'Write outages of 5 runs' in texts


SVG = '{http://www.w3.org/2000/svg}'


def boxes(root):
    """(text, left, right, base line, size) of every text, by the widths that plot assumes."""
    for node in root.iter(SVG + 'text'):
        size, x = float(node.get('font-size')), float(node.get('x'))
        width = len(node.text) * plot.CHARACTER * size
        left = x - width * {'start': 0, 'middle': 0.5, 'end': 1}[node.get('text-anchor')]
        yield node.text, left, left + width, float(node.get('y')), size


PICTURES = [
    (3, ['--fault', 'freeze', '--fault', 'thaw after 30', '--fault', 'cut AHM-NODE-3 after 60']),
    (7, ['--fault', 'freeze', '--fault', 'thaw after 30', '--fault', 'part after 60', '--fault',
         'heal after 30', '--fault', 'power-off AHM-NODE-2 after 30']),
    (3, ['--runs', '25']), (2, ['--runs', '2', '--fault', 'power-off']),
    (1, ['--runs', '1', '--fault', 'stop'])]


@pytest.mark.parametrize('size, what', PICTURES)
def test_no_label_is_cut_off_or_lies_on_another(show, cluster, tmp_path, size, what):
    picture = str(tmp_path / 'picture.svg')
    show('-f', cluster(size, name='n' * 63), '--plot', picture, *what)
    root = ElementTree.parse(picture).getroot()
    found = sorted(boxes(root), key=lambda box: box[3])
    for place, (text, left, right, y, size) in enumerate(found):
        assert 0 <= left and right <= float(root.get('width')), text
        assert size <= y < float(root.get('height')), text
        for other, other_left, other_right, other_y, other_size in found[place + 1:]:
            assert other_y - y >= other_size or right <= other_left or other_right <= left, (
                text, other)


def test_the_picture_of_a_split_shows_both_primaries(show, unfenced, tmp_path):
    picture = str(tmp_path / 'picture.svg')
    show('-f', unfenced, '--plot', picture, '--fault', 'cut-between')
    bars = {(node.get('y'), node.get('fill')): node for node in
            ElementTree.parse(picture).getroot().iter(SVG + 'rect') if node.find(SVG + 'title')
            is not None and node.get('height') == '16.0'}
    colours = sorted(colour for _, colour in bars)
    assert colours == sorted([plot.COLOURS['served']] * 2 + [plot.COLOURS['split']])
    left = {colour: float(node.get('x')) for (_, colour), node in bars.items()}
    assert left[plot.COLOURS['split']] > plot.LEFT


def test_a_picture_names_runs_without_end_and_what_ahm_computes(show, cluster, tmp_path):
    picture = str(tmp_path / 'picture.svg')
    show('-f', cluster(2), '--plot', picture, '--runs', '2', '--fault', 'power-off')
    root = ElementTree.parse(picture).getroot()
    assert 'no end: 2' in [box[0] for box in boxes(root)]
    assert any(title.text.startswith('AHM says: ') for title in root.iter(SVG + 'title'))


@pytest.mark.parametrize('values, least, most', [
    ([], 1, 10), ([0.3], 0.2, 0.5), ([1.0], 0.5, 1), ([0.21, 150], 0.2, 200), ([1e7], 2e6, 5e6)])
def test_a_scale_has_round_ends_around_its_values(values, least, most):
    scale = plot.scale_for(values)
    assert (round(scale.ticks[0], 9), round(scale.ticks[-1], 9)) == (least, most)
    assert all(0 <= scale.place(value) < plot.BARS for value in values)


# -- wrong inputs -----------------------------------------------------------------------------


WRONG = [
    ([], 'nothing to simulate'),
    (['--nonsense'], '--nonsense'),
    (['--fault', 'explode'], "found 'explode', expected the name of a fault"),
    (['--fault', 'cut AHM-NODE-9'], "found 'AHM-NODE-9'"),
    (['--fault', ''], "found ''"),
    (['--fault', 'cut a b c'], "found 'cut a b c'"),
    (['--fault', 'cut AHM-NODE-1 after never'], "found after 'never'"),
    (['--fault', 'cut AHM-NODE-1 after nan'], "found after 'nan'"),
    (['--fault', 'cut AHM-NODE-1 after -1'], "found after '-1'"),
    (['--runs', '0'], "--runs: found '0', expected a whole number from 1"),
    (['--runs', 'many'], "--runs: found 'many'"),
    (['--runs', '3', '--seed', '-4'], "--seed: found '-4'"),
    (['--replay', '99999999999'], "--replay: found '99999999999'"),
    (['--replay', '1', '--runs', '2'], 'one of the two'),
    (['--replay', '1', '--seed', '2'], '--replay: found --seed besides'),
    (['--fault', 'cut', '--witness', 'nobody'], "--witness: found 'nobody'"),
    (['--fault', 'cut', '--witness', 'AHM-NODE-1', '--witness', 'AHM-NODE-2', '--witness',
      'AHM-NODE-3'], 'found only witnesses'),
    (['--fault', 'cut', '--plot', '/nowhere/at/all.svg'], '--plot: found'),
    (['--fault', 'cut', '--plot', ''], "--plot: found ''"),
    (['--fault', 'kill-database AHM-NODE-3', '--witness', 'AHM-NODE-3'],
     'found kill-database for AHM-NODE-3, a witness, expected a node with a database'),
    (['--fault', 'promote-hangs AHM-NODE-3', '--witness', 'AHM-NODE-3'], 'a node with a database'),
    (['--fault', 'lose-trusted'], 'expected a configuration with trusted_servers'),
    (['--fault', 'hook-lies'], 'expected a configuration with pre_promotion_command'),
]


@pytest.mark.parametrize('argv, part', WRONG)
def test_a_wrong_input_is_one_line_and_exit_code_2(cluster, capsys, argv, part):
    assert common.run(simulate.main, ['-f', cluster()] + argv) == common.USAGE
    out, err = capsys.readouterr()
    assert out == '' and err.startswith('Command Failed: ') and err.count('\n') == 1
    assert part in err and ';' in err


@pytest.mark.parametrize('text, part', [
    (None, 'found no file'), ('node_name: a\npriority: -1\n', 'ahm_config.yml:2: priority: found '),
    ('node_name: a\nvirtual_IP: 192.0.2.11\n', '(and ')])
def test_a_wrong_file_is_one_line_and_exit_code_2(cluster, capsys, text, part):
    path = cluster()
    os.unlink(path)
    if text is not None:
        with open(path, 'w') as file:
            file.write(text)
    assert common.run(simulate.main, ['-f', path, '--fault', 'cut']) == common.USAGE
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1 and part in err and 'no entry of this host' not in err


def test_a_fault_of_the_vip_needs_one(cluster, tmp_path, capsys):
    path = cluster()
    (tmp_path / 'ahm_config.yml').write_text('node_name: a\ndb_data_dir: /nowhere\n')
    for fault in ('vip-hangs', 'drop-vip', 'answer-for-vip'):
        assert common.run(simulate.main, ['-f', path, '--fault', fault]) == common.USAGE
        assert 'expected a configuration with virtual_IP; ' in capsys.readouterr().err


def test_every_need_is_one_of_an_existing_fault():
    for name, _, _ in scenario.NEEDS:
        assert any(fault.startswith(name) if name.endswith('-') else fault == name
                   for fault in FAULTS), name


@pytest.mark.parametrize('words', [['--fault', 'power-off'], ['--runs', '2', '--fault', 'cut']])
def test_the_outcome_as_json_has_the_shape_of_all_commands(show, cluster, words):
    code, out = show('-f', cluster(), '--json', *words)
    found = json.loads(out)
    assert (code, found['ok'], found['exit_code'], found['text']) == (0, True, 0, 'done')


def test_a_rule_that_was_broken_is_told_as_json_too(show, cluster, monkeypatch):
    monkeypatch.setattr(simulate.Simulation, '_run', lambda self, seed: scenario.run(
        self.config, self.settings, self.plan, seed)._replace(broken='L1: two primaries'))
    code, out = show('-f', cluster(), '--json', '--fault', 'power-off')
    found = json.loads(out)
    assert (code, found['ok'], found['exit_code']) == (4, False, 4)
    assert 'broke a rule' in found['text']


def test_without_a_file_one_is_asked_for(cluster, capsys, monkeypatch):
    cluster()
    monkeypatch.setattr(config_place, 'DEFAULT_PATHS', ('/nowhere/ahm_config.yml',))
    assert common.run(simulate.main, ['--fault', 'cut']) == common.USAGE
    err = capsys.readouterr().err
    assert 'there is no /nowhere/ahm_config.yml' in err and 'with -f' in err


def test_an_empty_path_is_not_taken_for_the_default(capsys):
    assert common.run(simulate.main, ['--fault', 'cut', '-f', '']) == common.USAGE
    assert "--config-file: found '', expected the path" in capsys.readouterr().err


@pytest.mark.parametrize('fault, said', [
    ('promote AHM-NODE-1', 'AHM-NODE-1  refuses the operator: AHM-NODE-1 is the primary already'),
    ('force AHM-NODE-2', 'AHM-NODE-2  refuses the operator: ')])
def test_what_the_operator_is_refused_is_told(cluster, show, fault, said):
    code, out = show('-f', cluster(), '--fault', fault)
    assert code == common.OK and said in out


def test_a_missing_list_of_nodes_is_one_line(cluster, capsys):
    path = cluster()
    os.unlink(os.path.join(os.path.dirname(path), 'nodes.conf'))
    assert common.run(simulate.main, ['-f', path, '--fault', 'cut']) == common.USAGE
    err = capsys.readouterr().err
    assert err.count('\n') == 1 and 'nodes_filename: found no such file' in err


# -- the command ------------------------------------------------------------------------------


def test_the_list_describes_every_fault(show):
    code, out = show('--list')
    assert code == common.OK
    described = dict(line.split(None, 1) for line in out.splitlines())
    assert set(described) == set(FAULTS)
    assert described['power-off'] == 'its host loses power'


def test_the_command_runs_from_bin(cluster):
    done = subprocess.run([sys.executable, ENTRANCE, '-f', cluster(), '--json', '--fault', 'stop'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b'')
    assert json.loads(done.stdout.decode())['outcome']['fault'] == 'stop AHM-NODE-1'
