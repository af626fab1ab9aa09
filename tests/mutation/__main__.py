"""Mutants of these modules, in copies of the tree; exit code 1 where one survives unexplained.

    python -m tests.mutation [--python PYTHON] [--workers N] [--stages "STAGE ..."] [MODULE ...]

MODULE is a module of ahmlib/core/consensus or, as procedures/NAME, of ahmlib/core/procedures;
without any all of consensus are tried.  PYTHON runs the tests.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import queue
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Counter, List, NamedTuple

from cosmic_ray.config import load_config, serialize_config
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

from tests.mutation.mutants import Mutant, mutant
from tests.mutation.stages import KILLED_BY
from tests.mutation.survivors import listed

TREE = pathlib.Path(__file__).resolve().parents[2]
CONFIG = pathlib.Path(__file__).with_name('cosmic-ray.toml')
#: In the order in which they are tried: what the argument of ahm_protocol(7) rests on most, first.
MODULES = ('ballot', 'promise', 'lease', 'contest', 'tenure', 'follower', 'tie_break', 'membership',
           'quorum', 'timing', 'saved', 'speaking', 'consensus', 'wish')
NOT_COPIED = shutil.ignore_patterns('.git', '.venv*', '.*_cache', '.hypothesis', '__pycache__')
#: The tool sets it for all that it starts, so that no compiled mutant is kept.
NOTHING_COMPILED = 'PYTHONDONTWRITEBYTECODE'


class Result(NamedTuple):
    """What came of the mutants of one module."""
    module: str
    killed: Counter[str]            # by stage
    explained: int
    survived: List[Mutant]
    gone: List[Mutant]              # are listed, and the tool makes no such mutant any more
    seconds: float


class Copy:
    """A copy of the tree, in which one module at a time is mutated."""

    def __init__(self, path: pathlib.Path, python: str, stages: List[str]) -> None:
        self.path = path
        self.command = ' '.join(map(shlex.quote, [python, '-m', 'tests.mutation.stages', *stages]))

    def run(self, *argv: str) -> None:
        """A command of the tool, here; CalledProcessError where it fails."""
        tools = pathlib.Path(sys.executable).parent
        subprocess.run([str(tools / argv[0]), *argv[1:]], cwd=str(self.path), check=True)

    def check(self) -> None:
        """The tests have to pass as long as nothing is changed, or they would kill everything.

        What they compile is kept, and halves the time that each mutant takes.
        """
        environ = {name: value for name, value in os.environ.items() if name != NOTHING_COMPILED}
        found = subprocess.run(shlex.split(self.command), cwd=str(self.path), env=environ,
                               stdout=subprocess.PIPE, universal_newlines=True)
        if found.returncode:
            raise SystemExit('the tests fail without any mutant; mend that first:\n' + found.stdout)

    def try_module(self, module: str) -> Result:
        """All mutants of this module."""
        began = time.time()
        folder, _, name = module.rpartition('/')
        config = load_config(str(CONFIG))
        config['module-path'] = 'ahmlib/core/%s/%s.py' % (folder or 'consensus', name)
        config['test-command'] = self.command
        (self.path / 'session.toml').write_text(serialize_config(config))
        session = str(self.path / ('%s.sqlite' % name))
        self.run('cosmic-ray', 'init', 'session.toml', session, '--force')
        self.run('cr-filter-operators', session, 'session.toml')
        with use_db(session, WorkDB.Mode.open) as work:
            mutants = {item.job_id: mutant(item, self.path) for item in work.pending_work_items}
            skip_explained(work, mutants)
        self.run('cosmic-ray', 'exec', 'session.toml', session)
        with use_db(session, WorkDB.Mode.open) as work:
            return result(module, work, mutants, time.time() - began)


def skip_explained(work: WorkDB, mutants: dict) -> None:
    """Mark those of `survivors.txt` as skipped."""
    explained = listed()
    for job, each in mutants.items():
        if each in explained:
            work.set_result(job, WorkResult(
                output='explained', worker_outcome=WorkerOutcome.SKIPPED))


def result(module: str, work: WorkDB, mutants: dict, seconds: float) -> Result:
    """What came of these."""
    killed: Counter[str] = collections.Counter()
    explained, survived = 0, []
    for job, found in work.results:
        if job not in mutants:
            continue
        if found.worker_outcome is WorkerOutcome.SKIPPED:
            explained += 1
        elif found.worker_outcome is not WorkerOutcome.NORMAL \
                or found.test_outcome is TestOutcome.INCOMPETENT:
            raise RuntimeError('%s was not tried: %s' % (mutants[job], found.output))
        elif found.test_outcome is TestOutcome.SURVIVED:
            survived.append(mutants[job])
        else:
            killed[found.output.strip().rpartition(KILLED_BY)[2]] += 1
    return Result(module, killed, explained, sorted(survived), gone(module, mutants), seconds)


def gone(module: str, mutants: dict) -> List[Mutant]:
    """What is listed for this module, and is none of its mutants."""
    folder, _, name = module.rpartition('/')
    begins = '%s.%s' % (folder or 'consensus', name)
    return sorted(Mutant(*each) for each in set(listed()) - set(mutants.values())
                  if re.match(re.escape(begins) + r'[.:]', each[0]))


def tell(found: Result) -> None:
    """What came of one module, as text."""
    mutants = sum(found.killed.values()) + found.explained + len(found.survived)
    by = ', '.join('%d by %s' % (number, stage) for stage, number in found.killed.most_common())
    print('%s: %d mutants in %.0f s: %d killed (%s), %d explained, %d left' % (
        found.module, mutants, found.seconds, sum(found.killed.values()), by, found.explained,
        len(found.survived)), *found.survived, sep='\n    ', flush=True)
    if found.gone:
        print('    listed in survivors.txt, and no mutant:', *found.gone, sep='\n    ', flush=True)


def main(argv: List[str]) -> int:
    """Try them; the exit code."""
    parser = argparse.ArgumentParser(prog='python -m tests.mutation')
    parser.add_argument('--python', default=sys.executable)
    parser.add_argument('--workers', type=int, default=max(1, len(os.sched_getaffinity(0))))
    parser.add_argument('--stages', default='')
    parser.add_argument('modules', nargs='*', default=MODULES, metavar='MODULE')
    options = parser.parse_args(argv)
    began, results = time.time(), []
    with tempfile.TemporaryDirectory(prefix='ahm-mutation-') as directory:
        free: queue.Queue[Copy] = queue.Queue()
        copies = [Copy(pathlib.Path(directory) / ('copy-%d' % number),
                       os.path.abspath(options.python), options.stages.split())
                  for number in range(options.workers)]
        shutil.copytree(TREE, copies[0].path, symlinks=True, ignore=NOT_COPIED)
        copies[0].check()
        for copy in copies:
            if copy is not copies[0]:
                shutil.copytree(copies[0].path, copy.path, symlinks=True)
            free.put(copy)

        def work(module: str) -> Result:
            copy = free.get()
            try:
                return copy.try_module(module)
            finally:
                free.put(copy)

        with concurrent.futures.ThreadPoolExecutor(options.workers) as workers:
            for done in concurrent.futures.as_completed(
                    [workers.submit(work, module) for module in options.modules]):
                results.append(done.result())
                tell(results[-1])
    left = sum(len(found.survived) for found in results)
    print('%d killed, %d explained, %d left, in %.0f minutes' % (
        sum(sum(found.killed.values()) for found in results),
        sum(found.explained for found in results), left, (time.time() - began) / 60))
    return 1 if left or any(found.gone for found in results) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
