"""What goes wrong inside a server, beyond its being killed: it hangs, or it recovers for ever.

A postmaster that is stopped accepts connections (the kernel does) and never answers, while the old
ones go on.  A server whose process crashed restarts all by itself and says 'starting up' (SQLSTATE
57P03) until its WAL is replayed; here the process that replays it is stopped, so that this lasts
as long as a test wants.
"""
import os
import signal
import time

from ahmlib.lab import LabError, procfs

#: Rows whose WAL takes longer to replay than a look at the processes takes.
ROWS = 50000
TRIES = 10
APPEAR_SECONDS = 20.0
PAUSE = 0.05


def hang(database):
    """SIGSTOP of the postmaster alone: new connections hang, old ones go on."""
    pid = database.postmaster()
    if pid is None:
        raise LabError('%s does not run' % database.name)
    procfs.freeze_all(lambda: [pid])


def resume(database):
    """SIGCONT of all that was stopped."""
    procfs.thaw_all(database.pids)


def reload(database):
    """Have the server read its configuration files again; needs no connection."""
    procfs.send(database.postmaster(), signal.SIGHUP)


def hba_first(database, *lines):
    """Put these lines before those of pg_hba.conf, and have it read; what was there."""
    with open(_hba_path(database)) as file:
        before = file.read()
    hba(database, '\n'.join(lines + (before,)))
    return before


def hba(database, text):
    """Make this its pg_hba.conf, whose owner stays who it is, and have it read."""
    with open(_hba_path(database), 'w') as file:
        file.write(text)
    reload(database)


def _hba_path(database):
    return os.path.join(database.data_dir, 'pg_hba.conf')


def hold_recovery(database):
    """Crash a process of a running primary, and stop the recovery that follows until resume().

    The server listens all the while.  LabError where the recovery was too fast each time.
    """
    for _ in range(TRIES):
        _accepts(database)
        database.sql('DROP TABLE IF EXISTS lab_filler')
        database.sql('CREATE TABLE lab_filler AS SELECT generate_series(1, %d) AS id' % ROWS,
                     limit=60.0)
        before = database.pids()
        victims = [pid for pid in before if _does(pid, 'walwriter')]
        procfs.send(victims[0], signal.SIGKILL)
        if _stopped_startup(database, before):
            return
    raise LabError('the recovery of %s was over %d times before it could be stopped:\n%s'
                   % (database.name, TRIES, database.log_tail()))


def _accepts(database):
    """Wait until the server answers: after a recovery that was too fast it may be at its end."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while True:
        try:
            return database.sql('SELECT 1')
        except LabError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def _stopped_startup(database, before):
    """Stop the new startup process; whether it was there, and has not ended meanwhile."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while time.monotonic() < deadline:
        born = set(database.pids()) - set(before)
        for pid in born:
            if _does(pid, 'startup'):
                procfs.freeze_all(lambda: [pid])
                return procfs.state(pid) in 'Tt'    # else it had ended already
        if any(_does(pid, 'walwriter') for pid in born):
            return False
    raise LabError('%s does not recover:\n%s' % (database.name, database.log_tail()))


def _does(pid, word):
    """Whether a server process calls itself so; its whole title is its first argument."""
    return word in ' '.join(procfs.command_line(pid))
