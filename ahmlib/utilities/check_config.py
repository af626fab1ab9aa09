"""Check the configuration, and what a failover will need, before it is needed.

Usage:
  ahm_check_config [options]

Options:
  -f, --config-file=FILE  The ahm_config.yml of this node
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --cluster               The same of all nodes, asked through their daemons, and
                          what has to be the same on them.
  --strict                Warnings, and what is not known, count as errors.
  --show                  Print the values of all parameters, and where each
                          comes from, instead.
  --json                  Print a list of objects, each with level, code,
                          subject, found, why and fix, with --cluster node,
                          too; of parameters, with
                          name, value and source, where those are shown.
  --help                  Print this help.
  --version               Print the version.

It checks all that "ahm start" would check, and where the database of this
node runs also what a failover, a switchover and a standby will need, here and
at the servers of the other nodes. It can be run before the first start, and
beside a daemon that runs, as the user that runs AHM. It changes nothing. What
could not be asked is told as NOT KNOWN, never as OK. The codes are listed in
ahm_check_config(1).

Exit status: 0 no errors; 1 errors; 2 wrong usage, or there is no such file.
"""

import json
import textwrap
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from ahmlib.checking import gather, of_config, of_nodes, own, show, table
from ahmlib.checking.finding import ERROR, OK, UNKNOWN, WARNING, Finding
from ahmlib.config import timing
from ahmlib.utilities import common

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

WIDTH = 100
#: What begins the lines of a finding.  A fix stays on one line, as it is to be copied.
FOUND, WHY, FIX, FURTHER = '  found: ', '  why:   ', '  fix:   ', '         '
#: What people read in place of a level, at the end.
COUNTED = ((ERROR, 'error', 's'), (WARNING, 'warning', 's'), (UNKNOWN, 'not known', ''),
           (OK, 'OK', ''))
#: The worst first, the findings that ask for something to be done.
TOLD = (ERROR, WARNING)


def main(argv: Sequence[str]) -> int:
    """Check, or show, print that, and return the exit code."""
    args = common.arguments(__doc__, argv)
    common.refuse_empty(args)
    if args['--show'] and args['--strict']:
        raise common.Failure('--strict: found --show besides, expected one of the two; --show '
                             'checks nothing', common.USAGE)
    if args['--show'] and args['--cluster']:
        raise common.Failure('--cluster: found --show besides, expected one of the two',
                             common.USAGE)
    path = common.config_path(args)
    config, problems = gather.load(path)
    if config is None:
        findings = [_clean(finding) for finding in of_config.refused(problems)]
        _print(args, findings, None)
        return common.REFUSED
    if args['--show']:
        _show(args, config)
        return common.OK
    if args['--cluster']:
        return _cluster(args, config)
    findings = [_clean(finding) for finding in table.judge(gather.facts(config))]
    _print(args, findings, config)
    return code_of(findings, bool(args['--strict']))


def _cluster(args: common.Args, config: 'Config') -> int:
    """Ask all nodes, print what they say, each thing once, and return the exit code."""
    nodes = gather_nodes(config)
    whole = [_clean(finding) for finding in of_nodes.compare(nodes)]
    where: Dict[Finding, List[str]] = {finding: [] for finding in whole}
    for each in nodes:
        for finding in map(_clean, each.findings):
            # A standby's own comparison is made here again, of what both servers said themselves.
            if finding.code != 'standby-settings':
                where.setdefault(finding, []).append(common.printable(each.name))
    if args['--json']:
        common.put(json.dumps([dict(finding._asdict(), node=name) for finding, names
                               in where.items() for name in names or ['']], indent=2))
    else:
        _print(args, [finding._replace(subject='%s (%s)' % (finding.subject, ', '.join(names)))
                      if names and finding.level in TOLD else finding
                      for finding, names in where.items()], config, _clocks(whole))
    return code_of(list(where), bool(args['--strict']))


def gather_nodes(config: 'Config') -> List[of_nodes.Told]:
    """What all nodes of this Config say, asked side by side; this one through its UNIX socket.

    Where no daemon answers here, this node is checked by its files: why it does not start is in
    them.
    """
    assert config.nodes is not None
    limit = 2 * gather.seconds(config)          # one that runs already is waited for
    asked = gather.Questions()
    places = [entry.address for entry in config.nodes.entries]
    for number, entry in enumerate(config.nodes.entries):
        host = None if number == config.nodes.own else entry.host
        asked.ask(entry.address, of_nodes.ask, (host, config.ipc_port, config.socket_dir, limit),
                  limit + gather.SLACK_SECONDS)
    results = asked.answered()
    found = [of_nodes.told(place, results[place].get('answer', results[place]),
                           results[place].get('at', 0.0)) for place in places]
    if config.nodes.own is not None and found[config.nodes.own].reason:
        found[config.nodes.own] = found[config.nodes.own]._replace(
            findings=table.judge(gather.facts(config)), about=own.about(config))
    return found


