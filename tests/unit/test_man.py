"""The pages ahm_protocol, ahm_simulate and ahm_cluster_status say what the code does.

What all pages have in common is in test_man_pages.py, what those of commands have in
test_man_commands.py, and ahm_config.yml and nodes.conf in test_man_files.py.
"""

import json
import re

import pytest

from ahmlib.config.schema import BY_NAME
from ahmlib.core.consensus.ballot import TRANSITIONS
from ahmlib.core.consensus.timing import Timing, candidacy_seconds
from ahmlib.core.node import Node
from ahmlib.core.status import status
from ahmlib.simulation import lemmas
from ahmlib.utilities import cluster_status, common, simulate, status_check

from .pages import PAGES, items, plain, section, source
from .rows import one_settings, row

CONFIG = 'node_name: a\ndb_data_dir: /nowhere\nbeacon_message_interval_seconds: 0.5\n'


def stated():
    """{'L1': text} as the docstring of the lemmas' module has it."""
    found = re.findall(r'^    (L\d+) +(.*?)(?=^    L\d+ |^$)', lemmas.__doc__,
                       re.MULTILINE | re.DOTALL)
    return {name: ' '.join(text.split()) for name, text in found}


def words(text):
    return re.findall(r'[\w-]+', text.lower())


# -- ahm_protocol(7) --------------------------------------------------------------------------


def test_the_lemmas_of_the_page_are_those_of_the_code_word_for_word():
    assert items('ahm_protocol.7', 'LEMMAS') == stated()
    assert list(stated()) == ['L%d' % lemma.number for lemma in lemmas.LEMMAS]


@pytest.mark.parametrize('lemma', lemmas.LEMMAS, ids=lambda lemma: 'L%d' % lemma.number)
def test_the_docstring_of_a_checker_is_its_lemma(lemma):
    # It is one line, so it may leave out words, but has no others and no other order.
    left = iter(words(stated()['L%d' % lemma.number]))
    docstring = lemma.__doc__.strip().splitlines()[0]
    assert all(word in left for word in words(docstring)), docstring


def test_the_argument_is_the_one_of_the_code():
    for title, begin in (('ARGUMENT', 'L1 and L2 are'), ('LIMITS', 'Beyond any program')):
        place = lemmas.__doc__.index(begin)
        paragraph = ' '.join(lemmas.__doc__[place:].split('\n\n')[0].split())
        assert paragraph in plain(section('ahm_protocol.7', title))


def test_the_table_of_roles_is_the_one_by_which_they_change():
    shown = ['%-9s -> %-9s %s' % (before.name, after.name, text or '(not told)')
             for (before, after), text in TRANSITIONS.items()]
    page = section('ahm_protocol.7', 'RULES')
    table = page[page.index('.ft CW\n') + len('.ft CW\n'):page.index('.ft\n')]
    assert table.replace('\\-', '-').splitlines() == shown


def test_rules_are_numbered_without_a_gap():
    numbers = re.findall(r'^\.B R(\d+)$', section('ahm_protocol.7', 'RULES'), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))


def test_the_durations_follow_from_the_formulas():
    text = section('ahm_protocol.7', 'DURATIONS')
    formulas = dict(re.findall(r'^T_(\w+) +=\s(.*)$', text, re.MULTILINE))
    for interval, retries in ((8.0, 2), (0.5, 2), (1.0, 5)):
        timing = Timing(interval, retries)
        known = {'I': interval, 'R': retries, 'max': max, 'T_lease': timing.lease,
                 'T_hold': timing.hold}
        for name in ('lease', 'hold', 'fence'):
            formula = formulas[name].replace(' x ', ' * ').replace('0.5 s', '0.5')
            assert eval(formula, known) == pytest.approx(getattr(timing, name))
    default = Timing(8.0, 2)
    assert 'they are %.4g s, %.4g s and %.4g s' % (default.lease, default.hold, default.fence) \
        in plain(text)
    assert 'by default %g s' % candidacy_seconds(8.0) in plain(text)


# -- ahm_simulate(1) --------------------------------------------------------------------------


