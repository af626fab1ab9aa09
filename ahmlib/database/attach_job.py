"""What an attach is told and finds out, and what all of its steps ask and do.

The steps are in attach.py, the wait for the stream in attach_stream.py.
"""
import os
import shlex
from typing import Callable, Dict, NamedTuple, Optional, Tuple, Union

from ahmlib.database import conninfo, history, stop
from ahmlib.database.history import Fork, Primary
from ahmlib.database.recovery import Written
from ahmlib.database.settings import DatabaseSettings
from ahmlib.database.stop import Stopped
from ahmlib.process.deadline import Deadline
from ahmlib.process.programs import Environment

STOP_SECONDS = 60.0
ASK_SECONDS = 10.0
BY_ATTACH = ' with "ahm_attach_node --rebuild", or'


class Refused(Exception):
    """The attach ends here; `diverged` tells a history that is not the primary's.

    `curable`: a copy of the primary in its place is a cure.
    """

    def __init__(self, reason: str, diverged: bool = False, curable: bool = False) -> None:
        Exception.__init__(self, reason)
        self.diverged, self.curable = diverged, curable


class NoAnswer(Refused):
    """The primary does not say where it is; it may in a moment."""


class Streams(NamedTuple):
    """It streams from the primary."""

    how: str                # what was done; see attach.Attached


class Diverged(NamedTuple):
    """The server has WAL that the primary's history does not hold, and is stopped."""

    fork: Fork
    end: int                # how far its own WAL goes


Outcome = Union[Streams, Diverged]


class Job:
    """One attach under way."""

    def __init__(self, settings: DatabaseSettings, host: str, port: Optional[int],
                 deadline: Deadline, environment: Optional[Environment],
                 tell: Callable[[str], None] = lambda step: None) -> None:
        self.settings, self.host, self.port = settings, host, port or settings.db_port
        self.deadline, self.environment = deadline, environment
        self.tell = tell                # what is being done now, in words
        self._parent = os.getppid()
        self.data_dir = settings.db_data_dir
        self.conninfo = ''              # the primary_conninfo that leads to the primary
        self.behind = 0                 # bytes of the primary's WAL that it has yet to receive
        self.discarded = ''             # in words: the WAL that a rewind threw away
        self.slot_problem = ''          # why the slot that it uses cannot be made

    def limit(self) -> float:
        """Seconds for one question."""
        return max(0.5, min(ASK_SECONDS, self.settings.db_connect_timeout,
                            self.deadline.remaining()))

    def primary(self) -> Primary:
        """The history.Primary as it is now."""
        primary, why = history.ask(self.settings, self.host, self.port, self.conninfo,
                                   self.limit())
        if primary is None:
            raise NoAnswer('the primary at %s:%s: %s' % (self.host, self.port, why))
        return primary

    def fork(self, timeline: int, lsn: int) -> Tuple[Fork, Primary]:
        """The history.Fork of this position of ours.

        The primary is asked after the position is known, so it has what it sent until then.
        """
        switches = history.own_switches(self.data_dir, timeline)
        primary = self.primary()
        fork = history.compare(primary, switches, timeline, lsn)
        if not fork.beyond:
            self.behind = max(0, primary.lsn - lsn)
        return fork, primary

    def stop(self) -> None:
        """Stop the server here."""
        must(stop.stop_database(self.settings, stop.FAST, min(
            STOP_SECONDS, max(1.0, self.deadline.remaining()))))

    def refuse_an_orphan(self) -> None:
        """Refuse to go on for a daemon that has ended: another one decides by now."""
        if os.getppid() != self._parent:
            raise Refused('the daemon that asked for it has ended')

    def words_of_a_copy(self) -> Dict[str, str]:
        """The words by which the primary is copied, without a secret.

        Not under the node's own name: an incomplete copy would confirm commits.
        """
        words = conninfo.parse(self.conninfo)
        for name in ('password', 'sslpassword', 'dbname', 'replication'):
            words.pop(name, None)
        words['application_name'] = conninfo.name_of_a_copy(self.settings.node_name)
        first = [(name, words.pop(name)) for name in ('host', 'port', 'user', 'application_name')
                 if name in words]
        return dict(first + list(words.items()))

    def rebuild(self, by_attach: bool = True) -> str:
        """How to rebuild this standby, with the pg_basebackup command; no password in it.

        by_attach: ahm_attach_node can do it, too.
        """
        text = conninfo.build(self.words_of_a_copy())
        text = '"%s"' % text if not set(text) & set('"\\$`!') else shlex.quote(text)
        return 'rebuild it%s into an empty directory: pg_basebackup -d %s -D %s -R -X stream -P' % (
            BY_ATTACH if by_attach else '', text, shlex.quote(self.data_dir))


def must(done: Union[Stopped, Written]) -> None:
    """Refuse where this was not done."""
    if not done.ok:
        raise Refused(done.reason)
