"""The status object as one line and an exit code, for Nagios and monitors like it.

    AHM WARNING - AHM-NODE-3 is LOST: not heard for 12 s | nodes_alive=2 nodes_total=3 ...

What is wrong is a table: how bad, and a function that says it of the status, once for each case.
"""

import collections
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common
from ahmlib.utilities.limits import NO_LIMITS, Limits, Range
from ahmlib.utilities.status_text import label, size

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
#: The exit code of a status that is shown.
NO_LEADER = 4
WORDS = ('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')

BAD_DATABASES = ('FAILED', 'QUARANTINED', 'UNKNOWN')

Rule = collections.namedtuple('Rule', 'code find')


def check(status: Message, limits: Limits = NO_LIMITS) -> Tuple[int, str]:
    """Return (exit code, the line) for a status object.  Raises ValueError where it is none."""
    code, text = verdict(status, limits)
    return code, line(code, text, performance(status, limits))


def verdict(status: Message, limits: Limits = NO_LIMITS) -> Tuple[int, str]:
    """Return (exit code, what is said) for a status object.  Raises ValueError where it is none."""
    found = findings(status, limits)
    return max([OK] + [code for code, _ in found]), '; '.join(
        text for _, text in found) or _all_well(status)


def findings(status: Message, limits: Limits = NO_LIMITS) -> List[Tuple[int, str]]:
    """Return (code, text) of all that is wrong, the worst first.  Raises ValueError as `verdict`.

    A text that several rules or nodes say stands there once.
    """
    _validate(status)
    found = [(rule.code, text) for rule in RULES for text in rule.find(status)]
    found += [(rule.code, text) for rule in LIMIT_RULES for text in rule.find(status, limits)]
    worst: Dict[str, int] = collections.OrderedDict()
    for code, text in sorted(found, key=lambda item: -item[0]):
        worst.setdefault(text, code)
    return [(code, text) for text, code in worst.items()]


def told(status: Message) -> Message:
    """Return a status as --json prints it: with what --check would say, and the exit code."""
    return dict(status, ok=True, text=_sentence(status), exit_code=exit_code(status))


def exit_code(status: Message) -> int:
    """With which a command ends that has shown this."""
    return OK if status.get('leader') else NO_LEADER


def _sentence(status: Message) -> str:
    """Of a daemon of another version, whose status differs, that."""
    try:
        code, text = verdict(status)
    except ValueError as error:
        return str(error)
    return '%s: %s' % (WORDS[code], common.printable(text))


def line(code: int, text: str, data: Sequence[str] = ()) -> str:
    """Return the one line: no text of a stranger adds a line to it, or a field."""
    words = common.printable(' '.join(str(text).split())).replace('|', '/')
    return 'AHM %s - %s%s' % (WORDS[code], words, ' | ' + ' '.join(data) if data else '')


def performance(status: Message, limits: Limits = NO_LIMITS) -> List[str]:
    """Return the performance data: a list of label=value, U where it is not known."""
    nodes = status['nodes']
    lag, least = (
        '%s;%s' % (limits.lag_warning or '', limits.lag_critical or ''),
        '%s;%s' % (_at_least(limits.standbys_warning), _at_least(limits.standbys_critical)))
    data = ['nodes_alive=%d;;;0;%d' % (sum(map(is_alive, nodes)), len(nodes)),
            'nodes_total=%d' % len(nodes),
            'standbys=%d;%s;0' % (len(standbys_in_order(status)), least)]
    for node in nodes:
        if not node.get('witness') and not _leads(status, node):
            behind = node.get('lag_bytes')
            value = 'U' if not _is_number(behind) else '%dB;%s;0' % (behind, lag)
            data.append('%s=%s' % (_data_label('lag_' + label(node)), value))
    return data


def _at_least(value: Optional[int]) -> str:
    """As plugins write it: what is below N is told of."""
    return '' if value is None else '%d:' % value


def standbys_in_order(status: Message) -> List[Message]:
    """The nodes that could be promoted as far as their database goes: alive, and streaming."""
    return [node for node in _others(status)
            if is_alive(node) and node.get('database') == 'STANDBY' and not node.get('out')
            and node.get('streaming') is not False]


def is_alive(node: Message) -> bool:
    """Return whether a node of the status is heard now."""
    return bool(node.get('alive', node.get('state') not in ('LOST', 'DEAD')))


def _validate(status: Message) -> None:
    for key, kinds in (('leader', (str, type(None))), ('has_majority', bool), ('nodes', list)):
        if not isinstance(status.get(key, ...), kinds):
            raise ValueError('the status holds no proper %s' % key)
    if not all(isinstance(node, dict) for node in status['nodes']):
        raise ValueError('the status holds a node that is none')


def _all_well(status: Message) -> str:
    return 'leader %s, successor %s, %d of %d nodes alive' % (
        status['leader'], status.get('successor') or 'none',
        sum(map(is_alive, status['nodes'])), len(status['nodes']))


def _data_label(text: str) -> str:
    """Quoted where it has to be; neither a quote nor an equals sign may be in it."""
    text = text.replace("'", '_').replace('=', '_').replace('|', '_')
    plain = all(character.isalnum() or character in '_-.:[]' for character in text)
    return text if plain else "'%s'" % text


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _leads(status: Message, node: Message) -> bool:
    return bool(status['leader']) and node.get('name') == status['leader']


def _others(status: Message) -> List[Message]:
    return [node for node in status['nodes'] if not _leads(status, node)]


