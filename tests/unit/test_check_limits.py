"""--check with limits: what they find, what plugins draw of them, and wrong ones."""

import socket
import time

import pytest

from ahmlib.utilities import cluster_status, common, limits, status_check
from ahmlib.utilities.limits import Limits, Range
from ahmlib.utilities.status_check import CRITICAL, OK, UNKNOWN, WARNING

from .test_cluster_status import answerer, changed, checked, node, status  # noqa: F401

MB = 1024 ** 2


def of(*words):
    """The Limits of these options."""
    return limits.of(common.arguments(cluster_status.__doc__, ['--check'] + list(words)))


@pytest.mark.parametrize('text, value', [
    ('0', 0), ('16777216', 16 * MB), ('16MB', 16 * MB), ('16 mb', 16 * MB), ('2kB', 2048),
    ('1GB', 1024 * MB), ('3B', 3), ('1TB', MB * MB)])
def test_sizes(text, value):
    assert of('--lag-warning', text) == Limits(lag_warning=Range(0, value))
    assert of('--lag-critical', text) == Limits(lag_critical=Range(0, value))


@pytest.mark.parametrize('option', ['--lag-warning', '--lag-critical'])
@pytest.mark.parametrize('text', ['', 'x', '-1', '1.5MB', '16XB', '1' * 16, '16MBB', '٣'])
def test_a_wrong_size_is_told(option, text):
    with pytest.raises(common.Failure) as caught:
        of(option, text)
    assert str(caught.value).startswith('%s: found %r, expected bytes' % (option, text))


@pytest.mark.parametrize('text, told, kept, written', [
    ('10', (11,), (0, 10), '10'), ('0:10', (11,), (0, 10), '10'), ('10:', (0, 9), (10, 99), '10:'),
    ('~:10', (11,), (0, 10), '~:10'), ('10:20', (9, 21), (10, 20), '10:20'),
    ('@10:20', (10, 20), (9, 21), '@10:20'), ('@~:5', (0, 5), (6,), '@~:5'),
    ('0:', (), (0, 9), '0:'),
    ('1kB:2kB', (1023, 2049), (1024, 2048), '1024:2048')])
def test_ranges_are_read_and_written_as_plugins_do(text, told, kept, written):
    found = of('--lag-warning', text).lag_warning
    assert [found.is_exceeded(value) for value in told + kept] == [True] * len(told) + [
        False] * len(kept)
    assert str(found) == written


@pytest.mark.parametrize('text', ['2:1', '1GB:1MB', '@5:4'])
def test_a_range_that_ends_before_it_starts_is_told(text):
    with pytest.raises(common.Failure, match='whose end is less than its start'):
        of('--lag-critical', text)


@pytest.mark.parametrize('text', ['0', '-1', 'x', '3601', 'nan', ''])
def test_a_wrong_time_limit_is_told(text):
    args = common.arguments(cluster_status.__doc__, ['--check', '--timeout', text])
    with pytest.raises(common.Failure, match='expected a number of seconds from 0.1 to 3600'):
        limits.seconds_of(args)


def test_who_does_not_answer_in_time_is_unknown(tmp_path):
    """The socket takes the question, and nobody reads it."""
    path = tmp_path / '.s.AHM.9595'
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen(1)
        began = time.monotonic()
        code, line = checked('--check', '-s', str(tmp_path), '-t', '0.3')
        assert code == UNKNOWN and line.startswith('AHM UNKNOWN') and '0.3' in line, line
        assert time.monotonic() - began < 5.0, 'the default is longer'


@pytest.mark.parametrize('option', ['--standbys-warning', '--standbys-critical'])
@pytest.mark.parametrize('text', ['', 'x', '-1', '1001', '1.5', '٣'])
def test_a_wrong_number_is_told(option, text):
    with pytest.raises(common.Failure) as caught:
        of(option, text)
    assert str(caught.value).startswith('%s: found %r, expected a number' % (option, text))


