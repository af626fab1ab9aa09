"""ahm_config.yml(5) is generated and says all of every parameter; nodes.conf(5) is right."""

import os
import re
import shutil
import subprocess

import pytest

from ahmlib.config import loader, manual_page, nodes_file, rules
from ahmlib.config.kinds import expected
from ahmlib.config.sample import default_text
from ahmlib.config.schema import ALWAYS, PARAMETERS, REQUIRED, RULES, SECTIONS
from ahmlib.config.timing import failover_intervals

from .pages import MAN, ROOT, blocks, items, plain, section, source, tags
from .test_readme import block_after

CONFIG, NODES = 'ahm_config.yml.5', 'nodes.conf.5'

each_parameter = pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)


def readme():
    """README.md."""
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as file:
        return file.read()


# -- ahm_config.yml(5) ------------------------------------------------------------------------


def test_the_page_in_the_tree_is_the_generated_one():
    with open(os.path.join(MAN, CONFIG), encoding='ascii') as page:
        assert page.read() == manual_page.page(), 'python3 -m ahmlib.config.manual_page > man/%s' \
            % CONFIG


def test_every_parameter_has_one_paragraph_in_its_section():
    parts = re.split(r'^\.SS (.*)\n', section(CONFIG, 'PARAMETERS'), flags=re.MULTILINE)
    assert parts[1::2] == list(SECTIONS)
    for name, text in zip(parts[1::2], parts[2::2]):
        assert re.findall(r'^\.TP\n\.B (.*)$', text, re.MULTILINE) == [
            row.name for row in PARAMETERS if row.section == name]


def words_of(text):
    """A text as `plain` gives it, which turns back what roff needs otherwise."""
    return ' '.join(text.replace("'", r'\(aq').replace('\\(aq', "'").split())


@each_parameter
def test_a_paragraph_says_all_of_its_parameter(row):
    text = items(CONFIG, 'PARAMETERS')[row.name].replace(r'\(aq', "'")
    reload = 'Reload: %s.' % ('yes' if row.reload == ALWAYS else manual_page.RELOAD[row.reload][0])
    default = 'Needed.' if row.default is REQUIRED else 'Default: %s.' % default_text(row)
    for said in (row.doc, 'Value: %s.' % expected(row), default, reload):
        assert words_of(said) in text
    ruled = [rule.text for rule in RULES if row.name in rule.keys]
    assert text.count('Rule: ') == len(ruled) and all(words_of(rule) in text for rule in ruled)
    assert ('Without effect yet' in text) == bool(row.without_effect)


@each_parameter
def test_the_overview_has_every_parameter_with_its_default(row):
    line, = re.findall(r'^%s +(\S.*?) +(\w+)$' % row.name, blocks(CONFIG, 'OVERVIEW')[0],
                       re.MULTILINE)
    known = isinstance(row.default, (bool, int, float, str))
    assert line[0] == default_text(row) if known else line[0] in ('-', 'needed', 'see below')
    assert line[1] == {'any reload': 'yes', 'a restart': 'no'}.get(row.reload, 'paused')


def test_what_is_related_is_so_both_ways_and_comes_from_rules_and_descriptions():
    related = manual_page.related()
    assert set(related) == {row.name for row in PARAMETERS}
    for name, others in related.items():
        assert name not in others and all(name in related[other] for other in others)
    assert {'if_up_cmd', 'if_down_cmd', 'arping_cmd'} <= set(related['virtual_IP'])     # rules
    assert 'db_port' in related['conn_string']          # of the text of its default
    assert 'hook_timeout_seconds' in related['follow_command']      # of the other's description
    assert 'max_consec_failures' in related['health_check_period']
    assert 'recovery_min_apply_delay' not in related['restore_command']


def test_all_that_is_warned_of_is_in_the_page():
    text = plain(section(CONFIG, 'WARNINGS')).replace(r'\(aq', "'")
    for rule in rules.ADVICE:
        assert '%s; %s' % (words_of(rule.text), words_of(rule.remedy)) in text
        assert rule.keys[0] in text
    assert section(CONFIG, 'WARNINGS').count('.IP ') == len({rule.text for rule in rules.ADVICE})


@pytest.mark.parametrize('values', [values for _, values in manual_page.SETTINGS] + [{'I': 1}])
def test_the_formulas_are_those_by_which_the_daemon_runs(values):
    config = manual_page.config_of(values)
    known = dict(manual_page.figures(config), max=max)
    for name, formula, _ in manual_page.DURATIONS:
        assert eval(formula.replace(' x ', ' * '), known) == pytest.approx(known[name])
    for window in manual_page.WINDOWS:
        bounds = [eval(formula.replace(' x ', ' * '), known)
                  for formula in (window.least, window.most)]
        assert bounds == pytest.approx(list(getattr(failover_intervals(config), window.field)))


