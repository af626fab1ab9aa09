"""What would fail at a takeover by this node, or at a handover from it.

The daemon rehearses both while it runs; here the same functions are asked, and what they say is
told.
"""

from typing import TYPE_CHECKING, Iterator, List, Sequence, Tuple

from ahmlib.checking import lines
from ahmlib.checking.facts import Daemon, Takeover
from ahmlib.checking.finding import ERROR, UNKNOWN, WARNING, Rule, Verdict, well
from ahmlib.database.rehearsal import Rehearsed
from ahmlib.network.rehearsal import NEEDS

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: The codes of what the rehearsal of a takeover says.
TAKEOVERS = ('takeover', 'takeover-lacks')
#: What a rehearsal names that is no parameter -> the parameter to look at.
PING, NO_FAILOVER = 'ping', 'no failover of a lost host: '
PARAMETER = {PING: 'ping_path'}
WHY_PING = 'the silence of virtual_IP cannot be shown, and after the loss of a host nobody is ' \
           'promoted'
WHY_IDLE = 'this node never takes over; it would need ping to, once it has a priority'
WHY_TRUSTED = 'trusted_servers are taken for silent, and half the votes do not suffice then'


def takeover(config: 'Config', found: Takeover, running: Daemon) -> Iterator[Verdict]:
    """Without these nobody is promoted here, or no client comes through."""
    told = _all(config, ERROR, found.fails, running)
    if _needs_silence(config):
        told += _of_ping(config, ERROR, found, WHY_PING)
    yield from told
    if not told:
        yield well(config.node_name, 'it would get through, as far as can be tried'
                   if config.priority and not config.is_witness else 'this node never takes over')


def lacks(config: 'Config', found: Takeover, running: Daemon) -> Iterator[Verdict]:
    """A takeover succeeds without these, and lacks something."""
    told = _all(config, WARNING, [text for text in found.lacks if not _is_of_ping(text)], running)
    if not _needs_silence(config):
        told += _of_ping(config, WARNING, found,
                         WHY_TRUSTED if config.trusted_servers else WHY_IDLE)
    yield from told or [well(config.node_name, 'nothing, as far as can be tried')]


def _needs_silence(config: 'Config') -> bool:
    """Whether a takeover by this node waits until nobody answers for the VIP."""
    return bool(config.virtual_ip and config.priority and not config.is_witness)


def _is_of_ping(text: str) -> bool:
    return text.startswith(PING + ': ')


def _of_ping(config: 'Config', level: str, found: Takeover, why: str) -> List[Verdict]:
    """The promotion itself does without ping; what has to be known before it does not."""
    return [_told(config, level, text.replace(NO_FAILOVER, '', 1))._replace(why=why)
            for text in found.lacks if _is_of_ping(text)]


def _all(config: 'Config', level: str, sentences: Sequence[str],
         running: Daemon) -> List[Verdict]:
    """What a rehearsal says, but for rights that the daemon has and whoever asks has not."""
    found = []
    for text in sentences:
        bit = next((1 << number for number, name in NEEDS.values() if '(%s)' % name in text), 0)
        if not bit or running.pid is not None and running.capabilities is None:
            found.append(_told(config, level, text))
        elif running.capabilities is None:
            verdict = _told(config, UNKNOWN, text)
            found.append(verdict._replace(
                found='not known: %s; AHM has it where its service gives it' % verdict.found))
        elif not running.capabilities & bit:
            found.append(_told(config, level, text))
    return found


def _told(config: 'Config', level: str, text: str) -> Verdict:
    """A sentence of a rehearsal: NAME: what is found: what to do."""
    name, _, rest = text.partition(': ')
    found, _, remedy = rest.rpartition(': ')
    name = PARAMETER.get(name, name)
    return Verdict(level, name, found, lines.of_config(config, name, '%s: %s' % (name, remedy)))


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
         ('takeover', 'daemon'), takeover, of_database=False),
    Rule('takeover-lacks', 'a takeover by this node would do without it', ('takeover', 'daemon'),
         lacks, of_database=False),
    Rule('checkpoint', 'a switchover from here would be undone', ('handover',), checkpoint),
    Rule('config-dir', 'AHM could not start this server again after a switchover', ('handover',),
         started_from),
    Rule('archiver', 'all WAL is kept until it is archived, and the disk fills', ('handover',),
         archiver),
    Rule('standby-refused', 'after a switchover to that server, this one could not stream from it',
         ('handover', 'asked_servers'), lets_in),
)