@pytest.mark.parametrize('words', [
    ['--lag-warning', '2MB', '--lag-critical', '1MB'],
    ['--standbys-warning', '1', '--standbys-critical', '2']])
def test_a_warning_that_would_never_come_is_refused(words):
    with pytest.raises(common.Failure, match='exchange them'):
        of(*words)


@pytest.mark.parametrize('words', [['--lag-warning', '1'], ['--lag-critical', '1'],
                                   ['--standbys-warning', '1'], ['--standbys-critical', '1'],
                                   ['--timeout', '1']])
def test_limits_go_with_check_only(words, capsys):
    assert common.run(cluster_status.main, words) == 2
    assert '%s: found no --check' % words[0] in capsys.readouterr().err


LAGS = changed(1, lag_bytes=16 * MB)
# By rule: the limits, what is changed of a good status, the code, what the line says.
CASES = {
    '_lag_warning': [
        (Limits(lag_warning=Range(0, 16 * MB - 1)), LAGS, WARNING,
         'AHM-NODE-2 is 16 MB behind, more than'),
        (Limits(lag_warning=Range(MB, 17 * MB, True)), LAGS, WARNING,
         'AHM-NODE-2 is 16 MB behind, which is told of by @1048576:17825792'),
        (Limits(lag_warning=Range(0, 16 * MB)), LAGS, OK, ''),
        (Limits(lag_warning=Range(0, 0)), changed(1, lag_bytes=None), OK, ''),
        (Limits(lag_warning=Range(0, 0)), changed(0, lag_bytes=9, database='PRIMARY'), OK, '')],
    '_lag_critical': [
        (Limits(lag_critical=Range(0, MB)), LAGS, CRITICAL,
         'AHM-NODE-2 is 16 MB behind, more than 1 MB'),
        (Limits(lag_warning=Range(0, 0), lag_critical=Range(0, 16 * MB)), LAGS, WARNING, 'behind')],
    '_standbys_warning': [
        (Limits(standbys_warning=2), {}, WARNING, 'standbys in order: 1, fewer than 2'),
        (Limits(standbys_warning=1), {}, OK, ''),
        (Limits(standbys_warning=1), changed(1, streaming=False), WARNING, 'in order: 0')],
    '_standbys_critical': [
        (Limits(standbys_critical=2), {}, CRITICAL, 'fewer than 2'),
        (Limits(standbys_critical=1), changed(1, out=True), CRITICAL, 'in order: 0'),
        (Limits(standbys_critical=1), changed(1, state='LOST'), CRITICAL, 'in order: 0')],
}


def test_every_rule_of_limits_has_its_cases():
    assert sorted(CASES) == sorted(rule.find.__name__ for rule in status_check.LIMIT_RULES)


@pytest.mark.parametrize('rule, given, changes, code, said', [
    (rule,) + case for rule, cases in sorted(CASES.items()) for case in cases])
def test_what_a_limit_finds(rule, given, changes, code, said):
    found, line = status_check.check(status(**changes), given)
    assert found == code and said in line
    assert status_check.check(status(**changes))[0] <= found, 'without limits it is no worse'


def test_limits_stand_behind_the_values_as_plugins_write_them():
    nodes = [node(1, database='PRIMARY', state='LEADER'), node(2, lag_bytes=5)]
    line = status_check.check(status(nodes=nodes), Limits(Range(0, 10), Range(0, 20), 1, 0))[1]
    assert line.endswith(' standbys=1;1:;0:;0 lag_AHM-NODE-2=5B;10;20;0')


def test_the_entrance_takes_limits(answerer):  # noqa: F811
    code, line = checked('--check', '-s', answerer.directory, '--standbys-warning', '2')
    assert code == WARNING and 'standbys in order: 1, fewer than 2' in line


def test_a_wrong_limit_of_a_check_is_unknown(answerer):  # noqa: F811
    code, line = checked('--check', '-s', answerer.directory, '--lag-warning', 'much')
    assert code == UNKNOWN and "--lag-warning: found 'much'" in line
