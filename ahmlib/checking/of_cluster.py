"""The servers of the other nodes, and what of them does not fit this one.

A witness asks them, too, for it looks at the old primary before a failover as every node does.
A server that does not answer says nothing: it may be down, or its node a witness.  Where the daemon
runs here it tells which nodes are witnesses, and those are not asked.
"""

from collections import Counter
from typing import TYPE_CHECKING, Iterator, Sequence, Tuple

from ahmlib.checking import lines
from ahmlib.checking.facts import Server
from ahmlib.checking.finding import ERROR, UNKNOWN, WARNING, Rule, Verdict, well
from ahmlib.checking.of_server import hidden, number, shown
from ahmlib.core.policy.database import why_commits_wait
from ahmlib.database.probe import REACHABLE, Found
from ahmlib.database.survey import Survey
from ahmlib.database.sync_names import EVERYBODY

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: A standby does not replay, or not start, with less of them than its primary has.
NOT_SMALLER = ('max_connections', 'max_worker_processes', 'max_wal_senders',
               'max_prepared_transactions', 'max_locks_per_transaction')
SYNC = 'synchronous_standby_names'
FIRST_VERSION_WITH_SENDERS = 120000         # from which on max_wal_senders is one of them


def others_answer(config: 'Config', others: Sequence[Server]) -> Iterator[Verdict]:
    """Every living node tries the old primary's database before one is promoted."""
    del config
    for each in others:
        found, name = each.found, _place(each)
        if found.answered:
            yield well(name, 'it answers: a %s' % ('standby' if found.in_recovery else 'primary'))
        elif found.verdict == REACHABLE:
            yield Verdict(ERROR, name, 'it refuses AHM: %s' % found.reason,
                          'in pg_hba.conf there, and ~/.pgpass here: the role db_user, from this '
                          'host')
        else:
            yield Verdict(UNKNOWN, name, 'not known: it does not answer: %s' % found.reason,
                          'nothing where this node is a witness, or its database is down; else '
                          'see listen_addresses there, and firewalls')


def _place(server: Server) -> str:
    return ('[%s]:%d' if ':' in server.host else '%s:%d') % (server.host, server.port)


def one_system(config: 'Config', probe: Found, others: Sequence[Server]) -> Iterator[Verdict]:
    """A server of another database system can follow nobody here."""
    own, found = probe.system_identifier, []
    del config
    known = [each for each in others if each.found.answered]
    for each in known:
        theirs = each.found.system_identifier
        if own is None or theirs is None:
            found.append(Verdict(UNKNOWN, _place(each), 'not known: a system identifier is not '
                                 'told', 'GRANT EXECUTE ON FUNCTION pg_control_system() TO the '
                                 'role of db_user'))
        elif theirs != own:
            found.append(Verdict(ERROR, _place(each), 'its system identifier is %s, and that of '
                                 'this one %s' % (theirs, own),
                                 'rebuild one of them by pg_basebackup'))
    yield from found or [well('system identifier', own or 'not told')] if known else []


def one_primary(config: 'Config', probe: Found, others: Sequence[Server]) -> Iterator[Verdict]:
    """AHM stops a second primary."""
    names = ['this server'] * (probe.in_recovery is False) + [
        _place(each) for each in others if each.found.in_recovery is False]
    del config
    if len(names) > 1:
        yield Verdict(ERROR, 'primaries', '%d servers are primaries: %s' % (
            len(names), ', '.join(names)), 'compare their data, stop all but one, and rebuild '
            'those as standbys')
    elif names:
        yield well('primaries', 'one: %s' % names[0])
    else:
        yield Verdict(UNKNOWN, 'primaries', 'not known: no server that answers is a primary',
                      'see which one is, and why it does not answer here')


def not_smaller(config: 'Config', server: Survey, primary: Survey,
                others: Sequence[Server]) -> Iterator[Verdict]:
    """A standby needs as much room as its primary, in both directions of a switchover."""
    del config
    pairs = [(server, '')] if server.in_recovery else [
        (each.survey, _place(each)) for each in others if isinstance(each.survey, Survey)
        and each.survey.in_recovery]
    found = [verdict for standby, place in pairs
             for verdict in compare(standby, place, primary, 'that server is this one'
                                     if not server.in_recovery else '')]
    if pairs:
        yield from found or [well('standbys and primary', 'have the same %s' % ', '.join(
            _names(primary)))]


