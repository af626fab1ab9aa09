"""One new connection to a database, with one deadline for everything done on it.

libpq's connect_timeout knows whole seconds and at least two of them, and says nothing about
queries.  So the connection is an asynchronous one, and this module waits for it with poll().
It never waits for a server: closing an asynchronous connection does not block.

**What a session inherits.**  The role, the database, the server, PGOPTIONS and a service file may
set whatever they like, and a healthy server then refuses each of our queries (isolation level
serializable on a standby), ends it (statement_timeout), or answers with something of its own (a
pg_is_in_recovery() in a schema of search_path, another TimeZone).  So each message carries what it
depends on in front of its query: SET LOCAL commands, which hold until the end of that message, as
it is one transaction.  It costs no round trip.  The alternatives do harm: poolers refuse the
startup parameter `options`, and a plain SET through one that pools transactions would stay behind
in a session of the application.  SET needs no snapshot, so it passes where a SELECT would not.

Not set is what nothing depends on: read-only transactions (all that is asked for is allowed in
them, CHECKPOINT too, and a standby refuses to be set to read-write), lc_messages (SQLSTATEs are
read, not texts; only a superuser may), bytea_output and standard_conforming_strings (psycopg2 reads
each form).  Replication connections take no SET; the settings of roles do not apply to them.
"""
import select
import time
from typing import Any, List, Optional, Sequence, Tuple, TypeVar

from ahmlib.database import driver
from ahmlib.process.deadline import Deadline

Row = Tuple[Any, ...]
Arguments = Sequence[Any]
Address = Tuple[str, int]
Self = TypeVar('Self', bound='Connection')

APPLICATION_NAME = 'ahm'

#: In front of each query.  statement_timeout: 0 ends the clock that is running, at the end its own.
ALWAYS = ("SET LOCAL statement_timeout = 0; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
          "SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog, pg_temp; "
          "SET LOCAL lock_timeout = 0; SET LOCAL synchronous_commit = local; "
          "SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL TimeZone = 'UTC'; "
          "SET LOCAL extra_float_digits = 3; ")
#: (from which server_version on, what).  The idle time between two messages is of the session; to
#: leave it unlimited in a pooled one is no harm.
SINCE = ((170000, 'SET LOCAL transaction_timeout = 0; '),
         (140000, 'SET idle_session_timeout = 0; '))
FINALLY = 'SET LOCAL statement_timeout = %d; '
#: A statement that nobody waits for any more (we were killed) is ended by the server after its
#: limit and so many seconds more; else such sessions would pile up while something blocks them.
ABANDONED_SECONDS = 60.0
#: Before, the clock of statement_timeout runs on through all statements of a message.
FIRST_VERSION_THAT_STOPS_THE_CLOCK = 110000
UNKNOWN_PARAMETER, CANCELED, UNDECODABLE = '42704', '57014', '22021'
TRIES = 3                               # of a statement that was cancelled
FIRST_LIBPQ_WITH_ATTRIBUTES = 100000


class ConnectionFailed(Exception):
    """The server could not be reached, refused us, or went away.

    The text is one line without a secret.  `sqlstate` is the server's code, where known;
    `address` the (host, port) libpq was talking to, where known; `is_timeout` is True where
    the deadline came first; `is_told` False where the reason could not be read.
    """

    def __init__(self, reason: str, sqlstate: Optional[str] = None,
                 address: Optional[Address] = None, is_timeout: bool = False,
                 is_told: bool = True) -> None:
        Exception.__init__(self, reason)
        self.sqlstate = sqlstate
        self.address = address
        self.is_timeout = is_timeout
        self.is_told = is_told


class QueryFailed(Exception):
    """The server answered a query with an error; the connection is usable still.

    `sqlstate` is the server's code, e.g. '42501' (insufficient privilege).
    """

    def __init__(self, reason: str, sqlstate: Optional[str]) -> None:
        Exception.__init__(self, reason)
        self.sqlstate = sqlstate


