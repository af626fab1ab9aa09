"""A wrong command line is told by the words that are wrong, and by no others."""

import pytest

import ahmlib.main
from ahmlib.utilities import cluster_status, promote_node, simulate, usage


@pytest.mark.parametrize('module, words, blamed', [
    (promote_node, ['db2', '--wait', '--bogus'], ['--bogus']),
    (promote_node, ['db2', 'db3'], ['db3']),
    (promote_node, ['-p', '1', '--nonsense', '--wait', 'db2'], ['--nonsense']),
    (cluster_status, ['-p', '1', '-v', '-p', '2'], ['-p', '2']),
    (cluster_status, ['5'], ['5']), (cluster_status, ['-w', '1', '2'], ['2']),
    (cluster_status, ['a', 'b', '--xyz', '-v'], ['a', 'b', '--xyz']),
    (simulate, ['--fault', 'cut', 'AHM-NODE-1', '--runs', '3'], ['AHM-NODE-1']),
    (ahmlib.main, ['-f', 'x', 'begin'], ['begin']),
    (ahmlib.main, ['start', '-d', 'stop'], ['stop'])])
def test_the_words_to_blame(module, words, blamed):
    assert usage.to_blame(module.__doc__, words) == blamed
    with pytest.raises(usage.Wrong) as caught:
        usage.parse(module.__doc__, words)
    assert str(caught.value).endswith('not understood: ' + ' '.join(blamed))


def test_where_too_much_is_wrong_all_of_it_is_told():
    words = ['a', 'b', 'c', 'd', 'e']
    assert usage.to_blame(cluster_status.__doc__, words) == words
    assert usage.to_blame(cluster_status.__doc__, words * 20) == words * 20


@pytest.mark.parametrize('words, said', [
    (['-p'], '-p requires argument'), (['--wait=1'], '--wait must not have an argument')])
def test_what_docopt_knows_better_is_said_as_it_says_it(words, said):
    with pytest.raises(usage.Wrong) as caught:
        usage.parse(promote_node.__doc__, words)
    assert str(caught.value) == said


def test_the_options_of_a_text():
    doc = 'Usage: x\n\n  -h, --host=HOST  Which --one.\n  --all  All.\n-n --no  No\n'
    assert usage.options(doc) == [
        (('-h', '--host'), 'HOST'), (('--all',), ''), (('-n', '--no'), '')]
    assert usage.program(promote_node.__doc__) == 'ahm_promote_node'


def test_a_wrong_line_of_the_daemons_command_shows_its_usage_too(capsys):
    assert ahmlib.main.main(['begin', '-d']) == 2
    assert capsys.readouterr().err.splitlines() == [
        'these arguments are not understood: begin; see "ahm --help"', 'Usage:',
        '  ahm [-f CONFIG_FILE] [-d] [-n] [--json] [start|stop|restart|reload]']