# -- the rules --------------------------------------------------------------------------------


def _no_leader(status: Message) -> Iterator[str]:
    if not status['leader']:
        yield 'no leader'


def _no_majority(status: Message) -> Iterator[str]:
    if not status['has_majority']:
        yield '%s is not in contact with a majority of the nodes' % (
            status.get('asked') or 'the asked node')


def _leader_without_primary(status: Message) -> Iterator[str]:
    for node in status['nodes']:
        if _leads(status, node) and node.get('database') != 'PRIMARY':
            yield 'the database of the leader %s is %s' % (label(node), node.get('database'))


def _leader_without_vip(status: Message) -> Iterator[str]:
    if status['leader'] and status.get('virtual_ip') and status.get('leader_holds_vip') is False:
        yield 'the leader %s does not hold the virtual IP %s' % (
            status['leader'], status['virtual_ip'])


def _vip_not_known(status: Message) -> Iterator[str]:
    if status['leader'] and status.get('virtual_ip') and status.get('leader_holds_vip') is None:
        yield 'whether the leader holds the virtual IP %s is not known' % status['virtual_ip']


def _second_primary(status: Message) -> Iterator[str]:
    for node in _others(status):
        if status['leader'] and is_alive(node) and node.get('database') == 'PRIMARY':
            yield '%s is a second primary' % label(node)


def _node_trouble(status: Message) -> Iterator[str]:
    """One text for each node: what follows from one fault is said once."""
    for node in _others(status):
        # Without a leader no node is in a good state, and that there is none says it all.
        waits = status['leader'] and node.get('state') != 'STANDBY'
        if not is_alive(node):
            yield '%s is %s%s' % (label(node), node.get('state'), _because(node))
        elif waits or node.get('database') in BAD_DATABASES or node.get('out'):
            because = _because(node)
            out = node.get('out') and 'reported out' not in because
            yield '%s is %s, its database %s%s%s' % (
                label(node), node.get('state'), node.get('database'),
                ' and reported out' if out else '', because)


def _because(node: Message) -> str:
    return ': %s' % node['reason'] if node.get('reason') else ''


def _no_successor(status: Message) -> Iterator[str]:
    standbys = [node for node in _others(status) if node.get('database') == 'STANDBY']
    if status['leader'] and standbys and not status.get('successor'):
        yield 'no successor though there are standbys'


def _critical_trouble(status: Message) -> Iterator[str]:
    return _troubles(status, True)


def _trouble(status: Message) -> Iterator[str]:
    return _troubles(status, False)


def _troubles(status: Message, critical: bool) -> Iterator[str]:
    for node in filter(is_alive, status['nodes']):
        for trouble in node.get('troubles') or ():
            if bool(trouble.get('critical')) is critical:
                yield '%s: %s' % (label(node), trouble.get('text'))


def _warned(status: Message) -> Iterator[str]:
    """What is unwise, and hurts nobody now, is advice: it is shown, and wakes nobody."""
    advice = status.get('advice') or ()
    for text in status.get('warnings') or ():
        if text not in advice:
            yield text


def _problem(status: Message) -> Iterator[str]:
    for node in status['nodes']:
        if node.get('problem'):
            yield '%s: %s' % (label(node), node['problem'])


RULES = (
    Rule(CRITICAL, _no_leader),
    Rule(CRITICAL, _no_majority),
    Rule(CRITICAL, _leader_without_primary),
    Rule(CRITICAL, _leader_without_vip),
    Rule(CRITICAL, _second_primary),
    Rule(CRITICAL, _critical_trouble),
    Rule(WARNING, _vip_not_known),
    Rule(WARNING, _node_trouble),
    Rule(WARNING, _no_successor),
    Rule(WARNING, _problem),
    Rule(WARNING, _trouble),
    Rule(WARNING, _warned),
)


def _lag_exceeds(status: Message, limit: Optional[Range]) -> Iterator[str]:
    """A lag that is not known exceeds nothing: why it is not known is said by the other rules."""
    for node in _others(status):
        lag = node.get('lag_bytes')
        if limit is None or lag is None or not _is_number(lag) or not is_alive(node):
            continue
        if limit.is_exceeded(lag):
            is_more = not limit.inverted and limit.high is not None and lag > limit.high
            yield '%s is %s behind, %s' % (
                label(node), size(lag), 'more than %s' % size(limit.high or 0) if is_more
                else 'which is told of by %s' % str(limit))


def _lag_warning(status: Message, limits: Limits) -> Iterator[str]:
    return _lag_exceeds(status, limits.lag_warning)


def _lag_critical(status: Message, limits: Limits) -> Iterator[str]:
    return _lag_exceeds(status, limits.lag_critical)


def _too_few(status: Message, least: Optional[int]) -> Iterator[str]:
    count = len(standbys_in_order(status))
    if least is not None and count < least:
        yield 'standbys in order: %d, fewer than %d' % (count, least)


def _standbys_warning(status: Message, limits: Limits) -> Iterator[str]:
    return _too_few(status, limits.standbys_warning)


def _standbys_critical(status: Message, limits: Limits) -> Iterator[str]:
    return _too_few(status, limits.standbys_critical)


#: Of what the options of --check set.
LIMIT_RULES = (
    Rule(CRITICAL, _lag_critical),
    Rule(CRITICAL, _standbys_critical),
    Rule(WARNING, _lag_warning),
    Rule(WARNING, _standbys_warning),
)
