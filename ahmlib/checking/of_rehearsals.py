"""What would fail at a takeover by this node, or at a handover from it.

The daemon rehearses both while it runs; here the same functions are asked, and what they say is
told.
"""

from typing import TYPE_CHECKING, Iterator, Tuple

from ahmlib.checking import lines
from ahmlib.checking.facts import Takeover
from ahmlib.checking.finding import ERROR, UNKNOWN, WARNING, Rule, Verdict, well
from ahmlib.config.schema import BY_NAME
from ahmlib.database.rehearsal import Rehearsed

if TYPE_CHECKING:
    from ahmlib.config.loader import Config


def takeover(config: 'Config', found: Takeover) -> Iterator[Verdict]:
    """Without these nobody is promoted here, or no client comes through."""
    for text in found.fails:
        yield _told(config, ERROR, text)
    if not found.fails:
        yield well(config.node_name, 'it would get through, as far as can be tried'
                   if config.priority and not config.is_witness else 'this node never takes over')


def lacks(config: 'Config', found: Takeover) -> Iterator[Verdict]:
    """A takeover succeeds without these, and lacks something."""
    for text in found.lacks:
        yield _told(config, WARNING, text)
    if not found.lacks:
        yield well(config.node_name, 'nothing, as far as can be tried')


def _told(config: 'Config', level: str, text: str) -> Verdict:
    """A sentence of a rehearsal: NAME: what is found: what to do."""
    name, _, rest = text.partition(': ')
    found, _, remedy = rest.rpartition(': ')
    if name.lower() in BY_NAME:
        return Verdict(level, name, found, lines.of_config(config, name, '%s: %s' % (name, remedy)))
    return Verdict(level, name, rest, lines.of_config(
        config, 'ping_path', 'ping_path: the directory of a ping that this user may run'))


def checkpoint(config: 'Config', found: Rehearsed) -> Iterator[Verdict]:
    """A handover begins with one."""
    del config
    if not found.no_checkpoint:
        yield well('CHECKPOINT', 'it may be ordered')
        return
    what, _, remedy = found.no_checkpoint.rpartition(': ')
    grant = 'on the primary: %s;' % remedy if remedy.startswith('GRANT') else remedy
    yield Verdict(ERROR, 'CHECKPOINT', what, grant)


def started_from(config: 'Config', found: Rehearsed) -> Iterator[Verdict]:
    """Debian keeps postgresql.conf in /etc."""
    if not found.no_start:
        yield well('db_config_dir', 'nothing speaks against it')
        return
    directory = found.no_start.rpartition(' was started with ')[2].partition(': ')[0]
    yield Verdict(ERROR, 'db_config_dir', found.no_start.rpartition(': ')[0],
                  lines.of_config(config, 'db_config_dir', 'db_config_dir: %s' % directory))


def archiver(config: 'Config', found: Rehearsed) -> Iterator[Verdict]:
    """What waits to be archived fills the disk."""
    del config
    if not found.unarchived:
        yield well('archive_command', 'it keeps up, or there is none')
        return
    what, _, remedy = found.unarchived.rpartition(': ')
    yield Verdict(WARNING, 'archive_command', what, remedy)


def lets_in(config: 'Config', found: Rehearsed, servers: Tuple[str, ...]) -> Iterator[Verdict]:
    """Each standby has to be let in by each server that may take the primary's place.

    servers: the addresses of those that were asked, in the order of their numbers.
    """
    said = dict(found.asked)
    for number, name in enumerate(servers):
        if number not in said:
            yield Verdict(UNKNOWN, name, 'not known: it is down, or was not asked as a standby '
                          'would ask', 'nothing where this node is a witness; else run this again '
                          'once it is up')
        elif said[number]:
            yield Verdict(ERROR, name, 'it would not let this one in: %s' % said[number],
                          'in pg_hba.conf there: host replication %s %s/%d scram-sha-256, then '
                          'reload that server' % (_role(config), _own(config),
                                                  128 if ':' in _own(config) else 32))
        else:
            yield well(name, 'it would let this one in')


def _own(config: 'Config') -> str:
    assert config.nodes is not None and config.nodes.own is not None
    return config.nodes.entries[config.nodes.own].host


def _role(config: 'Config') -> str:
    return str(config.replication_user or config.db_user)


RULES = (
    Rule('takeover', 'this node would not be promoted, or no client would come through',
         ('takeover',), takeover, of_database=False),
    Rule('takeover-lacks', 'a takeover by this node would do without it', ('takeover',), lacks,
         of_database=False),
    Rule('checkpoint', 'a switchover from here would be undone', ('handover',), checkpoint),
    Rule('config-dir', 'AHM could not start this server again after a switchover', ('handover',),
         started_from),
    Rule('archiver', 'all WAL is kept until it is archived, and the disk fills', ('handover',),
         archiver),
    Rule('standby-refused', 'after a switchover to that server, this one could not stream from it',
         ('handover', 'asked_servers'), lets_in),
)
