"""What may survive mutation testing is explained, and speaks of lines that are still there."""

import pytest

from tests.mutation import survivors
from tests.mutation.survivors import CORE, listed, places


def of_the_core():
    """All lines of the modules that are mutated, as the list says them."""
    return {place.said() for folder in ('consensus', 'procedures')
            for path in sorted((CORE / folder).glob('*.py'))
            for place in places(path.read_text(), '%s.%s' % (folder, path.stem))}


def test_every_survivor_is_in_a_line_that_is_still_there():
    known = of_the_core()
    stale = sorted({place for place, _ in listed() if place not in known})
    assert not stale, 'survivors.txt speaks of lines that are gone: run `make mutation` for ' \
        'their modules, and list or kill what survives there:\n%s' % '\n'.join(stale)


def test_every_survivor_changes_its_line():
    assert all(becomes != place.partition(': ')[2] for place, becomes in listed())


SOURCE = """LIMIT = 1

class A:
    def b(self):
        if (1 <
                LIMIT):
            def c():
                return 2
            return 2
        return 2

    d = 4
"""


def test_a_place_is_the_innermost_function_and_a_line_of_it():
    assert [place.said() for place in places(SOURCE, 'm') if place.line] == [
        'm: LIMIT = 1', 'm.A: class A:', 'm.A.b: def b(self):', 'm.A.b: if (1 <', 'm.A.b: LIMIT):',
        'm.A.b.c: def c():', 'm.A.b.c: return 2', 'm.A.b: return 2', 'm.A.b: return 2 (2)',
        'm.A: d = 4']


def written(tmp_path, monkeypatch, text):
    """What a list with this text explains."""
    path = tmp_path / 'survivors.txt'
    path.write_text(text)
    monkeypatch.setattr(survivors, 'LISTED', path)
    return listed()


def test_a_reason_goes_for_all_that_follows_it(tmp_path, monkeypatch):
    assert written(tmp_path, monkeypatch, """# It only
# mixes.
m.f: x = 1
  => x = 2
  => x = 0
m.f: y: int = 1
  => y: int = 0

# Why else.
m.g: z
  => nothing
""") == {
        ('m.f: x = 1', 'x = 2'): 'It only mixes.', ('m.f: x = 1', 'x = 0'): 'It only mixes.',
        ('m.f: y: int = 1', 'y: int = 0'): 'It only mixes.', ('m.g: z', 'nothing'): 'Why else.'}


@pytest.mark.parametrize('text', [
    'm.f: x = 1\n  => x = 2\n', '# Why.\n  => x = 2\n', '# Why.\nwords\n', '# \nm.f: x\n  => y\n'])
def test_a_change_without_a_place_or_a_reason_is_refused(tmp_path, monkeypatch, text):
    with pytest.raises(ValueError, match=r'survivors.txt: .* is neither'):
        written(tmp_path, monkeypatch, text)
