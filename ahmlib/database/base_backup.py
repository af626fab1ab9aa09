"""Running pg_basebackup, and watching how far it is.

    -X stream, -c fast     the WAL of the copy comes with it; nobody waits for a checkpoint
    -P                     says how far it is, which is told to whoever waits
    -w                     asks nobody for a password
    --no-slot              only where every name confirms commits (synchronous_standby_names = '*')

Its two connections carry another application_name than this node's: with a slot, a temporary one
of its own where none is named, it reports what it has flushed, so under the node's name an
incomplete copy would confirm commits.  Without a slot it reports nothing.

A password goes by PGPASSWORD, never on the command line.  -R is not used: what it writes differs
between 11 and 12, holds the password, and is recovery.py's to write.  Tablespaces are the caller's
to refuse.  All of this is the same from 10 to 18; checksums are verified from 11 on, and a copy
with a wrong one fails.
Source: src/bin/pg_basebackup/pg_basebackup.c, receivelog.c (reportFlushPosition).
"""
import os
import re
import select
import subprocess
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.database import conninfo, control
from ahmlib.database.attach_job import Job, Refused
from ahmlib.process import programs

PROGRAMS = ('ag_basebackup', 'pg_basebackup')
#: Of one that neither copies nor ends: it syncs what it has written, or its primary is gone.
STALL_SECONDS = 1800.0
LOOK_SECONDS = 1.0
#: What may be seen meanwhile raises Refused, where the copy is to end.
Watch = Callable[['Progress'], None]

_PROGRESS = re.compile(r'(\d+)/(\d+) kB')


class Progress(NamedTuple):
    """How far a copy is, in bytes, and how long it has taken; `total_bytes` is an estimate."""

    done_bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0

    def seconds_left(self) -> Optional[float]:
        """How long it may take yet, as fast as it was until now; None where nobody can tell."""
        if not self.done_bytes or not self.total_bytes:
            return None
        return max(0, self.total_bytes - self.done_bytes) * self.seconds / self.done_bytes


def take(job: Job, target: str, with_slot: bool, watch: Watch) -> None:
    """Copy the primary of this job into the directory `target`; raises Refused where that fails.

    with_slot: whether it may report what it has flushed; see above.
    """
    argv, environment = command(job, target, with_slot)
    child = programs.start(argv, subprocess.PIPE, control.as_owner(os.path.dirname(target)),
                           environment)
    try:
        said = _attend(job, child, watch)
        code = child.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        raise Refused('%s has closed its output and does not end' % argv[0])
    finally:
        if child.returncode is None:
            programs.kill_group(child)
        assert child.stdout is not None
        child.stdout.close()
    if code != 0:
        raise Refused('%s failed: %s' % (os.path.basename(argv[0]), _explain(said)))


def command(job: Job, target: str, with_slot: bool) -> Tuple[List[str], Dict[str, str]]:
    """Return the command, without a secret in it, and what is added to its environment."""
    words = conninfo.parse(job.conninfo)
    environment = {'LC_ALL': 'C'}
    if words.get('password'):
        environment['PGPASSWORD'] = words['password']
    if words.get('sslpassword'):
        raise Refused('primary_conninfo has an sslpassword, which pg_basebackup takes on its '
                      'command line only, where everybody reads it: rebuild it by hand')
    argv = [program(job), '-d', conninfo.build(job.words_of_a_copy()), '-D', target,
            '-X', 'stream', '-c', 'fast', '-P', '-w']
    return argv + ([] if with_slot else ['--no-slot']), environment


def program(job: Job) -> str:
    """Return the path of pg_basebackup; raises Refused where it is not installed."""
    beside = control.pg_ctl(job.settings)
    places = [job.settings.db_bin_dir]
    if beside:
        places.append(os.path.dirname(os.path.realpath(beside)))
    for place in places:
        path = control.find_program(place, *PROGRAMS)
        if path:
            return path
    raise Refused('there is no %s in %s: install it' % (
        ' or '.join(PROGRAMS), ' or '.join(place or 'PATH' for place in places)))


def _attend(job: Job, child: 'subprocess.Popen[bytes]', watch: Watch) -> str:
    """Read what it says until it ends; returns the end of that."""
    assert child.stdout is not None
    number, began = child.stdout.fileno(), job.deadline.elapsed()
    text, seen, moved = '', Progress(), began
    while True:
        if select.select([number], [], [], LOOK_SECONDS)[0]:
            data = os.read(number, programs.READ_MAX)
            if not data:
                return text
            text = (text + data.decode('utf-8', 'replace'))[-programs.OUTPUT_MAX:]
        elif child.returncode is None and _has_ended(child):
            programs.kill_group(child)          # what it started outlives it, and holds the pipe
        now = job.deadline.elapsed()
        figures = _PROGRESS.findall(text)
        done, total = map(int, figures[-1]) if figures else (0, 0)
        if done * 1024 != seen.done_bytes:
            moved = now
        seen = Progress(done * 1024, total * 1024, now - began)
        if job.deadline.is_over() or now - moved > STALL_SECONDS:
            raise Refused('the copy of the primary did not get on for %.0f s, at %d of %d bytes'
                          % (now - moved, seen.done_bytes, seen.total_bytes))
        watch(seen)


def _has_ended(child: 'subprocess.Popen[bytes]') -> bool:
    """Whether it has ended; it stays unreaped, so that nobody else has the number of its group."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _explain(said: str) -> str:
    lines = [line.strip() for line in re.split(r'[\r\n]', said)
             if line.strip() and not _PROGRESS.search(line)]
    # What it says last of all is what it removes.
    told = [line for line in lines if 'error' in line.lower() or 'could not' in line.lower()]
    return ' '.join(told or lines[-3:])[-400:] or 'it gave no reason'
