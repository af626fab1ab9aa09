"""Minor versions of PostgreSQL with faults that lose data, or stop a standby, and what mends them.

Only what the release notes say themselves.  Each row names the minor that mends it for each major
version, and the release notes of that minor are the source that is told.
"""

from typing import TYPE_CHECKING, Dict, Iterator, NamedTuple, Sequence, Tuple

from ahmlib.checking.facts import Server
from ahmlib.checking.finding import ERROR, WARNING, Rule, Verdict, well
from ahmlib.database.survey import Survey

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

NOTES = 'https://www.postgresql.org/docs/release/%d.%d/'


class Fault(NamedTuple):
    """`fixed`: major -> (the first minor that has it, the one that has it no more)."""

    text: str
    fixed: Dict[int, Tuple[int, int]]
    of_rewind: bool = False             # whether it matters with use_pg_rewind only


FAULTS = (
    Fault('a primary that crashed within a WAL record which its standbys had received in part '
          'writes other WAL in its place, and they cannot go on without help',
          {10: (0, 19), 11: (0, 14), 12: (0, 9), 13: (0, 5), 14: (0, 1)}),
    Fault('a standby that replays CREATE DATABASE stops where the directory of a tablespace was '
          'removed meanwhile',
          {10: (0, 22), 11: (0, 17), 12: (0, 12), 13: (0, 8), 14: (0, 5)}),
    Fault('REINDEX CONCURRENTLY of a TOAST table, or of its index, makes a corrupt index',
          {12: (0, 10), 13: (0, 6), 14: (0, 2)}),
    Fault('CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY miss rows that are updated '
          'meanwhile: such indexes are to be built again', {14: (0, 4)}),
    Fault('pg_rewind removes WAL that the old primary had not archived yet and still needs',
          {14: (0, 15), 15: (0, 10), 16: (0, 6), 17: (0, 2)}, of_rewind=True),
    Fault('a standby stops at a truncation of multixids in the WAL of a primary of an older minor',
          {14: (21, 22), 15: (16, 17), 16: (12, 13), 17: (8, 9), 18: (2, 3)}),
)


def known(version: int, uses_rewind: bool) -> Iterator[Tuple[Fault, int]]:
    """Each Fault of this server_version_num, and the minor that mends it."""
    major, minor = divmod(version, 10000)
    for fault in FAULTS:
        first, mended = fault.fixed.get(major, (0, 0))
        if first <= minor < mended and (uses_rewind or not fault.of_rewind):
            yield fault, mended


def faults(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """What this very minor does wrong."""
    major, minor = divmod(server.version, 10000)
    found = list(known(server.version, config.use_pg_rewind))
    newest = max((mended for _, mended in found), default=0)
    for fault, mended in found:
        yield Verdict(
            WARNING, 'PostgreSQL %d.%d' % (major, minor), '%s; mended in %d.%d: see %s' % (
                fault.text, major, mended, NOTES % (major, mended)),
            'update PostgreSQL to the newest %d, %d.%d at least: the standbys first, then the '
            'primary' % (major, major, newest))
    if not found:
        yield well('PostgreSQL %d.%d' % (major, minor), 'no known fault of that kind')


def mixed(config: 'Config', server: Survey, others: Sequence[Server]) -> Iterator[Verdict]:
    """A standby that replays the WAL of another minor."""
    del config
    yield from of_versions([server.version] + [
        each.survey.version for each in others if isinstance(each.survey, Survey)])


def of_versions(versions: Sequence[int]) -> Iterator[Verdict]:
    """Likewise, of the server_version_num of several servers."""
    names = ', '.join('%d.%d' % divmod(version, 10000) for version in sorted(set(versions)))
    if len({version // 10000 for version in versions}) > 1:
        yield Verdict(ERROR, 'PostgreSQL', 'servers of %s' % names, 'pg_upgrade the older ones, or '
                      'rebuild them by pg_basebackup with the programs of the new version',
                      'no server streams from one of another major version')
    elif len(set(versions)) > 1:
        yield Verdict(WARNING, 'PostgreSQL', 'servers of %s' % names, 'update all to %d.%d: the '
                      'standbys first, then the primary' % divmod(max(versions), 10000))
    elif len(versions) > 1:
        yield well('PostgreSQL', 'all are %s' % names)


RULES = (
    Rule('known-faults', 'the release notes of PostgreSQL say so of this minor version',
         ('server',), faults),
    Rule('mixed-versions', 'a standby that replays WAL of another minor version is tried by few, '
         'and some have stopped at it; a standby is to be the newer one', ('server', 'others'),
         mixed),
)
