"""One new connection to a database, with one deadline for everything done on it.

libpq's connect_timeout knows whole seconds and at least two of them, and says nothing about
queries.  So the connection is an asynchronous one, and this module waits for it with poll().
It never waits for a server: closing an asynchronous connection does not block.
"""
import select

from ahmlib.database.deadline import Deadline

APPLICATION_NAME = 'ahm'


class ConnectionFailed(Exception):
    """The server could not be reached, refused us, or went away.

    The text is one line without a secret.  `sqlstate` is the server's code, where known;
    `address` the (host, port) libpq was talking to, where known; `is_timeout` is True where
    the deadline came first.
    """

    def __init__(self, reason, sqlstate=None, address=None, is_timeout=False):
        Exception.__init__(self, reason)
        self.sqlstate = sqlstate
        self.address = address
        self.is_timeout = is_timeout


class QueryFailed(Exception):
    """The server answered a query with an error; the connection is usable still.

    `sqlstate` is the server's code, e.g. '42501' (insufficient privilege).
    """

    def __init__(self, reason, sqlstate):
        Exception.__init__(self, reason)
        self.sqlstate = sqlstate


class Connection(object):
    """A context manager; opened when made.  Autocommit, as asynchronous connections are."""

    def __init__(self, conn_string, limit, factory=None):
        """Connect within `limit` seconds; the limit goes on to count for the queries.

        `factory` is psycopg2's connection_factory.  Raises ConnectionFailed.
        """
        import psycopg2
        import psycopg2.extensions
        self._psycopg2 = psycopg2
        self._deadline = Deadline(limit)
        self._connection = None
        try:
            text, self._secret = _prepared(conn_string)
        except psycopg2.Error:
            # libpq's message quotes the string, and the string may hold a password.
            raise ConnectionFailed('the connection string is malformed; expected libpq '
                                   'key=value words, of known keys, or a postgresql:// URI')
        try:
            self._connection = psycopg2.connect(text, connection_factory=factory, async_=True)
            self._wait()
        except psycopg2.Error as error:
            failure = self._failure(error)
            self.close()
            raise failure
        except ConnectionFailed:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Close the connection; never blocks, never raises."""
        try:
            if self._connection is not None:
                self._connection.close()
        except self._psycopg2.Error:
            pass

    def renew(self, limit):
        """Give what follows on this connection a new limit, in seconds."""
        self._deadline = Deadline(limit)

    def query(self, sql, arguments=None):
        """Return the rows of `sql`, a list of tuples.

        Raises QueryFailed where the server answers with an error, ConnectionFailed where it
        does not answer in time or the connection is lost.
        """
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql, arguments)
            self._wait()
            return cursor.fetchall() if cursor.description else []
        except self._psycopg2.Error as error:
            failure = self._failure(error)
            # Class 57P: the server ends our session, it does not refuse a statement.
            if failure.sqlstate and not failure.sqlstate.startswith('57P') \
                    and not self._connection.closed:
                raise QueryFailed(str(failure), failure.sqlstate)
            raise failure

    def value(self, sql, arguments=None):
        """Return the only value of the first row of `sql`, None without rows; raises as query."""
        rows = self.query(sql, arguments)
        return rows[0][0] if rows else None

    def _wait(self):
        extensions = self._psycopg2.extensions
        wanted = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
        while True:
            state = self._connection.poll()
            if state == extensions.POLL_OK:
                return
            poller = select.poll()              # libpq may change its socket between polls
            poller.register(self._connection.fileno(), wanted[state])
            if not poller.poll(self._deadline.remaining() * 1000 + 1) \
                    and self._deadline.is_over():
                raise ConnectionFailed('no answer within %.3g s' % self._deadline.limit,
                                       address=self._address(), is_timeout=True)

    def _address(self):
        try:
            info = self._connection.info
            return info.dsn_parameters.get('hostaddr') or info.host, info.port
        except (AttributeError, self._psycopg2.Error):
            return None

    def _failure(self, error):
        return ConnectionFailed(one_line(str(error), self._secret), error.pgcode,
                                self._address())


def one_line(text, secret=None):
    """Return `text` as one line of at most 300 characters, with `secret` blotted out."""
    line = '; '.join(part.strip() for part in text.splitlines() if part.strip())
    if secret:
        line = line.replace(secret, '***')
    return line[:300] or 'no reason given'


def _prepared(conn_string):
    """Return (the string libpq gets, the password in it or None)."""
    from psycopg2.extensions import make_dsn, parse_dsn
    words = parse_dsn(conn_string)
    # Asked for in a shared conn_string it would make a standby look dead.
    words.pop('target_session_attrs', None)
    words.setdefault('application_name', APPLICATION_NAME)
    return make_dsn(**words), words.get('password')
