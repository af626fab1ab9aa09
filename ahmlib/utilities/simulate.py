"""Let faults happen to a simulated cluster with your configuration.

Usage:
  ahm_simulate [--fault=FAULT]... [--witness=NAME]... [options]

One fault, and what follows from it second by second:
  ahm_simulate --fault power-off
Many random faults, and how long each kind keeps clients from writing:
  ahm_simulate --runs 200

Options:
  -f, --config-file=FILE  The ahm_config.yml of one node; with its nodes.conf
                          (default: $AHM_CONFIG, else the first that is there
                          in /etc/ahm, /usr/local/etc/ahm, /usr/local/etc).
  --fault=FAULT           "FAULT [NODE] [after SECONDS]"; NODE is a name or an
                          address, the leader without one. Several happen one
                          after the other, each so long after the one before.
  --witness=NAME          This node, by name or address, has no database.
  --runs=N                Simulate so many runs and print a table; of random
                          faults, unless --fault names one.
  --seed=S                What chance is drawn from: the same number, the same
                          runs (default: 1).
  --replay=SEED           Show the one run of an earlier table with this seed,
                          given in place of --runs and --seed, with the same
                          files and all other options as then.
  --json                  Print the result as JSON.
  --plot=FILE             Also write a picture, as SVG.
  --list                  Print all faults.
  --help                  Print this help.
  --version               Print the version.

The nodes are named AHM-NODE-1, AHM-NODE-2, ... in the order of nodes.conf, but
the node of the file, which has its node_name. Before the fault the first node
with a database leads. Clients write all the time, through the virtual IP, or
where AHM leads if there is none; they reach every host that runs, also one
that is cut off from the other nodes. Scripts work. Nothing real is touched.

A table that is interrupted (Ctrl-C) shows the runs that were done.

Exit status: 0 done; 1 failed, the reason is on stderr; 2 wrong usage or
configuration; 4 done, and AHM broke a rule of its own safety: a bug.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from ahmlib.config import loader
from ahmlib.network import addresses
from ahmlib.simulation import plot, report, scenario
from ahmlib.simulation.faults import FAULTS
from ahmlib.utilities import common
from ahmlib.utilities.common import Args

if TYPE_CHECKING:
    from ahmlib.core.settings import Settings
    from ahmlib.simulation.scenario import Outcome

Step = Tuple[float, str, int]    # gap, fault, node

BROKEN = 4
BROKEN_TEXT = 'done, and AHM broke a rule of its own safety: a bug'

RUNS_MAX = 1000000
SEED_MAX = 2 ** 32 - 1
AFTER_MAX = 86400.0


def main(argv: Sequence[str]) -> int:
    """Simulate what is asked for, print it, and return the exit code."""
    args = common.arguments(__doc__, argv)
    if args['--list']:
        common.put(_list())
        return common.OK
    common.refuse_empty(args)
    _check_combination(args)
    seed = _number('--seed', args['--seed'] or '1', 0, SEED_MAX)
    replayed = args['--replay'] and _number('--replay', args['--replay'], 0, SEED_MAX)
    runs = args['--runs'] and _number('--runs', args['--runs'], 1, RUNS_MAX)
    _check_plot(args['--plot'])
    try:
        simulation = Simulation(args)
        if runs is not None:
            return simulation.show_many(seed, runs)
        return simulation.show_one(seed if replayed is None else replayed)
    except scenario.Impossible as error:
        raise common.Failure(str(error), common.USAGE)


class Simulation:
    """The cluster that the options describe, and what is done with it."""

    def __init__(self, args: Args) -> None:
        self.args = args
        self.config = load_config(common.config_path(args))
        plain = scenario.cluster_settings(self.config)
        order = list(plain[0].order)
        witnesses = [order.index(_node(plain, name, '--witness')) for name in args['--witness']]
        self.settings = scenario.cluster_settings(self.config, witnesses)
        self.leader = scenario.first_primary(self.settings)
        self.plan = tuple(_step(text, self.settings, self.leader) for text in args['--fault'])

    def show_one(self, seed: int) -> int:
        """One run, as a timeline."""
        outcome = self._run(seed)
        names = [self.settings[place].name for place in self.settings[0].order]
        self._draw(plot.timeline(outcome, names))
        return self._end({'outcome': report.outcome_dict(outcome, self.settings)},
                         report.timeline_text(outcome), bool(outcome.broken))

    def show_many(self, seed: int, runs: int) -> int:
        """Many runs, as a table; of those that were done where somebody interrupts."""
        outcomes = self._run_many(seed, runs)
        if not outcomes:
            raise common.Failure('interrupted before the first run was done')
        self._draw(plot.distribution(self.config, outcomes))
        lines = ['Runs: %d%s, seed %d' % (
            len(outcomes), ' of %d, interrupted' % runs if len(outcomes) < runs else '', seed), '']
        return self._end({'seed': seed, 'runs': len(outcomes), 'runs_asked_for': runs,
                          'faults': report.groups_dict(outcomes),
                          'outcomes': [report.outcome_dict(outcome, self.settings, False)
                                       for outcome in outcomes]},
                         lines + report.table_text(self.config, outcomes),
                         any(outcome.broken for outcome in outcomes))

    def _run(self, seed: int) -> 'Outcome':
        plan = self.plan or scenario.draw(self.settings, seed)
        return scenario.run(self.config, self.settings, plan, seed)

    def _run_many(self, seed: int, runs: int) -> List['Outcome']:
        outcomes, shows = [], sys.stderr.isatty()
        try:
            for number in range(1, runs + 1):
                outcome = self._run(scenario.run_seed(seed, number))
                # A table shows no timelines, and of a million runs they would fill the memory.
                outcomes.append(outcome._replace(served=(), timeline=()))
                if shows:
                    sys.stderr.write('\rrun %d of %d' % (number, runs))
                    sys.stderr.flush()
        except KeyboardInterrupt:
            pass        # what there is so far is shown
        if shows:
            sys.stderr.write('\r\x1b[K')
        return outcomes

    def _end(self, result: Any, lines: List[str], is_broken: bool) -> int:
        """Print what came of it; returns the exit code."""
        code = BROKEN if is_broken else common.OK
        if self.args['--json']:
            result['cluster'] = report.cluster_dict(self.config, self.settings, self.leader)
            common.put_object(not is_broken, BROKEN_TEXT if is_broken else 'done', code, **result)
            return code
        head = report.cluster_text(self.config, self.settings, self.leader)
        drawn = self.args['--plot']
        tail = [] if drawn is None else ['', 'Picture: %s' % drawn]
        for line in head + [''] + lines + tail:
            common.put(common.printable(line))
        return code

    def _draw(self, picture: str) -> None:
        path = self.args['--plot']
        if path is None:
            return
        try:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(picture)
        except OSError as error:
            raise common.Failure('--plot %s cannot be written: %s; name another file'
                                 % (path, error.strerror))


def load_config(path: str) -> loader.Config:
    """The Config of this file, which may be of another host: then the own entry is assumed.

    Only where no address in nodes.conf is of this host, the first entry that fits the file is
    taken as its node.  Raises Failure.
    """
    seen = []

    def is_local(address: str) -> bool:
        seen.append((address, addresses.is_local(address)))
        return seen[-1][1]
    try:
        return loader.load(path, is_local=is_local, check_host=False)
    except loader.ConfigError as error:
        problems = error.problems
    for assumed, _ in seen if not any(here for _, here in seen) else ():
        try:
            return loader.load(path, is_local=lambda address: address == assumed,
                               check_host=False)
        except loader.ConfigError as error:
            # A mistake that has to do with the assumption is none of the file's.
            problems = [line for line in problems if line in error.problems] or error.problems
    more = len(problems) - 1
    raise common.Failure(problems[0] + (' (and %d more)' % more if more else ''), common.USAGE)


# -- arguments ---------------------------------------------------------------------------------

def _wrong(option: str, found: str, expected: str, remedy: str) -> common.Failure:
    return common.Failure('%s: found %s, expected %s; %s' % (option, found, expected, remedy),
                          common.USAGE)


def _check_combination(args: Args) -> None:
    if args['--runs'] and args['--replay']:
        raise _wrong('--replay', '--runs besides', 'one of the two',
                     'leave --runs out to see that one run')
    if args['--seed'] and args['--replay']:
        raise _wrong('--replay', '--seed besides', 'one of the two',
                     'leave --seed out: --replay takes its place')
    if not (args['--fault'] or args['--runs'] or args['--replay']):
        raise _wrong('ahm_simulate', 'nothing to simulate', '--fault, --runs or --replay',
                     'name a fault; "ahm_simulate --list" prints them')


def _number(option: str, text: str, least: int, most: int) -> int:
    digits = 0 < len(text) <= 10 and all(character in '0123456789' for character in text)
    if not digits or not least <= int(text) <= most:
        raise _wrong(option, repr(text), 'a whole number from %d to %d' % (least, most),
                     'correct it')
    return int(text)


def _check_plot(path: Optional[str]) -> None:
    if path is None:
        return
    directory = os.path.dirname(os.path.abspath(path))
    if not path or os.path.isdir(path) or not os.path.isdir(directory) \
            or not os.access(directory, os.W_OK):
        raise _wrong('--plot', repr(path), 'a file in a directory that can be written',
                     'name another file')


def _step(text: str, settings: Sequence['Settings'], leader: int) -> Step:
    """(gap, fault, node) of what stands after --fault."""
    found, gap = text.split(), 0.0
    if len(found) > 2 and found[-2] == 'after':
        gap = _seconds(found[-1])
        found = found[:-2]
    if not 1 <= len(found) <= 2:
        raise _wrong('--fault', repr(text), '"FAULT [NODE] [after SECONDS]"',
                     'quote it as one word, as in --fault "power-off %s"' % settings[leader].name)
    name = found[0].replace('_', '-')
    if name not in FAULTS:
        raise _wrong('--fault', repr(found[0]), 'the name of a fault',
                     'choose one that "ahm_simulate --list" prints')
    place = _node(settings, found[1], '--fault') if len(found) > 1 else leader
    need = scenario.missing(name, settings[place])
    if need:
        raise _wrong('--fault', '%s for %s%s' % (
            name, settings[place].name, ', a witness' if settings[place].witness else ''), need,
            'without that nothing happens')
    return gap, name, place


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= AFTER_MAX:
        raise _wrong('--fault', 'after %r' % text, 'seconds from 0 to %d' % AFTER_MAX, 'correct it')
    return seconds


def _node(settings: Sequence['Settings'], text: str, option: str) -> int:
    place = scenario.find_node(settings, text)
    if place is None:
        raise _wrong(option, repr(text), 'the name or address of one node',
                     'choose out of %s' % ', '.join(
                         '%s (%s)' % (settings[item].name, settings[item].addresses[item])
                         for item in settings[0].order))
    return place


def _list() -> str:
    rows = scenario.descriptions()
    width = max(len(name) for name, _ in rows)
    return '\n'.join('%-*s  %s' % (width, name, text) for name, text in rows)
