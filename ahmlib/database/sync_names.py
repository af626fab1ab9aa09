"""Reading synchronous_standby_names, as PostgreSQL does.

Who may have confirmed a commit is not who is connected now: it is whoever the setting names.
Source: src/backend/replication/syncrep_scanner.l and syncrep_gram.y, the same from 10 to 18.

    a, b                FIRST 1 of them
    2 (a, b, c)         FIRST 2
    FIRST 2 (a, b, c)   the first two that are connected confirm, and these change
    ANY 1 (a, "B b")    whichever
    *                   everybody, a name like others in the list
"""
import re
from typing import Dict, List, NamedTuple, Tuple

Token = Tuple[str, str]             # (kind, text)

EVERYBODY = '*'
_TOKEN = re.compile(r"""
    [ \t\n\r\v\f]*
    (?:(?P<quoted>"(?:[^"]|"")*")
      |(?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z_0-9$\u0080-\U0010ffff]*)
      |(?P<number>[0-9]+)
      |(?P<mark>[*,()])
      |(?P<end>$))""", re.VERBOSE)


class SyncNames(NamedTuple):
    """`needed` of `names` confirm each commit; 0 and () where none does."""

    needed: int = 0
    names: Tuple[str, ...] = ()


def fold(name: str) -> str:
    """Return a name as PostgreSQL compares it with an application_name (pg_strcasecmp)."""
    return ''.join(chr(ord(each) + 32) if 'A' <= each <= 'Z' else each for each in name)


def parse(text: str) -> SyncNames:
    """Return the SyncNames of a setting; raises ValueError where PostgreSQL would refuse it.

    A name counts once, however it is spelled, and `needed` is at most the number of names, but
    where one of them is '*'.
    """
    tokens = _tokens(text)
    if not tokens:
        return SyncNames()
    needed = 1
    if len(tokens) > 2 and tokens[-1] == ('mark', ')'):
        keyword = tokens[0][0] == 'word' and fold(tokens[0][1]) in ('any', 'first')
        head, tokens = tokens[:2 + keyword], tokens[2 + keyword:-1]
        if head[-2][0] != 'number' or head[-1] != ('mark', '('):
            raise _malformed()
        needed = int(head[-2][1])
        if needed < 1:
            raise _malformed()
    names = _distinct(_list(tokens))
    return SyncNames(needed if EVERYBODY in names else min(needed, len(names)), names)


def _tokens(text: str) -> List[Token]:
    found: List[Token] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if not match:
            raise _malformed()
        kind = str(match.lastgroup)
        if kind == 'end':
            return found
        found.append((kind, match.group(kind)))
        at = match.end()


def _list(tokens: List[Token]) -> List[str]:
    """The names of `name, name`; a number is a name too, a keyword is none."""
    names = []
    if len(tokens) % 2 == 0:
        raise _malformed()
    for place, (kind, text) in enumerate(tokens):
        if place % 2:
            if text != ',' or kind != 'mark':
                raise _malformed()
        elif kind == 'quoted':
            names.append(text[1:-1].replace('""', '"'))
        elif kind == 'word' and fold(text) not in ('any', 'first') or kind == 'number' \
                or text == EVERYBODY:
            names.append(text)
        else:
            raise _malformed()
    return names


def _distinct(names: List[str]) -> Tuple[str, ...]:
    seen: Dict[str, str] = {}
    for name in names:
        seen.setdefault(fold(name), name)
    return tuple(name for name in names if seen.pop(fold(name), None) is not None)


def _malformed() -> ValueError:
    return ValueError('synchronous_standby_names is malformed; expected names, or '
                      'FIRST n (names), or ANY n (names)')
