"""Outcomes of simulated faults as numbers, text and JSON.

Runs are grouped by their fault and by whether it struck the leader's node, because a fault of
another node is usually no outage at all and would blur the figures.
"""

import math
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.config.timing import explain, failover_intervals
from ahmlib.core.settings import Settings
from ahmlib.simulation.scenario import TWO_PRIMARIES, Outcome, window_of

COLUMNS = ('fault', 'struck', 'runs', 'min', 'median', '95 %', 'max', 'AHM says', 'two primaries',
           'rows lost', 'not recovered')
#: How a cell is written whose value does not exist.
NOTHING = '-'


class Statistics(NamedTuple):
    """Of the outages that ended, in seconds; None where none did."""
    least: Optional[float]
    median: Optional[float]
    most_of_95: Optional[float]
    most: Optional[float]


class Group(NamedTuple):
    """All runs with one kind of fault."""
    fault: str
    struck: str
    outcomes: Tuple[Outcome, ...]

    @property
    def statistics(self) -> Statistics:
        """Of their write outages."""
        return statistics([outcome.write_outage_seconds for outcome in self.outcomes
                           if outcome.write_outage_seconds is not None])

    @property
    def endless(self) -> int:
        """Runs in which writes did not come back."""
        return sum(outcome.write_outage_seconds is None for outcome in self.outcomes)

    @property
    def split(self) -> int:
        """Runs in which clients wrote on two primaries."""
        return sum(outcome.two_primaries_seconds > 0 for outcome in self.outcomes)

    @property
    def longest_split(self) -> float:
        """The most seconds with two primaries in one run."""
        return max(outcome.two_primaries_seconds for outcome in self.outcomes)

    @property
    def most_lost(self) -> Optional[int]:
        """The most rows lost in one run; None where no run ended with a primary to ask."""
        known = [outcome.lost_rows for outcome in self.outcomes if outcome.lost_rows is not None]
        return max(known) if known else None

    @property
    def worst(self) -> Outcome:
        """The run to look at first."""
        return max(self.outcomes, key=badness)

    @property
    def reasons(self) -> Dict[str, int]:
        """Why runs did not recover, and how many each."""
        return counted(outcome.why_not for outcome in self.outcomes if not outcome.recovered)

    @property
    def remarks(self) -> Dict[str, int]:
        """What is to be said of runs that recovered, and of how many each."""
        return counted(outcome.remark for outcome in self.outcomes if outcome.remark)


def counted(texts: Iterable[str]) -> Dict[str, int]:
    """How often each text occurs."""
    found: Dict[str, int] = {}
    for text in texts:
        found[text] = found.get(text, 0) + 1
    return found


def badness(outcome: Outcome) -> Tuple[bool, float, float, int]:
    """The greater, the worse: a broken lemma, a split, a long outage, lost rows."""
    outage = outcome.write_outage_seconds
    return (bool(outcome.broken), outcome.two_primaries_seconds,
            math.inf if outage is None else outage, outcome.lost_rows or 0)


def statistics(values: Sequence[float]) -> Statistics:
    """Of these values; 95 % of them are not greater than the third figure."""
    if not values:
        return Statistics(None, None, None, None)
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Statistics(ordered[0], median, quantile(ordered, 0.95), ordered[-1])


