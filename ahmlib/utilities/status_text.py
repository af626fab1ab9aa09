"""The status object as text: the manual's shape, and what --verbose adds to it.

Header and table have the manual's shape, which scripts read; whatever else there is to say follows
after an empty line.
"""

from typing import Any, Callable, Iterator, List, Sequence

from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common, terminal

NOT_SET = 'Not Set'
#: In the tables of --verbose, for what is not known or does not apply.
NOTHING = '-'

# The status object's key, and the label it has in the text.
HEAD = (
    ('leader', 'Leader Node:'),
    ('leader_host', 'Leader Host:'),
    ('successor', 'Successor Node:'),
    ('successor_host', 'Successor Host:'),
    ('virtual_ip', 'Virtual IP :'),
    ('leader_holds_vip', 'Leader-Hold-VIP:'),
    ('remote_nodes', 'Remote Nodes:'),
)
COLUMNS = (
    ('name', 'Node'),
    ('database', 'Database'),
    ('address', 'Address'),
    ('port', 'Port'),
    ('priority', 'Priority'),
    ('witness', 'Witness'),
    ('state', 'State'),
)

UNITS = ('B', 'kB', 'MB', 'GB', 'TB', 'PB')


def render(status: Message, verbose: bool = False, paint: terminal.Paint = terminal.plain) -> str:
    """Return the status object as the text that is printed, with a line end at its end.

    What needs attention is painted, and nothing is moved by that.
    """
    lines = [paint('Cluster Status', terminal.BOLD), '']
    lines += ['%s %s' % (label, paint(_text(status.get(key)), _style_of_head(status, key)))
              for key, label in HEAD]
    lines.append('')
    lines += _table([[title for _, title in COLUMNS]]
                    + [[paint(_text(node.get(key)), _style(status, node, key))
                        for key, _ in COLUMNS] for node in status['nodes']])
    lines += _remarks(status, paint)
    if verbose:
        for block in (_details(status), _matrix(status), _sentences(status)):
            lines += [''] + block
    return '\n'.join(lines) + '\n'


def label(node: Message) -> str:
    """Return what a node is called: its name, or address and port while that is not known."""
    if node.get('name'):
        return common.printable(str(node['name']))
    return common.printable(_address(node))


