"""The documents of docs/: no command, option, parameter or link in them that is not there."""

import ast
import os
import re

import pytest

from ahmlib.config.schema import ALWAYS, PARAMETERS
from release import tarball

from .documents import document, headings, parsed, rows
from .pages import ROOT
from .test_runbook import reported

DOCS = sorted(name for name in os.listdir(os.path.join(ROOT, 'docs')) if name.endswith('.md'))
PAGES = ['README.md', 'README.ko.md'] + ['docs/' + name for name in DOCS]
COMMANDS = sorted(os.listdir(os.path.join(ROOT, 'bin')))
#: Words of `ahm` that are no commands, but its own.
WORDS = ('start', 'stop', 'restart', 'reload')
#: Not commands: files, and the fault of ahm_check_config.
FILES = ('ahm_config', 'ahm_port', 'ahm_rewind', 'ahm_copy', 'ahm_old')

#: A command in code, and the words after it; `-u ahm` is a unit of systemd, `=ahm` a service.
COMMAND = re.compile(r'(?<!-u )(?<!=)\b(ahm(?:_[a-z_]+)?)((?: +-{1,2}[a-z][-a-z]*| [\w/.]+)*)')

each_page = pytest.mark.parametrize('page', PAGES)


def usage(command):
    """The help of a command, which is its docopt text."""
    name = 'main.py' if command == 'ahm' else 'utilities/%s.py' % command[4:]
    return ast.get_docstring(parsed(name))


def in_code(text):
    """The lines that are code: in backticks, fenced, or indented."""
    fence = re.compile(r'^```\w*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
    fenced = [line for block in fence.findall(text) for line in block.splitlines()]
    text = fence.sub('', text)
    spans = re.findall(r'`([^`]+)`', re.sub(r'^    .*$', '', text, flags=re.MULTILINE))
    return [' '.join(span.split()) for span in spans] + fenced + re.findall(
        r'^    (.*)$', text, re.MULTILINE)


@each_page
def test_every_command_that_is_named_is_there(page):
    for word in re.findall(r'\bahm_[a-z_]+', document(*page.split('/'))):
        known = word in COMMANDS or word in [row.name for row in PARAMETERS]
        if not known and word not in FILES:
            assert 'It does not have yet' in document(*page.split('/')) \
                or page.endswith('.ko.md'), word


@pytest.mark.parametrize('page', ['docs/' + name for name in DOCS])
def test_every_option_of_a_command_is_one_of_its_options(page):
    seen = 0
    for code in in_code(document(*page.split('/'))):
        for command, rest in COMMAND.findall(code):
            if command not in COMMANDS:
                continue
            for option in re.findall(r' (-{1,2}[a-z][-a-z]*)', rest):
                assert re.search(r'(^|[\s,])%s\b' % option, usage(command)), (code, option)
                seen += 1
    assert seen


@pytest.mark.parametrize('page', ['docs/' + name for name in DOCS])
def test_ahm_is_given_a_word_that_it_knows(page):
    for code in in_code(document(*page.split('/'))):
        for word in re.findall(r'^ahm (\w+)', code):
            assert word in WORDS, code


@each_page
def test_every_link_leads_somewhere(page):
    text = document(*page.split('/'))
    base = os.path.dirname(page)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        path, _, anchor = target.partition('#')
        if '://' in target:
            continue
        found = os.path.join(ROOT, base, path) if path else os.path.join(ROOT, page)
        assert os.path.exists(found), target
        if anchor:
            there = document(*os.path.relpath(found, ROOT).split(os.sep))
            anchors = [slug(title) for level in (2, 3) for title in headings(there, level)]
            assert anchor in anchors, target


def slug(title):
    """The anchor that a heading gets."""
    return re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')


# -- coming from elsewhere --------------------------------------------------------------------

#: Not of AHM, in its column: of PostgreSQL, of the shell, of systemd.
OTHERS = {'nodes.conf', 'synchronous_standby_names'}


def test_what_is_called_ahms_is_a_parameter_or_a_command_of_ahm():
    """In the tables by manager, the second column is AHM's."""
    text = document('docs', 'coming-from.md')
    names, tables = {row.name for row in PARAMETERS}, 0
    for title in ('EFM', 'repmgr', 'Patroni', 'pg_auto_failover'):
        part = re.search(r'^## %s\n(.*?)^## ' % title, text, re.MULTILINE | re.DOTALL).group(1)
        for _, ours, mind in rows(part):
            found = re.findall(r'`([^`]+)`', ours)
            assert found or ours in ('-', 'always', 'the same'), ours
            for name in found:
                assert name in names | OTHERS or name.split()[0] in COMMANDS, name
            assert ours != '-' or mind or title == 'Patroni', (title, ours)
            tables += 1
    assert tables > 80


@pytest.mark.parametrize('page', ['docs/coming-from.md', 'docs/runbook.md'])
def test_a_row_that_says_ahm_reload_names_parameters_that_a_reload_takes(page):
    policies, seen = {row.name: row.reload for row in PARAMETERS}, 0
    for row in rows(document(*page.split('/'))):
        for cell in row:
            if '`ahm reload`' in cell and 'ahm restart' not in cell:
                for name in set(re.findall(r'`(\w+)(?:: \w+)?`', cell)) & set(policies):
                    assert policies[name] == ALWAYS, (name, cell)
                    seen += 1
    assert seen


def test_events_that_are_named_are_told():
    told = {re.sub('[^A-Z]', '_', event.upper()) for event in reported()}
    named = re.findall(r'events `(\w+)`, `(\w+)`', document('docs', 'coming-from.md'))
    assert named and set(named[0]) <= told


def test_parameters_without_effect_are_called_that():
    text = document('docs', 'coming-from.md')
    for row in PARAMETERS:
        if row.without_effect and '`%s`' % row.name in text:
            lines = [line for line in text.splitlines() if '`%s`' % row.name in line]
            assert any('no effect yet' in line for line in lines), row.name


# -- packages ---------------------------------------------------------------------------------


def test_the_documents_go_into_the_tarball_and_the_packages():
    for page in PAGES + ['docs/failover.svg', 'docs/live-page.png', 'docs/live-page.ko.png']:
        assert page in tarball.DOCUMENTS, page
    with open(os.path.join(ROOT, 'conf', 'ahm.spec'), encoding='utf-8') as spec:
        docs = re.search(r'^%doc (.*)$', spec.read(), re.MULTILINE).group(1).split()
    assert set(docs) >= {'README.md', 'README.ko.md', 'docs'}
    with open(os.path.join(ROOT, 'setup.py'), encoding='utf-8') as setup:
        assert 'share/doc/ahm' in setup.read()


def test_readme_says_how_many_lemmas_there_are():
    said = re.search(r'ahm_protocol.7` \| .*, in (\d+) lemmas', document('README.md')).group(1)
    lemmas = re.findall(r'^\.B L\d+$', document('man', 'ahm_protocol.7'), re.MULTILINE)
    assert len(lemmas) == int(said)