class Connection:
    """A context manager; opened when made.  Each query is a transaction of its own.

    What cannot run in a transaction block (ALTER SYSTEM, VACUUM) cannot be asked here.
    """

    def __init__(self, conn_string: str, limit: float, factory: Optional[type] = None) -> None:
        """Connect within `limit` seconds; the limit goes on to count for the queries.

        `factory` is psycopg2's connection_factory.  Raises ConnectionFailed.
        """
        psycopg2 = self._psycopg2 = driver.load()
        self._deadline = Deadline(limit)
        self._began_at = time.monotonic()
        self._connection: Any = None
        self._preface = self._plain_preface = ''
        try:
            text, self._secret, is_replication = _prepared(conn_string)
        except psycopg2.Error:
            # libpq's message quotes the string, and the string may hold a password.
            raise ConnectionFailed('the connection string is malformed; expected libpq '
                                   'key=value words, of known keys, or a postgresql:// URI')
        try:
            self._connection = psycopg2.connect(text, connection_factory=factory, async_=True)
            self._wait()
            if not is_replication and factory is None:
                self._settle(limit)
        except QueryFailed as error:
            self.close()
            raise ConnectionFailed(str(error), error.sqlstate)
        except psycopg2.Error as error:
            failure = self._failure(error)
            self.close()
            raise failure
        except ConnectionFailed:
            self.close()
            raise

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; never blocks, never raises."""
        try:
            if self._connection is not None:
                self._connection.close()
        except self._psycopg2.Error:
            pass

    def renew(self, limit: float) -> None:
        """Give what follows on this connection a new limit, in seconds."""
        self._deadline = Deadline(limit)

    @property
    def backend_pid(self) -> int:
        """The PID of the server's process for us, as it was told when we connected.

        A pooler tells one of its own making.
        """
        return self._connection.info.backend_pid

    def age(self) -> float:
        """Return the seconds since this connection was begun: its server process is no older."""
        return time.monotonic() - self._began_at

    def query(self, sql: str, arguments: Optional[Arguments] = None) -> List[Row]:
        """Return the rows of `sql`, a list of tuples; with the settings of the module's docstring.

        Raises QueryFailed where the server answers with an error, ConnectionFailed where it
        does not answer in time or the connection is lost.
        """
        tries = 1
        while True:
            try:
                return self._execute(self._preface + sql, arguments)
            except QueryFailed as failure:
                if failure.sqlstate == UNKNOWN_PARAMETER and self._preface != self._plain_preface:
                    self._preface = self._plain_preface     # a derivative that lacks one
                elif failure.sqlstate != CANCELED or tries >= TRIES:
                    raise
                tries += 1

    def _settle(self, limit: float) -> None:
        """Know what goes in front of each query of this server."""
        version = self._connection.server_version
        clock = FINALLY % int(1000 * (limit + ABANDONED_SECONDS))
        self._plain_preface = ALWAYS + clock
        # First of all, for the clock of transaction_timeout runs already, and ends the session.
        self._preface = ''.join(
            text for since, text in SINCE if version >= since) + self._plain_preface
        if 0 < version < FIRST_VERSION_THAT_STOPS_THE_CLOCK:
            self._preface, text = '', self._preface
            self.query(clock.replace('LOCAL ', ''))
            self._preface = text

    def _execute(self, sql: str, arguments: Optional[Arguments]) -> List[Row]:
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql, arguments)
            self._wait()
            return cursor.fetchall() if cursor.description else []
        except UnicodeDecodeError:
            # A setting in a file may hold any bytes; the server passes them on unchecked.
            raise QueryFailed('the answer holds bytes that are not UTF-8', UNDECODABLE)
        except self._psycopg2.Error as error:
            failure = self._failure(error)
            # Class 57P: the server ends our session, it does not refuse a statement.
            if failure.sqlstate and not failure.sqlstate.startswith('57P') \
                    and not self._connection.closed:
                raise QueryFailed(str(failure), failure.sqlstate)
            raise failure

    def value(self, sql: str, arguments: Optional[Arguments] = None) -> Any:
        """Return the only value of the first row of `sql`, None without rows; raises as query."""
        rows = self.query(sql, arguments)
        return rows[0][0] if rows else None

    def _wait(self) -> None:
        extensions = self._psycopg2.extensions
        wanted = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
        while True:
            try:
                state = self._connection.poll()
            except UnicodeDecodeError:
                # With Python 3.13 psycopg2 raises that in place of leaving out the message.
                raise ConnectionFailed('', address=self._address(), is_told=False)
            if state == extensions.POLL_OK:
                return
            poller = select.poll()              # libpq may change its socket between polls
            poller.register(self._connection.fileno(), wanted[state])
            if not poller.poll(self._deadline.remaining() * 1000 + 1) \
                    and self._deadline.is_over():
                raise ConnectionFailed('no answer within %.3g s' % self._deadline.limit,
                                       address=self._address(), is_timeout=True)

    def _address(self) -> Optional[Address]:
        try:
            info = self._connection.info
            return info.dsn_parameters.get('hostaddr') or info.host, info.port
        except (AttributeError, self._psycopg2.Error):
            return None

    def _failure(self, error: Any) -> ConnectionFailed:
        # psycopg2 leaves out a message that is not UTF-8, as one may be before the encoding is
        # agreed on.
        text = str(error)
        return ConnectionFailed(one_line(text, self._secret), error.pgcode, self._address(),
                                is_told=bool(text.strip()))


def one_line(text: str, secret: Optional[str] = None) -> str:
    """Return `text` as one line of at most 300 characters, with `secret` blotted out."""
    line = '; '.join(part.strip() for part in text.splitlines() if part.strip())
    if secret:
        line = line.replace(secret, '***')
    return line[:300] or 'no reason given'


def _prepared(conn_string: str) -> Tuple[str, Optional[str], bool]:
    """Return (the string libpq gets, the password in it or None, whether it is for replication)."""
    psycopg2 = driver.load()
    make_dsn, parse_dsn = psycopg2.extensions.make_dsn, psycopg2.extensions.parse_dsn
    words = parse_dsn(conn_string)
    # Asked for in a shared conn_string, the environment or a service file it would make a standby
    # look dead.
    words.pop('target_session_attrs', None)
    if psycopg2.__libpq_version__ >= FIRST_LIBPQ_WITH_ATTRIBUTES:
        words['target_session_attrs'] = 'any'
    words.setdefault('application_name', APPLICATION_NAME)
    words['client_encoding'] = 'UTF8'
    return make_dsn(**words), words.get('password'), bool(words.get('replication'))