def _names(primary: Survey) -> Tuple[str, ...]:
    return tuple(name for name in NOT_SMALLER
                 if name != 'max_wal_senders' or primary.version >= FIRST_VERSION_WITH_SENDERS)


def compare(standby: Survey, place: str, primary: Survey, whose: str = '') -> Iterator[Verdict]:
    """`place`: of the standby, '' for this server; `whose`: likewise of the primary, in words."""
    who = place or 'this standby'
    for name in _names(primary):
        here, there = number(standby, name), number(primary, name)
        if here is None or there is None:
            yield hidden(name)
        elif here < there:
            yield Verdict(ERROR, name, '%d at %s, and %d at its primary' % (here, who, there),
                          lines.of_setting(standby, name, '%d' % there, who))
        elif here > there:
            yield Verdict(WARNING, name, '%d at %s, and %d at its primary' % (here, who, there),
                          lines.of_setting(primary, name, '%d' % here,
                                           'the primary' if not whose else 'this primary'),
                          'after a failover that primary would not start as a standby')


def unique_names(config: 'Config', senders: Found) -> Iterator[Verdict]:
    """Two standbys of one name are one for the primary."""
    del config
    if senders.sync_peers is None:
        yield Verdict(UNKNOWN, 'pg_stat_replication', 'not known: the primary does not show it to '
                      'this user', 'GRANT pg_monitor TO the role of db_user')
        return
    found = []
    for name, count in sorted(Counter(name for name, _ in senders.sync_peers).items()):
        if count > 1:
            where = sorted(address or 'a socket' for each, address in senders.sync_peers
                           if each == name)
            found.append(Verdict(ERROR if name in (senders.sync_names or ()) else WARNING, name,
                                 '%d connections to the primary have this name, from %s' % (
                                     count, ', '.join(where)),
                                 'in primary_conninfo of each: application_name=its node_name'))
    yield from found or [well('pg_stat_replication', '%d standbys, each of its own name'
                              % len(senders.sync_peers))]


def sync_names(config: 'Config', senders: Found) -> Iterator[Verdict]:
    """An election asks the standbys that are listed for their positions, and a commit waits."""
    del config
    if senders.sync_names is None:
        yield hidden(SYNC)
        return
    waits = '' if senders.sync_peers is None else why_commits_wait(
        senders.sync_needed or 0, senders.sync_names, senders.sync_peers)
    if waits:
        what, _, remedy = waits.rpartition(': ')
        yield Verdict(ERROR, SYNC, what, remedy, 'every commit on the primary waits for that '
                      'standby, and clients hang')
    if EVERYBODY in senders.sync_names:
        yield Verdict(WARNING, SYNC, 'it lists *, so everybody',
                      'on the primary: list the node_name of each standby')
    elif not waits:
        yield well(SYNC, ', '.join(senders.sync_names) or 'not set')


def same_archiving(config: 'Config', server: Survey, primary: Survey) -> Iterator[Verdict]:
    """Who is promoted archives as its own settings say."""
    del config
    if not server.in_recovery:
        return
    here, there = shown(server, 'archive_mode'), shown(primary, 'archive_mode')
    if here is None or there is None:
        yield hidden('archive_mode')
    elif here == 'off' != there:
        yield Verdict(WARNING, 'archive_mode', 'off, and %s at the primary' % there,
                      lines.of_setting(server, 'archive_mode', 'on'))
    else:
        yield well('archive_mode', '%s, and %s at the primary' % (here, there))


RULES = (
    Rule('other-servers', 'a server that refuses AHM counts as alive: after a failure of its node '
         'there is no failover', ('others',), others_answer, of_database=False),
    Rule('one-system', 'a server of another database system can follow nobody here',
         ('found', 'others'), one_system),
    Rule('one-primary', 'AHM stops a second primary, and nobody is promoted beside one',
         ('found', 'others'), one_primary),
    Rule('standby-settings', 'a standby with less than its primary does not start, or its replay '
         'stops; it is not promoted', ('server', 'primary', 'others'), not_smaller),
    Rule('unique-names', 'two standbys of one name are one to synchronous_standby_names: what one '
         'has confirmed the other may not have', ('senders',), unique_names),
    Rule('sync-names', 'an election asks all standbys then, so one that is down holds up a '
         'failover', ('senders',), sync_names),
    Rule('same-archiving', 'after a failover to this node nothing is archived any more',
         ('server', 'primary'), same_archiving),
)
