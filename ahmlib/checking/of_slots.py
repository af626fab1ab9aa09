"""What keeps a connection, and logical slots, longer than the server or the standby behind it."""

from typing import TYPE_CHECKING, Iterator, List, Optional

from ahmlib.checking import lines
from ahmlib.checking.finding import WARNING, Rule, Verdict, well
from ahmlib.checking.of_server import hidden, number, shown
from ahmlib.checking.of_standby import CONNINFO, FIRST_VERSION_WITH_SLOT_SYNC
from ahmlib.database.probe import Found
from ahmlib.database.survey import Files, Survey

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

#: A server that is gone without a word is to be noticed within this time.
LONG_SECONDS = 300.0
SYNCHRONIZED = 'synchronized_standby_slots'
WAITS = 'logical slots with failover, and so their subscribers, wait for all that are listed'
SLOT = 'primary_slot_name'
SENDER, RECEIVER = 'wal_sender_timeout', 'wal_receiver_timeout'
IDLE, USER = 'tcp_keepalives_idle', 'tcp_user_timeout'
#: What numbers of libpq, and of these settings, count.
SECONDS_PER = {'keepalives_idle': 1.0, IDLE: 1.0, USER: 0.001, SENDER: 0.001, RECEIVER: 0.001}


def timeouts(config: 'Config', server: Survey, files: Files) -> Iterator[Verdict]:
    """A host that is lost closes no connection: something has to count."""
    del config
    of_kernel = [_seconds(IDLE, shown(server, IDLE)), _seconds(USER, shown(server, USER))]
    yield _of_end(server, SENDER, of_kernel)
    if server.in_recovery and files.has_conninfo:
        yield _of_end(server, RECEIVER, [_seconds(word, value)
                                         for word, value in files.times.items()])


def _of_end(server: Survey, name: str, of_kernel: List[float]) -> Verdict:
    value = number(server, name)
    if value is None:
        return hidden(name)
    own = _seconds(name, str(value))
    least = min([each for each in of_kernel + [own] if each > 0], default=0.0)
    if 0 < least <= LONG_SECONDS:
        return well(name, '%g s until a lost host is noticed' % least)
    found = '%g s' % own if own else '0: no limit'
    return Verdict(WARNING, name, '%s, and neither tcp_user_timeout nor %s is less' % (
        found, 'tcp_keepalives_idle' if name == SENDER else 'keepalives_idle in ' + CONNINFO),
        lines.of_setting(server, name, "'60s'"))


def _seconds(name: str, text: Optional[str]) -> float:
    """0 where it is not set, or is no number of its unit."""
    return int(text) * SECONDS_PER[name] if text and text.isdigit() else 0.0


def synchronized(config: 'Config', server: Survey) -> Iterator[Verdict]:
    """Logical slots that standbys have, too, wait for the physical ones that are listed."""
    del config
    if server.version < FIRST_VERSION_WITH_SLOT_SYNC or server.in_recovery:
        return
    text = shown(server, SYNCHRONIZED)
    if text is None:
        yield hidden(SYNCHRONIZED)
        return
    names = [word.strip(' "') for word in text.split(',') if word.strip()]
    there = {slot.name: slot for slot in server.slots if slot.is_physical}
    failover = sorted(slot.name for slot in server.slots if slot.failover)
    for name in names:
        if name not in there or not there[name].active:
            yield Verdict(WARNING, SYNCHRONIZED, 'it lists %s, and %s' % (
                name, 'no standby uses that slot' if name in there
                else 'there is no such physical slot'), 'start the standby of that slot; or %s'
                % _without(server, names, name), WAITS)
    if failover and not names:
        yield Verdict(WARNING, SYNCHRONIZED, 'not set, and the logical slots %s have failover'
                      % ', '.join(failover), lines.of_setting(
                          server, SYNCHRONIZED, "'the slots of the standbys'"))
    elif all(name in there and there[name].active for name in names):
        yield well(SYNCHRONIZED, text or 'not set, and no logical slot has failover')


def _without(server: Survey, names: List[str], name: str) -> str:
    return lines.of_setting(server, SYNCHRONIZED, "'%s'" % ', '.join(
        each for each in names if each != name))


def slot_there(config: 'Config', found: Found, files: Files, primary: Survey) -> Iterator[Verdict]:
    """A standby that asks for a slot which is not there gets no WAL."""
    del config
    if not found.in_recovery:
        return
    there = [slot.name for slot in primary.slots if slot.is_physical]
    if not files.slot or found.streaming or files.slot in there:
        yield well(SLOT, files.slot or 'not set')
        return
    yield Verdict(WARNING, SLOT, '%s, and the primary has no such physical slot (%s)' % (
        files.slot, 'it has %s' % ', '.join(there) if there else 'it has none'),
        "run ahm_attach_node on this node, which makes it; or on the primary: SELECT "
        "pg_create_physical_replication_slot('%s');" % files.slot)


RULES = (
    Rule('primary-slot', 'a standby whose slot is missing on the primary gets no WAL, and is not '
         'promoted', ('found', 'files', 'primary'), slot_there),
    Rule('replication-timeouts', 'a host that is lost says no word: its connection, and its slot, '
         'stay in use until something has counted', ('server', 'files'), timeouts),
    Rule('synchronized-slots', 'else a subscriber may have rows which the standby that is promoted '
         'never received', ('server',), synchronized),
)
