r"""Prints man/ahm_config.yml.5 from the table of parameters and the formulas of the timings:

    python3 -m ahmlib.config.manual_page > man/ahm_config.yml.5

Everything that is said of one parameter comes from its row in schema.py and the rules that name it;
the figures come from the code that the daemon runs by.  What stands around these tables is written
by hand, in manual_frame.py.  Text becomes roff in one place, `roff`: with \- for every hyphen, so
that names and commands can be copied from a terminal.
"""

import re
import textwrap
from typing import Dict, Iterable, List, Set, Tuple

from ahmlib import __version__
from ahmlib.config import loader, place, rules
from ahmlib.config import manual_frame as frame
from ahmlib.config.kinds import expected, number
from ahmlib.config.rules import RULES
from ahmlib.config.sample import default_text
from ahmlib.config.schema import (
    ALWAYS,
    BY_NAME,
    PARAMETERS,
    PAUSED,
    REQUIRED,
    RESTART,
    SECTIONS,
    Derived,
    Parameter,
)
from ahmlib.config.timing import (
    DURATIONS,
    LETTERS,
    WINDOWS,
    failover_intervals,
    timing_of,
)

#: Of all pages; it is that of the version.
DATE = '2026-11-30'
WIDTH = 98
#: Characters that roff would take for itself, or print as something else.
ESCAPES = {'\\': '\\e', '-': '\\-', "'": '\\(aq', '`': '\\(ga', '^': '\\(ha', '~': '\\(ti'}
NAME = re.compile(r'\b(%s)\b' % '|'.join(re.escape(row.name) for row in PARAMETERS))
#: Whether a changed value is taken by a reload: in a parameter's paragraph, and in the overview.
RELOAD = {ALWAYS: ('yes', 'yes'), PAUSED: ('only while the cluster is paused', 'paused'),
          RESTART: ('no, it needs a restart', 'no')}

#: Parameters that belong together, besides those that a rule or a description names together.
TOGETHER = (
    ('socket_dir', 'ipc_port', 'listen_address'),
    ('ahm_port', 'nodes_filename'),
    ('priority', 'failover_lag_limit_bytes'),
    ('beacon_message_interval_seconds', 'beacon_message_retry_count'),
    ('health_check_period', 'max_consec_failures', 'db_connect_timeout'),
    ('multicast_group', 'multicast_interface', 'multicast_ttl'),
    ('log_filename', 'log_prefix', 'log_severity'),
    ('db_start_command', 'db_stop_command', 'db_restart_command'),
    ('pre_promotion_command', 'promotion_command', 'post_promotion_command'),
    ('follow_command', 'standby_startup_delay'),
    ('promote_leader_timeout_seconds', 'wait_for_primary_timeout_seconds'),
    ('max_consec_failures', 'db_failure_action'),
    ('use_pg_rewind', 'auto_attach'),
    ('failover_consensus_with_half_votes', 'trusted_servers', 'stop_isolated_primary'),
    ('restore_command', 'archive_cleanup_command'),
    ('primary_conninfo_options', 'replication_user'),
    ('synchronous_mode', 'synchronous_node_count'),
)

#: What the page calls the fault of each of the WINDOWS.
FAULTS = {'lost_node': "the primary's host is lost, or its AHM and its database",
          'database_refusing': "the primary's database refuses connections",
          'database_hanging': "the primary's database hangs"}
#: Settings whose windows are shown: a title, and the values of the letters.
SETTINGS: Tuple[Tuple[str, Dict[str, float]], ...] = (
    ('default', {}), ('quicker', {'I': 2, 'R': 2, 'P': 5, 'F': 3, 'C': 2}),
    ('make demo', {'I': 0.5, 'R': 2, 'P': 0.5, 'F': 2, 'C': 0.5}))

def page() -> str:
    """The roff of the page."""
    limit, hook, again = (BY_NAME[name].default for name in (
        'promote_leader_timeout_seconds', 'hook_timeout_seconds',
        'wait_for_primary_timeout_seconds'))
    timeouts = {'limit': number(limit), 'hook': number(limit + hook), 'again': number(again)}
    path = {'path': place.DEFAULT_PATHS[0], 'variable': place.VARIABLE,
            'others': ' and\n.IR '.join(place.DEFAULT_PATHS[1:])}
    return ''.join(
        [frame.HEAD % dict(path, title=title('AHM_CONFIG.YML', 5)),
         frame.OVERVIEW, _overview(), frame.PARAMETERS]
        + [_section(section) for section in SECTIONS]
        + [frame.RELOADING, frame.WARNINGS, _advice(), frame.WINDOWS, _letters(),
           frame.DURATIONS, _durations(), frame.FAULTS, _windows(), frame.TAKEOVER % timeouts,
           _table(), frame.FAST, frame.END % path])


def title(name: str, section: int) -> str:
    """The line with which a page of AHM begins."""
    return '.TH %s %d "%s" "AHM %s" "AHM"' % (name, section, DATE, __version__)


def roff(text: str) -> str:
    """Text as roff that prints it as it is, the names of parameters in bold."""
    escaped = ''.join(ESCAPES.get(character, character) for character in text)
    return NAME.sub(r'\\fB\1\\fP', escaped)


