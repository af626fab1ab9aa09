"""Taking back an order to promote that was not carried out, so that no primary appears later.

The order is the file `promote` and a signal.  From PostgreSQL 14 on nothing happens without the
file, so an order whose file could be removed is withdrawn for certain.  Before, the signal alone
suffices, and it may have been noted; and where the file is gone the order was read, in every
version, and a promotion may still complete.  Then only one thing is certain: the server is
stopped, gently, seen to be a standby by its files still, and started again; a server forgets what
it was told, and removes a file `promote` that is left, when it starts.

It is never killed for this.  One that does not stop in time is left stopping, and the order counts
as not withdrawn.
"""
import os
import signal
from typing import Callable, Optional, Tuple

from ahmlib.database import control, recovery, start
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process import programs
from ahmlib.process.deadline import Deadline

FIRST_VERSION_THAT_FORGETS = 14     # an order whose file is gone
STOP_SHARE = 0.5                    # of the time that is left, until the stop has to have ended
POLL_SECONDS = 0.01
UNCERTAIN = '; a promotion that has begun may still complete'


def withdraw(settings: DatabaseSettings, outcome: programs.Outcome, deadline: Deadline,
             in_recovery: Callable[[], Optional[bool]]) -> Tuple[Optional[bool], str]:
    """Take back the order whose `outcome` (programs.Outcome) this is.

    in_recovery() asks the server.  Returns (whether it is certain that no promotion follows, what
    to add to the reason); (None, '') where the server has become a primary meanwhile.
    """
    if not outcome.started:
        return True, ''                             # no order was ever given
    path = os.path.join(settings.db_data_dir, 'promote')
    note = UNCERTAIN
    try:
        version = control.data_directory_version(settings.db_data_dir)
        with control.acting_as(control.as_owner(settings.db_data_dir)):
            os.unlink(path)
        if version >= FIRST_VERSION_THAT_FORGETS:
            return True, '; the order was withdrawn'
        note = '; the order was withdrawn, but may have been noted already'
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        note = '; cannot remove %s: %s' % (path, getattr(error, 'strerror', error))
    if in_recovery() is False:
        return None, ''
    is_certain, why = _restart(settings, deadline)
    return is_certain, why if is_certain else note + why


def _restart(settings: DatabaseSettings, deadline: Deadline) -> Tuple[bool, str]:
    """Stop the server and start it as the standby that it is: (whether that is certain, how)."""
    blind = control.why_blind(settings.db_data_dir)
    if blind:
        return False, '; ' + blind
    why = _stop(settings, deadline)
    if why:
        return False, why
    try:
        if not recovery.is_standby_on_file(settings):
            return False, '; the server was stopped, and is no standby by its files any more'
    except (OSError, ValueError) as error:
        return False, '; the server was stopped: %s' % error
    started = start.start_database(settings, deadline.remaining())
    if started.ok:
        return True, '; the order was withdrawn by a restart of the standby'
    return True, '; the order was withdrawn by a restart of the standby: ' + started.reason


def _stop(settings: DatabaseSettings, deadline: Deadline) -> str:
    """Ask for a fast shutdown and wait for its end: '', or why it did not end."""
    data_dir = settings.db_data_dir
    processes = control.server_processes(data_dir)
    deaf = [each for each in processes if each.state == 'T']
    if deaf:
        return '; its process %d is stopped (SIGSTOP)' % deaf[0].pid
    main = control.postmaster(data_dir)
    for process in processes:
        if process.pid == main:
            control.kill(process, signal.SIGINT)
    until = deadline.elapsed() + deadline.remaining() * STOP_SHARE
    while control.server_processes(data_dir) or any(map(control.is_alive, processes)):
        if deadline.elapsed() >= until:
            return '; it was told to stop, and has not yet'
        deadline.sleep(POLL_SECONDS)
    return ''