def test_the_exit_codes_of_the_page_are_those_of_the_program():
    codes = set(re.findall(r'(\d) ', simulate.__doc__[simulate.__doc__.index('Exit status:'):]))
    assert set(items('ahm_simulate.1', 'EXIT STATUS')) == codes
    assert codes == {str(code) for code in (common.OK, common.REFUSED, common.USAGE,
                                            simulate.BROKEN)}


def keys(value):
    """All keys of a JSON value that are fixed: not names of faults, nor texts."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys(item) for key, item in value.items()
                              if key not in ('not_recovered', 'remarks')))


def test_every_field_of_the_json_is_described(tmp_path, capsys):
    (tmp_path / 'ahm_config.yml').write_text(CONFIG)
    (tmp_path / 'nodes.conf').write_text('192.0.2.11:9500\n192.0.2.12:9500\n')
    described = set(re.findall(r'\w+', section('ahm_simulate.1', 'JSON')))
    for what in (['--fault', 'power-off'], ['--runs', '2', '--fault', 'power-off']):
        common.run(simulate.main, ['-f', str(tmp_path / 'ahm_config.yml'), '--json'] + what)
        assert not keys(json.loads(capsys.readouterr().out)) - described


# -- ahm_cluster_status(1) --------------------------------------------------------------------

STATUS = 'ahm_cluster_status.1'

#: The types of the page's JSON keys, as they are written there.
TYPES = {'String': str, 'Integer': int, 'Boolean': bool, 'Number': (int, float),
         'List of strings': list, 'List of objects': list}


def described(part):
    """{key: text} of the keys that the JSON of the status has, by the page."""
    parts = re.split(r'^\.SS (.*)\n', section(STATUS, 'JSON'), flags=re.MULTILINE)
    text = dict(zip(parts[1::2], parts[2::2]))[part]
    found = re.findall(r'^\.TP\n\.B (\w+)\n(.*?)(?=^\.TP|\Z)', text, re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)) == text.count('.TP')
    return {key: plain(body) for key, body in found}


def a_status():
    """The status of a node that leads nobody, has heard one other node and never the third."""
    node = Node(one_settings(), None, 4711, 100.0)
    node.consensus.members.sent(1, 100.0)
    node.consensus.members.accept(row(1, heard=((4711, 1), None, None)))
    node.facts.take_row(node.own_row())
    return status(node.parts)


def fits(value, text):
    """Whether a JSON value is of the type with which its description begins."""
    kind, null, meaning = re.match(r'(\w+(?: of \w+)?)(,? or null)?\. (.+)', text).groups()
    assert len(meaning) > 10
    if value is None:
        return bool(null)
    return isinstance(value, TYPES[kind]) and isinstance(value, bool) == (kind == 'Boolean')


def test_the_json_schema_of_the_status_is_that_of_the_page_and_vice_versa():
    found = a_status()
    cluster, each = described('The cluster'), described('Each node')
    assert set(cluster) == set(found)
    assert [key for key in cluster if not fits(found[key], cluster[key])] == []
    for line in found['nodes']:
        assert set(each) == set(line)
        assert [key for key in each if not fits(line[key], each[key])] == []


@pytest.mark.parametrize('page', PAGES)
def test_parameters_that_a_page_names_exist(page):
    text = re.sub(r'^\.SH JSON\n.*?(?=^\.SH )', '', source(page), flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r'^\.[BI]R? (\w+_(?:\w+_)*(?:period|timeout|seconds|count|port|dir))\b',
                           text, re.MULTILINE))
    assert found <= set(BY_NAME) | set(described('The cluster')) | set(described('Each node'))


def test_the_exit_codes_of_the_status_are_those_of_its_page():
    text = section(STATUS, 'EXIT STATUS').split('.SS With --check\n')
    pages = [set(re.findall(r'^\.B (\d)$', part, re.MULTILINE)) for part in text]
    docs = [set(re.findall(r'(?:: |; |, )(\d) ', ' '.join(part.split())))
            for part in re.split('Exit status(?: of --check)?', cluster_status.__doc__)[1:]]
    assert pages == docs
    assert pages[0] == {str(code) for code in (common.OK, common.REFUSED, common.USAGE,
                                               common.NO_DAEMON, status_check.NO_LEADER)}
    assert pages[1] == {str(code) for code in range(len(status_check.WORDS))}
