"""README.md shows what is really printed: the simulated failover of the quick start's files."""

import os
import re
import subprocess
import sys

import pytest

from release import picture

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICK_START = {'nodes.conf': '### 2. ', 'ahm_config.yml': '### 3. '}
BLOCK = re.compile(r'\n\n((?:(?:    .*)?\n)*?    .*\n)(?!    |\n    )')


@pytest.fixture(scope='module')
def readme():
    """Its text."""
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as file:
        return file.read()


@pytest.fixture
def simulate(readme, tmp_path):
    """simulate(words) -> what ahm_simulate prints with the files of the quick start."""
    for name, heading in QUICK_START.items():
        (tmp_path / name).write_text(block_after(readme, '\n' + heading))

    def run(*words):
        return subprocess.check_output(
            [sys.executable, os.path.join(ROOT, 'bin', 'ahm_simulate'), '-f', 'ahm_config.yml']
            + list(words), cwd=str(tmp_path), universal_newlines=True)
    return run


def block_after(text, words):
    """The first indented block after these words, without its indentation."""
    text = text[text.index(words) + len(words):]
    return re.sub('^    ', '', BLOCK.search(text).group(1), flags=re.MULTILINE)


def test_the_simulated_failover_is_printed_as_readme_shows_it(readme, simulate):
    shown = block_after(readme, '\n## Trying it without a cluster').splitlines()
    assert shown[:2] == ['$ ahm_simulate -f ahm_config.yml --fault power-off', '...']
    lines = iter(simulate('--fault', 'power-off').splitlines())
    missing = [line for line in shown[2:] if line not in lines]
    assert not missing and len(shown) > 15, 'not printed, or not in this order: %s' % missing


def test_the_outages_of_many_runs_are_those_that_readme_says(readme, simulate):
    said = re.search(r'`--runs (\d+) --fault power-off` \| a table of \1 runs at other instants: '
                     r'here outages of ([\d.]+) to ([\d.]+) s, half of them under ([\d.]+) s',
                     readme)
    printed = simulate('--runs', said.group(1), '--fault', 'power-off')
    least, median, _, most = map(float, re.search(
        r'^power-off +leader +\d+ +(\S+) +(\S+) +(\S+) +(\S+)', printed, re.MULTILINE).groups())
    assert said.groups()[1:] == tuple('%.1f' % value for value in (least, most, median))


def test_the_picture_of_a_failover_is_what_ahm_simulate_draws(readme, tmp_path):
    assert '](%s)' % picture.PICTURE in readme
    picture.draw(str(tmp_path / 'anew.svg'))
    with open(os.path.join(ROOT, picture.PICTURE), 'rb') as file:
        assert file.read() == (tmp_path / 'anew.svg').read_bytes(), '`make picture` draws it anew'
