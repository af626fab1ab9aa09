"""All manual pages: they are roff without a mistake, of this version, and are listed where people
look for them."""

import os
import re
import shutil
import subprocess

import pytest

from ahmlib.config import manual_page

from .pages import MAN, PAGES, ROOT, source

#: What looks for mistakes in a page, and where it says them.
CHECKERS = {'mandoc': (['mandoc', '-T', 'lint', '-W', 'warning'], ('stdout', 'stderr')),
            'groff': (['groff', '-man', '-Tutf8', '-ww'], ('stderr',))}
FOUND = sorted(name for name in CHECKERS if shutil.which(name))

needs_a_checker = pytest.mark.skipif(
    not FOUND, reason='NOT CHECKED: neither mandoc nor groff is installed')


def complaints(path):
    """What each of the checkers that are there says of a page."""
    said = ''
    for name in FOUND:
        argv, places = CHECKERS[name]
        done = subprocess.run(argv + [path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60)
        said += ''.join(getattr(done, place) for place in places)
        said += '' if done.returncode == 0 else '%s ended with %d\n' % (name, done.returncode)
    return said


@needs_a_checker
@pytest.mark.parametrize('name', PAGES)
def test_a_page_prints_without_a_warning(name):
    assert complaints(os.path.join(MAN, name)) == ''


@needs_a_checker
@pytest.mark.parametrize('mistake', ['.XY is no macro', 'a \\Z escape', 'text \\*(xx of a string'])
def test_a_mistake_in_a_page_is_noticed(tmp_path, mistake):
    page = tmp_path / 'ahm.8'
    page.write_text(source('ahm.8').replace('.SH COMMANDS\n', '.SH COMMANDS\n%s\n' % mistake))
    assert complaints(str(page))


@pytest.mark.parametrize('name', PAGES)
def test_a_page_is_ascii_of_a_width_that_can_be_read(name):
    with open(os.path.join(MAN, name), encoding='ascii') as page:
        assert [line for line in page.read().splitlines() if len(line) > 100] == []


@pytest.mark.parametrize('name', PAGES)
def test_a_page_begins_with_its_name_and_the_version(name):
    title, _, number = name.rpartition('.')
    lines = [line for line in source(name).splitlines() if not line.startswith('.\\"')]
    assert lines[0] == manual_page.title(title.upper(), int(number))
    assert lines[3] == '.SH NAME' and lines[4].startswith(title + ' - ')


def test_pages_that_a_page_names_exist():
    for name in PAGES:
        for title, number in re.findall(r'\b(ahm[\w.]*|nodes\.conf) ?\((\d)\)', source(name)):
            assert '%s.%s' % (title, number) in PAGES, name


def test_every_page_is_in_the_lists_of_the_pages():
    with open(os.path.join(MAN, 'README.md'), encoding='utf-8') as readme:
        listed = re.findall(r'^\| (\S+)\((\d)\) \|', readme.read(), re.MULTILINE)
    assert sorted('.'.join(row) for row in listed) == PAGES
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as readme:
        pointers = readme.read().split('\n## Pointers')[1]
    assert sorted(re.findall(r'`man/([^`]+)`', pointers)) == PAGES