def quantile(values: Sequence[float], share: float) -> float:
    """The least of these values that this share of them does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def grouped(outcomes: Sequence[Outcome]) -> List[Group]:
    """The outcomes by fault and by whom it struck."""
    found: Dict[Tuple[str, str], List[Outcome]] = {}
    for outcome in outcomes:
        key = (' + '.join(fault for _, fault, _ in outcome.plan),
               'leader' if outcome.struck_leader else 'another')
        found.setdefault(key, []).append(outcome)
    return [Group(fault, struck, tuple(found[fault, struck]))
            for fault, struck in sorted(found, key=lambda key: (key[0], key[1] != 'leader'))]


# -- text --------------------------------------------------------------------------------------

def cluster_text(config: Any, settings: Sequence[Settings], leader: int) -> List[str]:
    """The simulated cluster and what AHM itself computes of its failover, as lines."""
    first = settings[0]
    quorum = 'half the votes suffice' if first.half_votes and first.size % 2 == 0 else \
        'more than half the votes'
    about = 'Cluster of %d: %s, %s, %s' % (
        first.size, quorum, 'trusted servers' if first.trusted else 'no trusted servers',
        'a fencing script that works' if first.pre_promotion else 'no fencing script')
    lines = ['Files: %s and %s' % (config.path, config.nodes.path), about]
    if not first.vip:
        lines.append('No virtual IP: clients find the leader by themselves, at once')
    for index, place in enumerate(first.order):
        item = settings[place]
        mine = ' (the configuration file is taken as its own)' if index == config.nodes.own else ''
        role = 'witness' if item.witness else 'leader' if place == leader else 'standby'
        lines.append('  %s %s %s, priority %d%s' % (
            item.name, item.addresses[place], role, item.priority, mine))
    lines += ['', 'What AHM computes of this configuration:'] \
        + ['  ' + line for line in explain(config)]
    said = warnings(config)
    return lines + (['', 'What AHM warns of:'] + ['  ' + line for line in said] if said else [])


def warnings(config: Any) -> List[str]:
    """What is legal in this configuration and unwise, or unwise to simulate."""
    found = list(config.warnings)
    if config.is_witness:
        found.append('is_witness: the file of a witness says nothing of the VIP and the scripts of '
                     'the other nodes, so they have none here; take the file of a node with a '
                     'database')
    return found


def timeline_text(outcome: Outcome) -> List[str]:
    """One run as lines: its schedule, what happened, what it came to."""
    lines = ['Schedule: %s (seed %d)' % (outcome.fault, outcome.seed), '']
    width = max([len(event.node) for event in outcome.timeline] or [0])
    lines += ['%9.3f s  %-*s  %s' % (event.seconds, width, event.node, event.text)
              for event in outcome.timeline]
    return lines + [''] + verdict_text(outcome)


def verdict_text(outcome: Outcome) -> List[str]:
    """What one run came to, a line each."""
    outage = outcome.write_outage_seconds
    lines = ['Write outage: %s' % (
        'no end within %.1f s' % outcome.watched if outage is None else '%.2f s' % outage),
        'Two primaries: %.2f s%s' % (
            outcome.two_primaries_seconds,
            ', and no end' if outcome.why_not.startswith(TWO_PRIMARIES) else ''),
        'Acknowledged rows lost: %s' % (
            'unknown, there is no primary' if outcome.lost_rows is None else outcome.lost_rows),
        'Recovered: %s' % ('yes%s' % (', ' + outcome.remark if outcome.remark else '')
                           if outcome.recovered else 'no, ' + outcome.why_not)]
    if outcome.broken:
        lines.append('Lemma that did not hold (a bug in AHM, please report it): %s'
                     % outcome.broken)
    return lines


def table_text(config: Any, outcomes: Sequence[Outcome]) -> List[str]:
    """Many runs as a table, the reasons of those that did not recover, and the worst ones."""
    groups = grouped(outcomes)
    lines = ['Write outages in seconds. AHM says: from the fault to the takeover, where there is '
             'one.',
             'Two primaries: the most seconds. Rows lost: the most in one run.', '']
    lines += aligned([COLUMNS] + [_cells(config, group) for group in groups], ('fault', 'struck'))
    return lines + _remarks(groups) + _worst(groups)


def aligned(rows: Sequence[Sequence[str]], left: Sequence[str]) -> List[str]:
    """The lines of a table, headings first; the columns with these headings hold words."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.ljust(width) if heading in left else cell.rjust(width)
                      for heading, cell, width in zip(rows[0], row, widths)).rstrip()
            for row in rows]


