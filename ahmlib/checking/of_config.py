"""What the configuration says of itself: refused, or warned of, as at a start; and its durations.

The rules are those of ahmlib.config, with the codes that they have there.
"""

from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional

from ahmlib.checking import lines
from ahmlib.checking.finding import ERROR, OK, UNKNOWN, WARNING, Finding
from ahmlib.config import host, loader, timing
from ahmlib.config.problems import without_password
from ahmlib.config.schema import ADVICE, RULES

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.config.rules import Rule

READ, PROGRAM, NO_DATABASE, WINDOW = 'config', 'program', 'no-database', 'window'
#: What is not a row of RULES or ADVICE, and why it matters.
WHY = {
    READ: 'ahm_config.yml and nodes.conf are read as a whole; AHM does not start with a mistake in '
          'them',
    host.CODES['data_dir']: 'AHM remembers there for whom it voted; who else may write there votes '
                            'for it',
    host.CODES['socket_dir']: 'the utilities of this host reach the daemon there',
    host.CODES['db_bin_dir']: 'AHM starts and stops the database by ag_ctl or pg_ctl',
    host.CODES['auth_key_file']: 'a key that others may read is none',
    host.CODES['watchdog_device']: 'with watchdog_mode: required this node would not lead',
    PROGRAM: 'it is needed at a failover, when nobody looks',
    NO_DATABASE: 'AHM would find no database there to start, to stop or to promote',
    WINDOW: 'durations that follow from the configuration',
}


def refused(problems: Iterable[Mapping[str, Any]]) -> List[Finding]:
    """The Findings of a configuration that a start refuses; of problems in parts."""
    return [Finding(ERROR, each['code'], each['key'] or each['path'], each['found'],
                    'AHM does not start: expected is %s' % each['expected'],
                    '%s%s: %s' % (each['path'], each['line'] and ':%d' % each['line'] or '',
                                 each['remedy']))
            for each in problems]


def judge(config: 'Config', another_user: str = '') -> Iterator[Finding]:
    """The Findings of a Config that a start takes.

    another_user: why what this process may do on this host says nothing of AHM; '' where it does.
    """
    yield Finding(OK, READ, config.path, '%d parameters set, %d nodes' % (
        len(config.given), len(config.nodes.entries) if config.nodes else 0), WHY[READ], '')
    for rule in RULES:
        if loader.applies(config, rule):
            yield Finding(OK, rule.code, loader.subject(config, rule), rule.text, rule.text, '')
    yield from _of_advice(config)
    codes = list(host.CODES.values())
    if another_user:
        for code in codes + [PROGRAM, NO_DATABASE]:
            yield Finding(UNKNOWN, code, '', 'not known: %s' % another_user, WHY[code], '')
        return
    for code in codes:
        yield Finding(OK, code, '', 'nothing speaks against it', WHY[code], '')
    yield from _of_host(config)


def _of_advice(config: 'Config') -> Iterator[Finding]:
    """A row each that is not met, and one for those of the same code that are all met."""
    met: Dict[str, Optional[Rule]] = {}
    for rule in ADVICE:
        if not loader.applies(config, rule):
            continue
        if rule.is_met(config):
            met.setdefault(rule.code, rule)
            continue
        met[rule.code] = None
        subject = loader.subject(config, rule)
        yield Finding(WARNING, rule.code, subject, _found(config, rule), rule.text,
                      _fix(config, subject, rule.remedy))
    for code, first in met.items():
        if first is not None:
            yield Finding(OK, code, '', 'nothing of that kind', first.text, '')


def _found(config: 'Config', rule: 'Rule') -> str:
    return ', '.join('%s: %s' % (key, loader.shown(config, key)) for key in rule.keys)


def _fix(config: 'Config', subject: str, remedy: str) -> str:
    if subject == 'nodes_filename' and config.nodes is not None:
        return '%s: %s' % (config.nodes.path, remedy)
    return lines.of_config(config, subject, remedy)


def _of_host(config: 'Config') -> Iterator[Finding]:
    found = host.lacking(config)
    for lack in found:
        yield Finding(WARNING, lack.code, lack.name, without_password(lack.found), WHY[lack.code],
                      lines.of_config(config, lack.name, lack.remedy))
    for code, what in ((PROGRAM, 'all programs that are named are there'),
                       (NO_DATABASE, 'there is such a directory')):
        if not any(lack.code == code for lack in found):
            yield Finding(OK, code, '', what, WHY[code], '')


def windows(config: 'Config') -> List[Finding]:
    """The durations, each with its arithmetic; there is nothing to do about them."""
    return [Finding(OK, WINDOW, each.name, '%s s' % each.text, each.meaning, '')
            for each in timing.arithmetic(config)]