def size(value: float) -> str:
    """Return a number of bytes as a person reads it: '512 B', '1.5 kB', '24 MB'."""
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    if unit == 0 or amount >= 99.95:
        return '%.0f %s' % (amount, UNITS[unit])
    text = '%.1f' % amount
    return '%s %s' % (text[:-2] if text.endswith('.0') else text, UNITS[unit])


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: '0.4 s', '3 min 07 s', '2 h 05 min', '3 d 04 h'."""
    if seconds < 59.95:
        return '%.1f s' % seconds
    minutes, rest = divmod(int(seconds + 0.5), 60)
    if minutes < 60:
        return '%d min %02d s' % (minutes, rest)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return '%d h %02d min' % (hours, minutes)
    return '%d d %02d h' % divmod(hours, 24)


def position(lsn: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return '%X/%X' % (lsn >> 32, lsn & 0xFFFFFFFF)


# -- what needs attention ---------------------------------------------------------------------

#: Cells of the table that are not as they are in a cluster that is well, by how bad that is.
STYLES = {
    'database': {'FAILED': terminal.BAD, 'QUARANTINED': terminal.BAD,
                 'UNKNOWN': terminal.DOUBTFUL},
    'state': {'LEADER': '', 'STANDBY': '', 'LOST': terminal.BAD, 'DEAD': terminal.BAD,
              'IN_RESOURCE_LIMITATION': terminal.BAD},
}


def _style(status: Message, node: Message, key: str) -> str:
    if key == 'name':
        leads = node.get('name') is not None and node.get('name') == status.get('leader')
        return terminal.BOLD if leads else ''
    value = str(node.get(key))
    if key == 'state':
        return STYLES[key].get(value, terminal.DOUBTFUL)        # on the way from one to another
    return STYLES.get(key, {}).get(value, '')


def _style_of_head(status: Message, key: str) -> str:
    value = status.get(key)
    if key == 'leader':
        return terminal.BOLD if value else terminal.BAD
    holds = key == 'leader_holds_vip' and status.get('leader') and status.get('virtual_ip')
    if holds and value is not True:
        return terminal.BAD if value is False else terminal.DOUBTFUL
    return ''


# -- below the manual's table -----------------------------------------------------------------


def _remarks(status: Message, paint: terminal.Paint) -> List[str]:
    remarks = []
    if status.get('has_majority') is False:
        remarks.append(paint('No majority: %s is not in contact with a majority of the nodes; this'
                             ' is only what it sees' % _text(status.get('asked')), terminal.BAD))
    advice = status.get('advice') or ()
    for warning in status.get('warnings') or ():
        is_advice = warning in advice
        remarks.append('%s %s' % (paint('Advice:' if is_advice else 'Warning:',
                                        '' if is_advice else terminal.DOUBTFUL), _text(warning)))
    return [''] + remarks if remarks else []


def _yes(value: Any) -> str:
    return 'yes' if value else 'no'


def _text(value: Any) -> str:
    if value is None or value == '':
        return NOT_SET
    return common.printable(str(value))


# Heading, the node's key, and how its value is written; 0 of these keys is "not known".
DETAILS = (
    ('Term', 'term', _text),
    ('Timeline', 'timeline', lambda value: str(value) if value else NOTHING),
    ('Position', 'lsn', lambda value: position(value) if value else NOTHING),
    ('Lag', 'lag_bytes', size),
    ('Last-Beacon', 'last_beacon_seconds', duration),
    ('Sync', 'sync_state', _text),
    ('Streaming', 'streaming', _yes),
    ('Out', 'out', _yes),
    ('VIP', 'holds_vip', _yes),
    ('Uptime', 'uptime_seconds', duration),
)


def _details(status: Message) -> List[str]:
    rows = [['Node'] + [heading for heading, _, _ in DETAILS]]
    for node in status['nodes']:
        rows.append([label(node)] + [_written(node.get(key), write) for _, key, write in DETAILS])
    return _table(rows, '  ')


def _written(value: Any, write: Callable[[Any], str]) -> str:
    if value is None:
        return NOTHING
    try:
        return write(value)
    except (TypeError, ValueError, OverflowError):
        return _text(value)           # of a daemon of another version


def _matrix(status: Message) -> List[str]:
    """Who hears whom: a row for each who listens, a column for each who sends.

    Of two others the asked node knows only that the one has heard the other once, in its present
    life; what concerns itself it knows as of now.
    """
    nodes = status['nodes']
    rows = [['Hears'] + [str(number) for number in range(1, len(nodes) + 1)]]
    for number, node in enumerate(nodes, 1):
        rows.append(['%d %s' % (number, label(node))]
                    + [_cell(status, node, other) for other in nodes])
    return _table(rows, '  ')


def _cell(status: Message, node: Message, other: Message) -> str:
    if node is other:
        return NOTHING
    heard = node.get('hears')
    if not isinstance(heard, list):
        return '?'
    if _address(other) not in heard and other.get('name') not in heard:
        return 'no'
    known = {node.get('name'), other.get('name')} & {status.get('asked')}
    return 'yes' if known else 'once'


def _sentences(status: Message) -> List[str]:
    lines = []
    for node in status['nodes']:
        lines.append('%s %s' % (label(node), _sentence(status, node)))
        lines += _since(node)
        lines += _troubles_of(node)
    return lines


def _since(node: Message) -> Iterator[str]:
    """Since when each state holds; a node that does not say so is of the version before."""
    found = ['%s for %s' % (what, _written(seconds, duration)) for what, seconds in (
        (_text(node.get('state')), node.get('state_since_seconds')),
        ('its database %s' % _text(node.get('database')), node.get('database_since_seconds')))
        if seconds is not None]
    if found:
        yield '%s has been %s' % (label(node), ', and '.join(found))


def _troubles_of(node: Message) -> Iterator[str]:
    troubles = node.get('troubles') or ()
    if node.get('problem') and node['problem'] not in [item.get('text') for item in troubles]:
        yield '%s has a problem: %s' % (label(node), _text(node['problem']))
    for trouble in troubles:
        yield '%s has had this trouble for %s: %s' % (
            label(node), _written(trouble.get('since_seconds'), duration),
            _text(trouble.get('text')))


def _sentence(status: Message, node: Message) -> str:
    leads = node.get('name') is not None and node.get('name') == status.get('leader')
    reason = node.get('reason')
    if leads:
        return 'leads' + (', and should not: %s' % _text(reason) if reason else '')
    if reason:
        return 'may not lead: %s' % _text(reason)
    if node.get('name') is not None and node.get('name') == status.get('successor'):
        return 'may lead, and is the successor'
    return 'may lead'


def _address(node: Message) -> str:
    host = str(node.get('address'))
    return ('[%s]:%s' if ':' in host else '%s:%s') % (host, node.get('port'))


# -- tables -----------------------------------------------------------------------------------


def _table(rows: Sequence[Sequence[str]], gap: str = ' ') -> List[str]:
    widths = [max(map(terminal.width, column)) for column in zip(*rows)]
    return [gap.join(_pad(cell, width) for cell, width in zip(row, widths)).rstrip()
            for row in rows]


def _pad(text: str, width: int) -> str:
    return text + ' ' * (width - terminal.width(text))
