"""synchronous_standby_names, read as PostgreSQL's own scanner and grammar read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahmlib.database import sync_names


@pytest.mark.parametrize('text, needed, names', [
    ('', 0, ()), (' \t\n', 0, ()), ('a', 1, ('a',)), ('n1, n2', 1, ('n1', 'n2')),
    ('2 (a, b)', 2, ('a', 'b')), ('2(a,b,c)', 2, ('a', 'b', 'c')),
    ('FIRST 2 (a,b)', 2, ('a', 'b')), ('first 1 (a)', 1, ('a',)),
    ('ANY 1 (a, "B b")', 1, ('a', 'B b')), ('Any 2 (a, b, c)', 2, ('a', 'b', 'c')),
    ('*', 1, ('*',)), ('ANY 3 (*)', 3, ('*',)), ('2 (a, *)', 2, ('a', '*')), ('"*"', 1, ('*',)),
    ('ANY 5 (a, b)', 2, ('a', 'b')), ('a, A', 1, ('a',)), ('ANY 2 (a, A)', 1, ('a',)),
    ('"any"', 1, ('any',)), ('"First", b', 1, ('First', 'b')), ('"a""b"', 1, ('a"b',)),
    ('"a, b"', 1, ('a, b',)), ('1, 2', 1, ('1', '2')), ('2', 1, ('2',)), ('02 (a, b)', 2,
                                                                         ('a', 'b')),
    ('노드, é$1', 1, ('노드', 'é$1')), ('a\n,\tb', 1, ('a', 'b'))])
def test_what_postgresql_accepts(text, needed, names):
    assert sync_names.parse(text) == (needed, names)


@pytest.mark.parametrize('text', [
    'any', 'a b', '(a)', 'a,', ',a', '0 (a)', 'ANY (a)', 'ANY 1 ()', '"a', 'a-b', 'FIRST 1 a',
    '-1 (a)', 'ANY 1 (a', '1 (a), b', 'first', 'a, any', 'ANY 1 (a, first)', 'a "b'])
def test_what_postgresql_refuses(text):
    with pytest.raises(ValueError):
        sync_names.parse(text)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6), st.integers(1, 9),
       st.sampled_from(['ANY %d (%s)', 'FIRST %d (%s)', '%d (%s)']))
def test_any_quoted_name_comes_back(names, needed, form):
    quoted = ', '.join('"%s"' % name.replace('"', '""') for name in names)
    found = sync_names.parse(form % (needed, quoted))
    assert {sync_names.fold(name) for name in found.names} == {sync_names.fold(name)
                                                              for name in names}
    assert found.needed == (needed if '*' in names else min(needed, len(found.names)))


@given(st.text(max_size=30))
def test_nothing_but_names_or_a_refusal_comes_of_any_text(text):
    try:
        found = sync_names.parse(text)
    except ValueError:
        return
    assert bool(found.names) == bool(found.needed)


def test_names_are_compared_as_postgresql_does():
    assert sync_names.fold('Node_A') == 'node_a' and sync_names.fold('É') == 'É'