def _cells(config: Any, group: Group) -> Tuple[str, ...]:
    figures = ['%.2f' % value if value is not None else NOTHING for value in group.statistics]
    if group.endless:
        figures[-1] = 'no end'
    window = window_of_group(config, group)
    return (group.fault, group.struck, str(len(group.outcomes)), *figures,
            '%.4g-%.4g' % window if window else NOTHING,
            '%.2f' % group.longest_split,
            NOTHING if group.most_lost is None else str(group.most_lost),
            str(sum(not outcome.recovered for outcome in group.outcomes)))


def window_of_group(config: Any, group: Group) -> Any:
    """The failover window that AHM computes for these runs, or None."""
    if group.struck != 'leader':
        return None
    return window_of(config, group.outcomes[0].plan[0][1])


def _remarks(groups: Sequence[Group]) -> List[str]:
    lines = ['', 'Runs without recovery, and why:']
    for group in groups:
        for reason, number in sorted(group.reasons.items()):
            lines.append('  %s, %s: %d x %s' % (group.fault, group.struck, number, reason))
    if len(lines) == 2:
        lines = ['', 'Runs without recovery: none']
    remarks = ['  %s, %s: %d x %s' % (group.fault, group.struck, number, remark)
               for group in groups for remark, number in sorted(group.remarks.items())]
    return lines + (['', 'Recovered, but:'] + remarks if remarks else [])


def _worst(groups: Sequence[Group]) -> List[str]:
    lines = ['', 'The worst run of each kind (--replay SEED in place of --runs shows it):']
    width = max(len(group.worst.fault) for group in groups)
    return lines + ['  seed %10d  %-*s  %s' % (group.worst.seed, width, group.worst.fault,
                                               summary(group.worst)) for group in groups]


def summary(outcome: Outcome) -> str:
    """What one run came to, in a few words."""
    outage = outcome.write_outage_seconds
    found = [outcome.broken] if outcome.broken else []
    if outcome.two_primaries_seconds:
        found.append('two primaries for %.2f s' % outcome.two_primaries_seconds)
    if outage != 0:
        found.append('no writes, and no end within %.1f s' % outcome.watched if outage is None
                     else 'no writes for %.2f s' % outage)
    return '; '.join(found) or 'no outage'


# -- JSON --------------------------------------------------------------------------------------

def outcome_dict(outcome: Outcome, settings: Sequence[Settings],
                 timeline: bool = True) -> Dict[str, Any]:
    """One run as plain JSON values, or without what happened when."""
    made = outcome._asdict()
    made['plan'] = [{'after': gap, 'fault': fault, 'node': settings[place].name}
                    for gap, fault, place in outcome.plan]
    for name in ('served', 'timeline'):
        made[name] = [dict(item._asdict()) for item in made[name]]
        if not timeline:
            del made[name]
    return dict(made)


def cluster_dict(config: Any, settings: Sequence[Settings], leader: int) -> Dict[str, Any]:
    """The simulated cluster and its failover windows as plain JSON values."""
    return {
        'nodes': [{'name': settings[place].name, 'address': settings[place].addresses[place],
                   'priority': settings[place].priority,
                   'witness': settings[place].witness, 'leads': place == leader}
                  for place in settings[0].order],
        'half_votes': settings[0].half_votes, 'trusted_servers': settings[0].trusted,
        'fencing': settings[0].pre_promotion, 'virtual_ip': bool(settings[0].vip),
        'warnings': warnings(config),
        'failover_windows': {name: dict(window._asdict()) for name, window
                             in failover_intervals(config)._asdict().items()}}


def groups_dict(outcomes: Sequence[Outcome]) -> List[Dict[str, Any]]:
    """The table as plain JSON values."""
    return [{'fault': group.fault, 'struck': group.struck, 'runs': len(group.outcomes),
             'write_outage_seconds': dict(zip(('min', 'median', 'p95', 'max'), group.statistics)),
             'without_end': group.endless,
             'two_primaries_seconds': group.longest_split,
             'lost_rows': group.most_lost,
             'not_recovered': group.reasons, 'remarks': group.remarks,
             'worst_seed': group.worst.seed} for group in grouped(outcomes)]
