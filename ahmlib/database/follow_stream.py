"""Whether a standby that was just pointed to a primary streams from it, or why it does not.

Who follows has not arrived before its walreceiver receives the primary's present timeline
(streaming.py).  The walreceiver tries again every 5 s, so it is waited for, yet for a share of
the caller's limit only: a primary that is merely not there yet is tried again by the caller, with
the reason told meanwhile.

A standby streams only after it has replayed the WAL that it has.  One that is busy with that, or
waits for recovery_min_apply_delay, is well: that is success, with a remark.
"""
from typing import NamedTuple, Optional

from ahmlib.database import (
    conninfo,
    control,
    history,
    probe,
    recovery,
    settings_in_force,
    streaming,
)
from ahmlib.database.connection import Connection, ConnectionFailed, QueryFailed
from ahmlib.database.history import Position
from ahmlib.database.probe import Found
from ahmlib.database.settings import DatabaseSettings
from ahmlib.process.deadline import Deadline

POLL_SECONDS = 0.1
#: At most; and at most this share of what the caller has left.
STREAM_SECONDS, SHARE = 20.0, 0.6
#: How long it may stand still once something stands in its way that waiting does not mend.
FINAL_SECONDS = 3.0
ASK_SECONDS = 5.0

# A setting from PostgreSQL 12 on; before, pg_settings does not have it.
DELAY = "SELECT coalesce(current_setting('recovery_min_apply_delay', true), '0') <> '0'"


class Seen(NamedTuple):
    """How the wait ended."""

    ok: bool
    reason: str
    remark: str = ''        # what people should know, where it is ok
    diverged: bool = False  # its history is not the primary's


def await_stream(settings: DatabaseSettings, host: str, port: Optional[int], deadline: Deadline,
                 how: str, log_at: int) -> Seen:
    """Wait until the running standby beside this node streams from `host`:`port`.

    `how` it was pointed there: follow_command may have written another name of the host.  `log_at`
    is where the server's log ended before.
    """
    return _Wait(settings, host, port, deadline, how, log_at).run()


class _Wait:
    """One wait for a standby to stream."""

    def __init__(self, settings: DatabaseSettings, host: str, port: Optional[int],
                 deadline: Deadline, how: str, log_at: int) -> None:
        self.settings, self.host, self.port, self.log_at = settings, host, port, log_at
        self.port = port or settings.db_port
        self.deadline = Deadline(min(STREAM_SECONDS, deadline.remaining() * SHARE))
        self.how, self.is_commands = how, how == 'command'
        self.why = ''                           # what was last seen to be in its way
        self.found: Optional[Found] = None      # by the last look that told where it is
        self.moved_at: Optional[float] = None
        self.times_seen = 0

    def run(self) -> Seen:
        """Wait, and say how it ended."""
        try:
            text = settings_in_force.primary_conninfo(self.settings, self._limit())
            self.conninfo = recovery.new_conninfo(text, self.settings, self.host, self.port)
        except (OSError, ValueError) as error:
            return self._not(str(error))
        self.wanted = None if self.is_commands else conninfo.upstream(self.conninfo)
        while True:
            ended = self._look()
            if ended is not None:
                return ended
            if self.deadline.is_over():
                return self._late()
            self.deadline.sleep(POLL_SECONDS)

    def _look(self) -> Optional[Seen]:
        """The result, where it is known by now; else None."""
        if control.postmaster(self.settings.db_data_dir) is None:
            # A command may start it a moment later.
            self.why = 'the database does not run'
            return None if self.is_commands else self._not(self._with_cause(self.why))
        found = probe.check_local(self.settings, self._limit())
        if found.answered and not found.in_recovery:
            return self._not('the database is no standby; see follow_command')
        here = history.position(self.settings, found, self._limit()) if found.answered else None
        if here is None:
            self.why = 'the database here does not say where it is (%s)' % (
                found.reason or found.verdict)
            return None
        if self.found and found.replayed_lsn != self.found.replayed_lsn:
            self.moved_at = self.deadline.elapsed()
        self.found = found
        return self._compare(here)

    def _compare(self, here: Position) -> Optional[Seen]:
        """The same, of a standby that is `here`."""
        switches = history.own_switches(self.settings.db_data_dir, here[0])
        primary, why = history.ask(self.settings, self.host, self.port, self.conninfo,
                                   self._limit())
        if primary is None:
            self.why = 'the primary does not say where it is: %s' % why
            return None
        fork = history.compare(primary, switches, *here)
        if fork.beyond:
            return self._not('this database diverged: %d bytes of WAL beyond %s on timeline %d are '
                             'not the primary\'s; attach it, which says what to do'
                             % (fork.beyond, history.lsn_text(fork.lsn), fork.timeline), True)
        if streaming.streams(self.settings, self.host, self.port, self.wanted, primary, here,
                             self._limit()):
            # One that is about to be refused (a slot is missing) looks the same for an instant.
            self.times_seen += 1
            return Seen(True, 'streams from %s:%s' % (self.host, self.port)) \
                if self.times_seen == 2 else None
        self.times_seen = 0
        return self._in_the_way(here)

    def _in_the_way(self, here: Position) -> Optional[Seen]:
        """Look for what waiting does not mend, once it has stood still for a moment."""
        self.why = ''
        if self.deadline.elapsed() < FINAL_SECONDS + (self.moved_at or 0.0):
            return None
        self.why = streaming.refusal(history.replication_string(self.settings, self.conninfo),
                                     self._limit()) or streaming.obstacle(
                                         self.settings, self.host, self.port, here[1],
                                         self._limit())
        cause = streaming.causes(self.settings, self.log_at)
        if (self.why or cause.is_final) and not self.settings.restore_command:
            return self._not(self._with_cause(self.why))
        return None

    def _late(self) -> Seen:
        """The share is over, and it does not stream."""
        if not self.why and self.found:
            left = (self.found.lsn or 0) - (self.found.replayed_lsn or 0)
            is_moving = self.moved_at is not None \
                and self.deadline.elapsed() < self.moved_at + FINAL_SECONDS
            # After a restart it is not told how much it has, before it streams.
            if (left > 0 and is_moving) or (
                    (left > 0 or self.how == 'restarted') and self._is_delayed()):
                return Seen(True, 'is set to follow %s:%s' % (self.host, self.port),
                            'it replays the WAL that it has before it streams from %s:%s'
                            % (self.host, self.port))
            if left > 0:
                self.why = 'its replay stands still, %d bytes before the end of the WAL that it ' \
                    'has' % left
        return self._not(self._with_cause(self.why))

    def _is_delayed(self) -> bool:
        """Whether it waits with its replay, as it is told."""
        if self.settings.use_recovery_min_apply_delay and self.settings.recovery_min_apply_delay:
            return True
        try:
            with Connection(conninfo.local_conn_string(self.settings), self._limit()) as connection:
                return bool(connection.value(DELAY))
        except (ConnectionFailed, QueryFailed):
            return False

    def _with_cause(self, why: str) -> str:
        """The reason, with what the log of the server says."""
        cause = streaming.causes(self.settings, self.log_at)
        if not why:
            return str(cause)
        return str(streaming.Cause([why], [] if why in str(cause) else cause.said, False))

    def _not(self, reason: str, diverged: bool = False) -> Seen:
        return Seen(False, 'the database does not stream from %s:%s after %.0f s: %s' % (
            self.host, self.port, self.deadline.elapsed(), reason), diverged=diverged)

    def _limit(self) -> float:
        return max(0.5, min(ASK_SECONDS, self.settings.db_connect_timeout,
                            self.deadline.remaining()))
