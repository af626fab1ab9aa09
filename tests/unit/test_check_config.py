"""ahm_check_config: its usage, its output, its exit codes, its page; and that it asks in time.

The rules are tested in test_checking.py, and with real servers in
tests/integration/test_check_config.py.
"""

import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.checking import gather, of_config, questions, show, table
from ahmlib.checking.facts import Daemon, Server
from ahmlib.checking.finding import ERROR, OK, UNKNOWN, WARNING, Finding, Unknown
from ahmlib.config import host, loader, place, timing
from ahmlib.config.problems import without_password
from ahmlib.config.schema import PARAMETERS
from ahmlib.database import conninfo, settings_in_force, survey
from ahmlib.database.probe import REACHABLE, Found
from ahmlib.database.settings import DatabaseSettings
from ahmlib.network import ping
from ahmlib.utilities import check_config, common

from .test_checking import HOST, PATH, config_of, facts_of
from .test_man import items, plain, section, source

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = 'ahm_check_config.1'
SECRET = 'a-very-secret-word'


@pytest.fixture
def witness(tmp_path):
    """The path of the configuration of a witness that would start."""
    os.chmod(str(tmp_path), 0o700)
    for name in ('data', 'socket'):
        (tmp_path / name).mkdir(mode=0o700)
    path = tmp_path / 'ahm_config.yml'
    path.write_text('node_name: w\nis_witness: true\ndata_dir: %s\nsocket_dir: %s\n'
                    'log_filename: ahm.log\nlisten_address: 127.0.0.1\nahm_port: %d\n'
                    'ipc_port: %d\n' % ((tmp_path / 'data', tmp_path / 'socket') + free_ports()))
    config = loader.parse(path.read_bytes(), str(path))
    (tmp_path / 'nodes.conf').write_text('127.0.0.1:%d\n192.0.2.1:9500\n192.0.2.2:9500\n'
                                         % config.ahm_port)
    return str(path)