def code_of(findings: Sequence[Finding], is_strict: bool) -> int:
    """The exit code of these Findings."""
    bad = (ERROR, WARNING, UNKNOWN) if is_strict else (ERROR,)
    return common.REFUSED if any(finding.level in bad for finding in findings) else common.OK


def _clean(finding: Finding) -> Finding:
    """Without a password, whoever said it, and on one line each."""
    return Finding(*(common.printable(text) for text in own.clean(finding)))


def _clocks(findings: Sequence[Finding]) -> List[str]:
    """For who reads logs side by side."""
    told = ['%s %s' % (finding.subject, finding.found) for finding in findings
            if finding.code == 'clocks' and finding.subject]
    return _wrapped('Clocks, against the one here: %s' % ', '.join(told), '', '  ') + [''] \
        if told else []


def _print(args: common.Args, findings: List[Finding], config: Optional['Config'],
           more: Sequence[str] = ()) -> None:
    if args['--json']:
        durations = [] if config is None else of_config.windows(config)
        common.put(json.dumps([finding._asdict() for finding in findings + durations], indent=2))
        return
    for level in TOLD:
        for finding in findings:
            if finding.level == level:
                _put_block(finding)
    for line in _unknown(findings) + _well(findings):
        common.put(line)
    for line in (windows_text(config) if config is not None else []) + list(more):
        common.put(line)
    common.put(_sum(findings))


def _put_block(finding: Finding) -> None:
    common.put('%s %s: %s' % (finding.level, finding.code, finding.subject))
    for line in _wrapped(finding.found, FOUND, FURTHER) + _wrapped(finding.why, WHY, FURTHER):
        common.put(line)
    common.put(FIX + finding.fix)
    common.put('')


def _unknown(findings: Sequence[Finding]) -> List[str]:
    """One block for all that is not known for the same reason, and ends in the same way."""
    reasons: Dict[Tuple[str, str], Dict[str, List[str]]] = {}
    for finding in findings:
        if finding.level == UNKNOWN:
            codes = reasons.setdefault((finding.found, finding.fix), {})
            codes.setdefault(finding.code, []).extend([finding.subject] * bool(finding.subject))
    lines = []
    for (reason, fix), codes in reasons.items():
        names = ', '.join(code + ' (%s)' % ', '.join(subjects) * bool(subjects)
                          for code, subjects in codes.items())
        lines += _wrapped(names, 'NOT KNOWN ', '  ')
        lines += _wrapped(reason.replace('not known: ', '', 1), FOUND, FURTHER)
        lines += [FIX + fix, ''] if fix else ['']
    return lines


def _well(findings: Sequence[Finding]) -> List[str]:
    """The codes of which nothing is wrong."""
    worse = {finding.code for finding in findings if finding.level != OK}
    names = [code for code in dict.fromkeys(finding.code for finding in findings)
             if code not in worse]
    return _wrapped(', '.join(names), 'OK ', '  ') + [''] if names else []


def windows_text(config: 'Config') -> List[str]:
    """The durations that follow from the numbers, each with its arithmetic."""
    lines = ['Failover windows, in seconds, where'] + ['  %s = %g  (%s)' % (
        letter, getattr(config, name), name) for letter, name in timing.LETTERS]
    for each in timing.arithmetic(config):
        lines += ['  %s' % each.text, '      %s' % each.meaning]
    return lines + ['  %s' % line for line in timing.explain(config)[-1:]] + ['']


def _sum(findings: Sequence[Finding]) -> str:
    counts = [(sum(finding.level == level for finding in findings), word, plural)
              for level, word, plural in COUNTED]
    return ', '.join('%d %s' % (count, word + (plural if count != 1 else ''))
                     for count, word, plural in counts)


def _wrapped(text: str, first: str, further: str) -> List[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=further,
                         break_long_words=False, break_on_hyphens=False) or [first.rstrip()]


def _show(args: common.Args, config: 'Config') -> None:
    values: List[Any] = show.values(config)
    if args['--json']:
        common.put(json.dumps([value._asdict() for value in values], indent=2))
        return
    width = max(len(value.name) for value in values)
    for value in values:
        common.put(common.printable('%-*s  %s  (%s)' % (width, value.name, value.value,
                                                        value.source)))