def test_the_figures_are_printed_with_their_arithmetic():
    text = [re.sub(r' +', ' ', block) for block in blocks(CONFIG, 'FAILOVER WINDOWS')]
    assert 'T_hold = 1.1 x T_lease + max(I / 4, 0.5)\n = 1.1 x 18 + max(8 / 4, 0.5) = 21.8\n' \
        in text[1]
    assert ' (F - 1) x P + 2 x C to F x P + 2 x C\n = (5 - 1) x 30 + 2 x 5 to 5 x 30 + 2 x 5\n' \
        ' = 130 to 160\n' in text[2]
    shown = re.findall(r'^ = (\S+ to \S+)$', text[2], re.MULTILINE)
    assert shown == re.findall(r'^\| primary.* \| (\S+ to \S+) s \|$', readme(), re.MULTILINE)
    assert '\nT_lease 18 4.5 1.125\n' in text[3] and '\nP 30 5 0.5\n' in text[3]


def test_the_examples_are_valid_and_the_first_is_that_of_readme():
    node, witness = (loader.parse(text, '/etc/ahm/ahm_config.yml', {})
                     for text in blocks(CONFIG, 'EXAMPLES'))
    quick = loader.parse(block_after(readme(), '\n### 3. '), '/etc/ahm/ahm_config.yml', {})
    assert node.given == quick.given and loader.differences(node, quick) == ()
    assert witness.is_witness


def test_the_page_says_what_a_pause_does_not_change_yet():
    assert 'these need a restart, paused or not' in plain(section(CONFIG, 'RELOADING'))
    assert tags(CONFIG, 'RELOADING') == ['yes', 'paused', 'no']


@pytest.mark.skipif(shutil.which('groff') is None, reason='NOT CHECKED: groff is not installed')
@pytest.mark.parametrize('text', [
    "sh -c 'echo \\n'", '.s.AHM.<ipc_port>', '$_IP_$ `a` ^ ~ | && "x"', 'data_dir -x --long-one',
    "'quoted' at the begin"])
def test_text_is_printed_as_it_is(tmp_path, text):
    page = tmp_path / 'page.5'
    page.write_text('.TH X 5\n.nh\n.ad l\n.SH A\n%s' % manual_page._paragraph(text))
    printed = subprocess.check_output(['groff', '-man', '-Tutf8', '-P-cbou', str(page)]).decode()
    assert '\n       %s\n' % text in printed


def test_hyphens_can_be_copied_and_names_of_parameters_stand_out():
    # Whether a terminal shows a plain hyphen as another character depends on the system.
    assert manual_page.roff('sh -c, by_db_port, db_port.') == r'sh \-c, by_db_port, \fBdb_port\fP.'


# -- nodes.conf(5) ----------------------------------------------------------------------------


def test_the_examples_of_nodes_conf_are_read():
    for text in blocks(NODES, 'EXAMPLES'):
        entries, problems = nodes_file.parse(text, 'nodes.conf')
        assert (len(entries), problems) == (3, [])


@pytest.mark.parametrize('entry, words', [
    ('db1:9500', 'A host name'), ('192.0.2.1/24:9500', 'a prefix length'),
    ('[fe80::1%eth0]:9500', 'a zone'), ('224.0.0.1:9500', 'a multicast address'),
    ('0.0.0.0:9500', 'the address of any host (0.0.0.0)'),
    ('192.0.2.1:65536', 'from 1 to 65535')])
def test_what_nodes_conf_refuses_is_what_its_page_says(entry, words):
    assert nodes_file.parse(entry + '\n', 'nodes.conf')[1]
    assert words in plain(section(NODES, 'FORMAT'))


def test_nodes_conf_is_looked_for_where_its_page_says(tmp_path):
    config, directory, home = (tmp_path / name for name in ('config', 'directory', 'home'))
    for place in (config, directory, home / 'etc'):
        place.mkdir(parents=True)
        (place / 'nodes.conf').write_text('192.0.2.1:9500\n')
    (config / 'c.yml').write_text('node_name: a\nis_witness: true\n')
    found = []
    for place in (directory, config, home / 'etc'):
        found.append(loader.load(str(config / 'c.yml'), {'AHM_HOME': str(home)}, str(directory),
                                 lambda _: True, check_host=False).nodes_filename)
        (place / 'nodes.conf').unlink()
    assert found == [str(place / 'nodes.conf') for place in (directory, config, home / 'etc')]
    text = plain(re.sub(r'^\.IP (\d\.) \d$', r'\1', section(NODES, 'DESCRIPTION'),
                        flags=re.MULTILINE))
    assert '1. nodes.conf in the working directory of the start, 2. nodes.conf beside the ' \
        'configuration file, 3. $AHM_HOME/etc/nodes.conf .' in text
    assert source(NODES).count('.IP') == 3