def free_ports():
    """A UDP and a TCP port that nobody has now."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        for each in (udp, tcp):
            each.bind(('127.0.0.1', 0))
        return udp.getsockname()[1], tcp.getsockname()[1]


def run(*words):
    """The exit code of the command with these words."""
    return common.run(check_config.main, words)


def finding(level, code='log', subject='x'):
    """A Finding of this level."""
    return Finding(level, code, subject, 'found this', 'it matters', 'do that')


# -- usage and exit codes ----------------------------------------------------------------------


@pytest.mark.parametrize('words', [
    ('--nonsense',), ('word',), ('-f', ''), ('--show', '--strict'), ('-f',)])
def test_a_wrong_usage_is_2_in_one_line(words, capsys):
    assert run(*words) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_without_f_and_without_the_file_it_says_where_it_looked(monkeypatch, capsys):
    monkeypatch.setattr(place, 'DEFAULT_PATHS', ('/no/such/one.yml', '/no/such/other.yml'))
    assert run() == 2
    assert 'there is no /no/such/one.yml, no /no/such/other.yml' in capsys.readouterr().err


@pytest.mark.parametrize('levels, plainly, strictly', [
    ([], 0, 0), ([OK], 0, 0), ([OK, WARNING], 0, 1), ([UNKNOWN], 0, 1), ([WARNING, ERROR], 1, 1)])
def test_the_exit_code_is_that_of_the_worst(levels, plainly, strictly):
    findings = [finding(level) for level in levels]
    assert check_config.code_of(findings, False) == plainly
    assert check_config.code_of(findings, True) == strictly


def test_a_file_that_is_not_there_is_a_wrong_usage(tmp_path, capsys):
    path = str(tmp_path / 'none.yml')
    assert run('-f', path, '--json') == 2
    told = json.loads(capsys.readouterr().out)
    assert (told['ok'], told['exit_code']) == (False, 2)
    assert told['text'].startswith('-f: found no file %s, expected' % path)


def test_a_file_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path, capsys):
    assert run('-f', str(tmp_path), '--json') == 1
    told, = json.loads(capsys.readouterr().out)
    assert told['level'] == ERROR and told['subject'] == str(tmp_path)
    assert 'no regular file' in told['found']
    assert told['fix'].startswith('%s: ' % tmp_path)         # there is no line to name


def test_a_witness_that_would_start_is_well_and_nothing_is_left_behind(witness, capsys):
    before = sorted(os.listdir(os.path.dirname(witness)))
    code = run('-f', witness, '--json')
    told = json.loads(capsys.readouterr().out)
    assert {each['code'] for each in told if each['level'] not in (OK, WARNING)} == {
        'other-servers'}            # it asks them, and there are none
    assert {each['subject'] for each in told if each['code'] == 'other-servers'} == {
        '192.0.2.1:5432', '192.0.2.2:5432'}
    assert code == 0 and {each['code'] for each in told} >= {'ports', 'state-file', 'log', 'user'}
    assert sorted(os.listdir(os.path.dirname(witness))) == before
    for name in ('data', 'socket'):
        assert os.listdir(os.path.join(os.path.dirname(witness), name)) == []


def test_every_mistake_of_the_file_is_told(witness, capsys):
    with open(witness, 'a') as file:
        file.write("priority: many\nconn_string: host=a password=%s x=1\nstop: 1\n" % SECRET)
    assert run('-f', witness) == 1
    out = capsys.readouterr().out
    assert out.count('ERROR config') == 3 and out.endswith('3 errors, 0 warnings, 0 not known, '
                                                            '0 OK\n')
    assert '%s:9: ' % witness in out and SECRET not in out


# -- output ------------------------------------------------------------------------------------


def test_what_is_to_be_done_is_told_first_and_what_is_unknown_once_a_reason(capsys):
    findings = [finding(OK, 'ports'), finding(UNKNOWN, 'wal-level', ''),
                finding(UNKNOWN, 'other-servers', 'a'), finding(UNKNOWN, 'other-servers', 'b'),
                finding(WARNING, 'log', 'y'), finding(ERROR)]
    check_config._print({'--json': False}, findings, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'ERROR log: x', '  found: found this', '  why:   it matters', '  fix:   do that', '',
        'WARNING log: y', '  found: found this', '  why:   it matters', '  fix:   do that', '',
        'NOT KNOWN wal-level, other-servers (a, b)', '  found: found this', '  fix:   do that', '',
        'OK ports', '', '1 error, 1 warning, 3 not known, 1 OK']


def test_no_line_is_wider_than_a_terminal_may_be_but_what_is_to_be_copied(capsys):
    long = Finding(WARNING, 'log', 'x', 'word ' * 60, 'word ' * 60, 'GRANT ' * 60)
    for level in (WARNING, UNKNOWN):
        check_config._print({'--json': False}, [long._replace(level=level)], config_of())
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if len(line) > check_config.WIDTH] == [
            '  fix:   ' + 'GRANT ' * 60]


def test_a_password_is_blotted_whoever_says_it():
    said = check_config._clean(Finding(
        ERROR, 'log', 'x', 'host=a password=%s' % SECRET, 'postgres://u:%s@h/d' % SECRET,
        "password='%s'\x1b[2J" % SECRET))
    assert SECRET not in ''.join(said) and '\x1b' not in ''.join(said)


def test_show_has_all_parameters_with_their_sources(witness, capsys):
    assert run('-f', witness, '--show', '--json') == 0
    values = {each['name']: each for each in json.loads(capsys.readouterr().out)}
    assert list(values) == [row.name for row in PARAMETERS]
    assert values['log_filename']['source'] == witness + ':5'
    assert set(values['ahm_port']) == {'name', 'value', 'source'}
    assert values['ahm_port']['value'] == '%d' % loader.load(witness).ahm_port
    assert values['priority']['source'] == 'default'
    assert values['nodes_filename']['value'].strip("'\"") == witness.replace('ahm_config.yml',
                                                                             'nodes.conf')
    assert values['nodes_filename']['source'].startswith('default: nodes.conf in')
    assert run('-f', witness, '--show') == 0
    assert re.search(r'^is_witness +true +\(%s:2\)$' % re.escape(witness),
                     capsys.readouterr().out, re.MULTILINE)


def test_show_blots_passwords_out():
    config = config_of('conn_string: postgresql://u:%s@h/d\nprimary_conninfo_options: '
                       'password=%s\n' % (SECRET, SECRET))
    text = ' '.join(value.value for value in show.values(config))
    assert "'postgresql://u:***@h/d'" in text and "'password=***'" in text
    assert SECRET not in text and text.count('***') == 2


@pytest.mark.parametrize('before, after', [
    ("'", "', expected a number"), ('"', '",'), ("u '", "'"), ('', ' x=1'), ('', ', x')])
def test_what_stands_behind_a_password_is_shown(before, after):
    for password in (SECRET, SECRET + ',' + SECRET, SECRET + "'" + SECRET):
        said = without_password('%shost=a password=%s%s' % (before, password, after))
        assert said == '%shost=a password=***%s' % (before, after if after[:2] != ', ' else ' x')


def test_a_password_that_ends_in_half_an_escape_is_blotted():
    assert without_password('password=%s\\' % SECRET) == 'password=***\\'


@given(st.text(st.sampled_from('ab0 \'"\\=;,@:/#%&?$-'), min_size=6, max_size=12).map(
    lambda text: 'Q' + text + 'Z'))
def test_no_password_is_shown_however_it_is_spelled(password):
    words = conninfo.build({'host': 'a', 'password': password, 'port': 1})
    uri = 'postgresql://u:%s@h/d?connect_timeout=3' % quote(password, safe='')
    for text in (words, uri):
        config = config_of("conn_string: '%s'\n" % text.replace("'", "''"))
        assert conninfo.parse(config.conn_string)['password'] == password
        value, = [each.value for each in show.values(config) if each.name == 'conn_string']
        said = check_config._clean(Finding(ERROR, 'log', 'x', text, '', ''))
        for output in (value, said.found):
            assert 'Q' not in output and 'Z' not in output, output


# -- the windows -------------------------------------------------------------------------------

NAMES = {'max': max}


@given(st.integers(1, 600), st.integers(1, 100), st.integers(1, 600), st.integers(1, 50),
       st.integers(1, 100))
def test_the_arithmetic_that_is_shown_gives_the_durations_that_are_used(
        interval, retries, period, failures, connect):
    config = config_of('beacon_message_interval_seconds: %g\nbeacon_message_retry_count: %d\n'
                       'health_check_period: %d\nmax_consec_failures: %d\ndb_connect_timeout: %d\n'
                       % (interval / 10, retries, period, failures, connect))
    known = {letter: getattr(config, name) for letter, name in timing.LETTERS}
    for each in timing.arithmetic(config):
        value = eval(each.formula.replace(' x ', ' * '), dict(NAMES, **known))
        assert value == pytest.approx(each.seconds)
        shown = eval(each.numbers.replace(' x ', ' * '), dict(NAMES))
        assert shown == pytest.approx(each.seconds, abs=0.003)
        assert each.text == '%s = %s = %s = %s' % (each.name, each.formula, each.numbers,
                                                   each.text.rpartition(' = ')[2])
        assert float(each.text.rpartition(' ')[2]) == pytest.approx(each.seconds, abs=0.001)
        known[each.name] = value
    intervals = timing.failover_intervals(config)
    told = {each.name: each.seconds for each in timing.arithmetic(config)}
    assert [told['T_hold'], told['host lost, at best'], told['database hangs, at worst']] == [
        timing.timing_of(config).hold, intervals.lost_node.least, intervals.database_hanging.most]


def test_the_formulas_are_those_of_the_protocol_and_of_the_readme():
    formulas = {each.name: each.formula for each in timing.arithmetic(config_of(''))}
    text = section('ahm_protocol.7', 'DURATIONS')
    for name in ('T_lease', 'T_hold', 'T_fence'):
        on_page = re.search(r'^%s *= (.*)$' % name, text, re.MULTILINE).group(1)
        assert on_page.replace('0.5 s', '0.5') == formulas[name]
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as file:
        readme = file.read()
    row = re.search(r'^\| primary\'s database refuses connections \| (.*) to (.*) \|.*\|$', readme,
                    re.MULTILINE)
    assert [each.replace('×', 'x').replace('−', '-') for each in row.groups()] == [
        formulas['database refuses, at best'], formulas['database refuses, at worst']]


# -- what a start would meet --------------------------------------------------------------------


def test_a_port_for_http_that_is_taken_is_told_with_its_own_parameter(witness):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen(1)
        with open(witness, 'a') as file:
            file.write('http_port: %d\nhttp_listen_address: 127.0.0.1\n' % taken.getsockname()[1])
        config = loader.load(witness)
        line, = questions.start(config, runs=False).ports
    assert line.endswith('set another http_port')
    assert questions.start(config, runs=False).ports == ()


def test_what_a_start_would_meet_is_told_and_left_as_it_is(witness):
    config = loader.load(witness)
    assert questions.start(config, runs=False) == ('', '', ())
    path = os.path.join(config.socket_dir, '.s.AHM.%d' % config.ipc_port)
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_UNIX) as left:
        tcp.bind(('127.0.0.1', config.ipc_port))
        tcp.listen(1)
        udp.bind(('127.0.0.1', config.ahm_port))
        left.bind(path)                 # nobody listens: a dead daemon's
        ports = questions.start(config, runs=False).ports
        assert len(ports) == 2 and 'UDP 127.0.0.1 port %d' % config.ahm_port in ports[0] \
            and 'TCP 127.0.0.1 port %d' % config.ipc_port in ports[1]
        assert questions.start(config, runs=True).ports == ()
        left.listen(1)
        assert 'another AHM daemon listens on %s' % path in questions.start(config, False).ports[2]
    assert os.path.exists(path)
    os.unlink(path)
    with open(path, 'w'):
        assert 'is no socket' in questions.start(config, runs=False).ports[0]


@pytest.mark.parametrize('name, words', [
    ('none/ahm.log', 'No such file'), ('', 'Is a directory')])
def test_a_log_that_cannot_be_written_is_told(witness, name, words):
    config = loader.load(witness)
    config.log_filename = os.path.join(config.data_dir, name)
    assert words in questions.start(config, runs=True).log


# -- limits ------------------------------------------------------------------------------------


def _hang():
    time.sleep(600)
    return {'ok': True}


def _answer():
    return {'ok': True, 'said': 7}


def test_a_question_that_hangs_is_cut_short_and_the_others_are_answered():
    asked = gather.Questions()
    asked.ask('hangs', _hang, (), 0.5)
    asked.ask('answers', _answer, (), 30.0)
    results = asked.answered()
    assert results['answers'] == {'ok': True, 'said': 7}
    assert results['hangs']['ok'] is False and 'did not end within 0.5 s' \
        in results['hangs']['reason']


def test_what_another_user_may_do_is_not_taken_for_what_ahm_may(witness, capsys):
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    data_dir = os.path.join(os.path.dirname(witness), 'data')
    os.chown(data_dir, 4711, -1)
    run('-f', witness, '--json')
    told = {each['code']: each for each in json.loads(capsys.readouterr().out)}
    assert told['user']['level'] == WARNING
    assert told['user']['found'] == '%s belongs to uid 4711, and this is run by root' % data_dir
    assert told['user']['fix'] == "run this as uid 4711 (sudo -u '#4711' ...)"
    assert {told[code]['level'] for code in ('state-file', 'log', 'ports', 'takeover', 'data-dir',
                                             'program')} == {UNKNOWN}


def test_in_a_sticky_directory_nobody_is_asked_whose_it_is(witness, capsys):
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    data_dir = os.path.join(os.path.dirname(witness), 'data')
    os.chown(data_dir, 4711, -1)
    os.chmod(data_dir, 0o1777)
    run('-f', witness, '--json')
    out = capsys.readouterr().out
    levels = {each['code']: each['level'] for each in json.loads(out)}
    assert {levels[code] for code in ('user', 'state-file', 'log', 'ports', 'takeover',
                                      'data-dir', 'nodes-changed')} == {OK}
    assert 'chown' not in out


def test_in_a_sticky_directory_the_daemon_that_runs_there_tells_whose_it_is(witness):
    """Else who asks as root would be told to give its files to root."""
    here = HOST._replace(ahm_uid=None, ahm_user='', remedy='', uid=0, user='root')
    user = next(each for each in pwd.getpwall() if each.pw_uid)
    daemon = Daemon(7, uid=user.pw_uid)
    told = gather._as_its_daemon(here, daemon)
    assert told.another_user == 'AHM runs as %s, PID 7, and this is run by root' % user.pw_name
    assert told.remedy.startswith('run this as %s ' % user.pw_name)
    assert gather._as_its_daemon(here, Daemon(None)) == gather._as_its_daemon(
        here, Daemon(7)) == here
    assert gather._as_its_daemon(here, Daemon(7, uid=0)).another_user == ''
    assert gather._as_its_daemon(HOST, daemon) == HOST
    pid = os.getpid()
    assert questions._runs_as(pid) == os.geteuid()
    with subprocess.Popen([sys.executable, '-c', '']) as gone:
        gone.wait()
    assert questions._runs_as(gone.pid) is None
    data_dir = loader.load(witness).data_dir
    os.chmod(data_dir, 0o1777)
    assert questions.host(loader.load(witness)).ahm_uid is None


def test_who_may_not_enter_data_dir_is_told_to_ask_as_its_owner(witness, monkeypatch):
    """And is not told to change the owner of what a daemon uses."""
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    postgres = next(each for each in pwd.getpwall() if each.pw_uid)
    data_dir = os.path.join(os.path.dirname(witness), 'data')
    os.chown(data_dir, postgres.pw_uid, -1)
    monkeypatch.setattr(os, 'access', lambda path, mode: not path.startswith(data_dir))
    config, problems = gather.load(witness)
    assert problems == []
    facts = gather.facts(config)
    told = {each.code: each for each in table.judge(facts)}
    assert told['user'].found == '%s belongs to %s, and this is run by root' % (
        data_dir, postgres.pw_name)
    assert told['user'].fix == 'run this as %s (sudo -u %s ...)' % (postgres.pw_name,
                                                                    postgres.pw_name)
    assert told['data-dir'].level == told['socket-dir'].level == UNKNOWN
    with pytest.raises(loader.ConfigError) as caught:       # as "ahm start" says it
        loader.load(witness)
    assert [problem.code for problem in caught.value.problems] == ['user']


def test_a_data_dir_out_of_sight_belongs_to_whom_hides_it(tmp_path, monkeypatch):
    plain_stat = os.stat

    def stat_of(path, *args, **kwargs):
        if str(path).startswith(str(tmp_path) + '/'):
            raise PermissionError(13, 'Permission denied')
        return plain_stat(path, *args, **kwargs)
    hidden = str(tmp_path / 'a' / 'b')
    assert host.owner_of(hidden) == (hidden, None)
    monkeypatch.setattr(os, 'stat', stat_of)
    owner = os.geteuid() or None                # what root hides may be anybody's
    assert host.owner_of(hidden) == (str(tmp_path) if owner else hidden, owner)
    if owner is None:
        os.chown(str(tmp_path), 4711, -1)
        assert host.owner_of(hidden) == (str(tmp_path), 4711)
        config = config_of(base='node_name: two\ndb_data_dir: /pg\ndata_dir: %s\n' % hidden)
        line, = host.check_host(config)
        assert line.code == 'user' and line.found == '%s belongs to uid 4711, and this is run by ' \
            'root' % tmp_path


def test_a_data_dir_that_root_made_is_to_be_given_to_who_runs_ahm(witness, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    monkeypatch.setattr(os, 'geteuid', lambda: 4711)
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(loader.ConfigError) as caught:
        loader.load(witness)
    told = next(each for each in caught.value.problems if each.key == 'data_dir')
    assert told.code == 'data-dir' and told.remedy.startswith('chown 4711 ')


def test_a_stranger_is_not_told_that_ahm_is_refused():
    """Whose ~/.pgpass is another, and who may not look into the directories."""
    refused = Found(REACHABLE, 'no password supplied')
    for uid in (0, 99):
        here = HOST._replace(user='nobody', uid=uid)
        facts = gather._but_of_another_user(facts_of(
            host=here, probe=refused, others=(Server('192.0.2.1', 5432, refused, Unknown('')),)),
            here)
        told = {each.code: each.level for each in table.judge(facts)}
        assert told['db-answers'] == told['other-servers'] == told['wal-level'] == UNKNOWN
        assert told['daemon'] == (UNKNOWN if uid else OK)
        assert told['command-line'] == (UNKNOWN if uid else OK)


def test_a_directory_without_a_database_is_told_from_one_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / 'none'):
        assert questions.identifier(str(path)) == {'ok': True, 'identifier': ''}
    (tmp_path / 'PG_VERSION').write_text('18\n')
    assert 'cannot be read' in questions.identifier(str(tmp_path))['reason']


def test_the_command_line_of_a_stopped_server_is_that_of_its_last_start(tmp_path):
    for name, text in (('PG_VERSION', '18\n'), ('postgresql.conf', ''), (
            'postmaster.opts', '/pg "-D" "%s" "-c" "primary_conninfo=host=a"\n' % tmp_path)):
        (tmp_path / name).write_text(text)
    files = survey.read_files(DatabaseSettings(db_data_dir=str(tmp_path), db_bin_dir='/pg'), 2.0)
    assert files.ok and files.on_command_line == ['primary_conninfo'] and not files.is_running


def test_a_state_file_of_another_user_is_told_as_a_start_tells_it(witness):
    if os.geteuid() != 0:
        pytest.skip('only root gives files away')
    config, _ = gather.load(witness)
    path = os.path.join(config.data_dir, 'ahm.state')
    with open(path, 'w') as file:
        file.write('{}')
    os.chown(path, 4711, -1)
    told, = [each for each in table.judge(gather.facts(config)) if each.code == 'state-file']
    assert told.level == ERROR
    assert told.found == '%s is owned by uid 4711, expected root, who runs this' % path
    # The first remedy breaks nothing: a state file of root would end the daemon of its owner.
    assert told.fix == 'run AHM as its owner (systemctl start ahm, or sudo -u \'#4711\' ahm ' \
        'start), or chown root %s where AHM is to run as root from now on; do not remove it, it ' \
        'holds votes and promises' % path


def test_ping_is_asked_for_only_where_it_is_used(monkeypatch):
    asked = []
    monkeypatch.setattr(ping, 'hears_itself', lambda *args: asked.append(args) or 'it is deaf: x')
    for role in ('is_witness: true\n', ''):
        assert not questions.takeover(config_of(role)).lacks
        assert asked == []
        assert 'it is deaf' in questions.takeover(config_of(
            role + 'trusted_servers: 192.0.2.254\n')).lacks[0]
        del asked[:]


def test_what_all_sessions_get_is_read_from_the_files(tmp_path):
    """A session of a role that has a value of its own does not see it."""
    settings = DatabaseSettings(db_data_dir=str(tmp_path), db_bin_dir='/pg')
    name = 'synchronous_commit'

    def value():
        return settings_in_force.of_all_sessions(settings, name, 'on')
    assert value() is None
    (tmp_path / 'postgresql.conf').write_text("include 'more.conf'\n")
    assert value() is None
    path = tmp_path / 'more.conf'
    path.write_text('')
    assert value() == ('on', '')
    path.write_text('Synchronous_Commit = off\n')
    assert value() == ('off', str(path))
    auto = tmp_path / 'postgresql.auto.conf'
    auto.write_text("synchronous_commit = 'local'\n")
    assert value() == ('local', str(auto))
    (tmp_path / 'postmaster.opts').write_text('/pg "-D" "%s" "-c" "synchronous_commit=off"\n'
                                              % tmp_path)
    assert value() == ('off', settings_in_force.COMMAND_LINE)


@pytest.mark.parametrize('commits, value', [
    ([('', 'ahm', 'off')], 'local'), ([('', '', 'off')], 'local'), ([('d', '', 'off')], 'local'),
    ([('', 'app', 'off')], 'off'), ([('shop', 'ahm', 'off')], 'off')])
def test_the_value_of_a_session_of_its_own_is_not_that_of_the_server(tmp_path, monkeypatch,
                                                                     commits, value):
    (tmp_path / 'postgresql.conf').write_text('synchronous_commit = local\n')
    settings = DatabaseSettings(db_data_dir=str(tmp_path), db_bin_dir='/pg')
    monkeypatch.setattr(survey, 'survey', lambda *args: survey.Survey(
        True, user='ahm', database='d', address='203.0.113.9', commits=commits, settings={
            'synchronous_commit': survey.Shown('off'), 'data_directory': survey.Shown('/x')}))
    found = survey.survey_here(settings, 1.0)
    assert found.settings['synchronous_commit'].value == value
    assert 'data_directory' not in found.settings       # it is one of another host


def test_files_that_cannot_be_read_in_time_are_an_error(monkeypatch):
    monkeypatch.setattr(gather.questions, 'load', lambda path: _hang())
    monkeypatch.setattr(gather, 'FILES_SECONDS', 0.2)
    config, problems = gather.load(PATH)
    told, = of_config.refused(problems)
    assert config is None and told.level == ERROR and 'not read in time' in told.found


# -- the page ----------------------------------------------------------------------------------


def test_the_page_has_the_codes_of_the_program_and_why_they_matter():
    parts = re.split(r'^\.TP\n\.B ', section(PAGE, 'CODES'), flags=re.MULTILINE)[1:]
    on_page = {}
    for part in parts:
        code, _, text = re.sub(r'^\.SS .*\n', '', part, flags=re.MULTILINE).partition('\n')
        assert code not in on_page
        on_page[code] = plain(text)
    assert set(on_page) == set(table.codes())
    for code, why in table.codes().items():
        assert on_page[code].rstrip('.').endswith(' '.join(why.split())), code


def test_the_options_of_the_page_are_those_of_the_program():
    usage = check_config.__doc__[check_config.__doc__.index('Options:'):]
    options = set(re.findall(r'^  (?:-\w, )?(--[\w-]+)', usage, re.MULTILINE))
    assert set(re.findall(r'--[\w-]+', ' '.join(items(PAGE, 'OPTIONS')))) == options


def test_the_exit_codes_and_keys_of_the_page_are_those_of_the_program():
    codes = set(re.findall(r'(\d) ', check_config.__doc__[
        check_config.__doc__.index('Exit status:'):]))
    assert set(items(PAGE, 'EXIT STATUS')) == codes == {'0', '1', '2'}
    assert set(items(PAGE, 'JSON')) == set(Finding._fields)
    last = re.search(r'with the keys\n(.*?)^\.SH', source(PAGE), re.MULTILINE | re.DOTALL).group(1)
    assert set(re.findall(r'^\.BR? (\w+)', last, re.MULTILINE)) == set(show.Value._fields)