def _paragraph(text: str) -> str:
    """Text as lines of roff that may be filled."""
    lines = textwrap.wrap(roff(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    return ''.join('%s%s\n' % ('\\&' if line.startswith('.') else '', line) for line in lines)


def _literal(lines: Iterable[str]) -> str:
    """Lines as roff that prints them one by one."""
    return '.PP\n.RS 4\n.nf\n%s.fi\n.RE\n' % ''.join(
        '%s\n' % roff(line.rstrip()) for line in lines)


# -- parameters -------------------------------------------------------------------------------

def _overview() -> str:
    lines = ['%-36s %-21s %s' % ('parameter', 'default', 'reload')]
    for section in SECTIONS:
        lines.append('')
        lines += ['%-36s %-21s %s' % (row.name, _short_default(row), RELOAD[row.reload][1])
                  for row in PARAMETERS if row.section == section]
    return _literal(lines)


def _short_default(row: Parameter) -> str:
    if row.default is REQUIRED:
        return 'needed'
    if isinstance(row.default, Derived):
        return 'see below'
    text = default_text(row)
    return '-' if text == 'not set' else text


def _section(section: str) -> str:
    return '.SS %s\n' % section + ''.join(
        _parameter(row) for row in PARAMETERS if row.section == section)


def _parameter(row: Parameter) -> str:
    parts = [row.doc]
    if row.without_effect:
        parts.append('Without effect yet, only read and checked: %s; %s.' % row.without_effect)
    parts.append('Value: %s.' % expected(row))
    parts.append('Needed.' if row.default is REQUIRED else 'Default: %s.' % default_text(row))
    parts.append('Reload: %s.' % RELOAD[row.reload][0])
    parts += ['Rule: %s.' % rule.text for rule in RULES if row.name in rule.keys]
    others = related()[row.name]
    if others:
        parts.append('See also: %s.' % ', '.join(others))
    return '.TP\n.B %s\n' % row.name + '.br\n'.join(_paragraph(part) for part in parts)


def related() -> Dict[str, List[str]]:
    """Parameter -> those that it is related to, in the order of the table.

    These are the ones that a rule, a piece of advice, its own description or theirs names, or
    TOGETHER.
    """
    groups = [rule.keys for rule in RULES + rules.ADVICE]
    groups += TOGETHER
    groups += [(row.name, name) for row in PARAMETERS for name in NAME.findall(_said_of(row))]
    found: Dict[str, Set[str]] = {row.name: set() for row in PARAMETERS}
    for group in groups:
        for name in group:
            found[name].update(set(group) - {name})
    return {name: [row.name for row in PARAMETERS if row.name in others]
            for name, others in found.items()}


def _said_of(row: Parameter) -> str:
    return '%s %s' % (row.doc, row.default.text if isinstance(row.default, Derived) else '')


def _advice() -> str:
    """What is warned of, as the log says it, once for all parameters of which it is said alike."""
    found: Dict[Tuple[str, str], List[str]] = {}
    for rule in rules.ADVICE:
        names = found.setdefault((rule.text, rule.remedy), [])
        names += rule.keys[:1] if names else rule.keys
    return ''.join('.IP \\(bu 2\n%s' % _paragraph('%s: %s; %s.' % (', '.join(names), text, remedy))
                   for (text, remedy), names in found.items())


# -- timings ----------------------------------------------------------------------------------


def config_of(values: Dict[str, float]) -> loader.Config:
    """The Config of a node with these values of the LETTERS, and the defaults of all others."""
    lines = ['%s: %s' % (dict(LETTERS)[letter], number(value))
             for letter, value in values.items()]
    return loader.parse('\n'.join(['node_name: a', 'is_witness: true'] + lines), '/a', {})


def figures(config: loader.Config) -> Dict[str, float]:
    """The letters and the durations of a Config, as the formulas name them."""
    timing = timing_of(config)
    found = {letter: getattr(config, name) for letter, name in LETTERS}
    return dict(found, T_lease=timing.lease, T_hold=timing.hold, T_fence=timing.fence)


def _in_figures(formula: str, known: Dict[str, float]) -> str:
    return re.sub(r'\bT_\w+|\b[A-Z]\b', lambda found: '%.4g' % known[found.group()], formula)


def _letters() -> str:
    return _literal('%s = %s (%s)' % (letter, name, number(BY_NAME[name].default))
                    for letter, name in LETTERS)


def _durations() -> str:
    known = figures(config_of({}))
    lines = []
    for name, formula, _ in DURATIONS:
        lines += ['%-7s = %s' % (name, formula),
                  '        = %s = %.4g' % (_in_figures(formula, known), known[name])]
    return _literal(lines)


def _windows() -> str:
    config = config_of({})
    known, intervals = figures(config), failover_intervals(config)
    lines = []
    for window in WINDOWS:
        lines += [FAULTS[window.field], '    %s to %s' % (window.least, window.most),
                  '    = %s to %s' % (_in_figures(window.least, known),
                                      _in_figures(window.most, known)),
                  '    = %.4g to %.4g' % getattr(intervals, window.field)]
    return _literal(lines)


def _table() -> str:
    """The windows of SETTINGS, side by side."""
    configs = [config_of(values) for _, values in SETTINGS]
    rows: List[Tuple[str, List[str]]] = [('', [name for name, _ in SETTINGS])]
    for key in figures(configs[0]):
        rows.append((key, ['%.4g' % figures(config)[key] for config in configs]))
    for window in WINDOWS:
        rows.append((window.field.replace('_', ' '), ['%.4g to %.4g' % getattr(
            failover_intervals(config), window.field) for config in configs]))
    return _literal('%-18s' % name + ''.join('%15s' % cell for cell in cells)
                    for name, cells in rows)


if __name__ == '__main__':
    print(page(), end='')
