"""A fencing script for labs that have no sshd, and its record.

It fences as conf/failover.sh.sample does, by signals in place of ssh: the lab's hosts share their
processes, and the directories of two hosts differ in the host's name only.  (The sample itself is
tested over a real sshd in test_fencing.py.)
"""

import contextlib
import os
import shutil
import tempfile

FENCE = """#!/bin/sh
echo "$AHM_EVENT $AHM_OLD_PRIMARY_NAME -> $AHM_NEW_PRIMARY_NAME" >> "$(dirname "$0")/log"
old=$(echo "$AHM_DB_DATA_DIR" | sed "s,/h[0-9]*/data\\$,/h${AHM_OLD_PRIMARY_NAME##*-},")
[ -e "$old/data/PG_VERSION" ] || exit 1
if [ -e "$old/relay.pid" ]; then
    "$old/bin/relay" down --pid-file "$old/relay.pid" || exit 1
fi
pid=$(head -1 "$old/data/postmaster.pid" 2>/dev/null) || exit 0
[ -n "$pid" ] || exit 0
kill -QUIT "$pid" 2>/dev/null
tries=0
while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || exit 1
    sleep 0.05
done
exit 0
"""


@contextlib.contextmanager
def fencing_script():
    """The path of a fencing script that the lab's user can run; `log` beside it is its record."""
    directory = tempfile.mkdtemp(prefix='ahmfence-')
    try:
        os.chmod(directory, 0o777)
        path = os.path.join(directory, 'fence.sh')
        _write(path, FENCE)
        yield path
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def replaced(script, text):
    """Within this, the fencing script of this path is these lines of shell."""
    with open(script) as file:
        before = file.read()
    try:
        _write(script, '#!/bin/sh\n%s\n' % text)
        yield
    finally:
        _write(script, before)


def _write(script, text):
    """Write it beside its place, for the one that is there may just be run."""
    with open(script + '.new', 'w') as file:
        file.write(text)
    os.chmod(script + '.new', 0o755)
    os.rename(script + '.new', script)


def fenced(script):
    """What the fencing script of this path has recorded so far: a line a run."""
    path = os.path.join(os.path.dirname(script), 'log')
    if not os.path.exists(path):
        return []
    with open(path) as lines:
        return lines.read().splitlines()
