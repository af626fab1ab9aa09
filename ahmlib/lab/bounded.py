"""A database connection on which nothing takes longer than it may.

A black-holed server, a stopped postmaster or a commit that waits for a standby answers nothing, and
libpq waits for ever.  So connect and every statement run asynchronously and are given up at a
deadline.  Connections of this kind are always in autocommit mode.
"""
import select
import time
from typing import Any, List, Tuple

import psycopg2
import psycopg2.extensions


class TimedOut(Exception):
    """The server did not answer in time: whether it did what it was asked to is unknown."""


class BoundedConnection:
    """One libpq connection whose connect and statements take at most `limit` seconds each.

    Raises psycopg2.Error for what the server or the network refuses, TimedOut for silence.
    """

    def __init__(self, conninfo: str, limit: float) -> None:
        self.limit = limit
        self.connection = psycopg2.connect(conninfo, async_=1)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + self.limit
        while True:
            wanted = self.connection.poll()
            if wanted == psycopg2.extensions.POLL_OK:
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut('no answer within %g s' % self.limit)
            files = [self.connection.fileno()]
            if wanted == psycopg2.extensions.POLL_READ:
                select.select(files, [], [], left)
            else:
                select.select([], files, [], left)

    def execute(self, statement: str, arguments: Any = None) -> List[Tuple[Any, ...]]:
        """Run one statement; returns its rows as a list of tuples, empty where it has none."""
        cursor = self.connection.cursor()
        cursor.execute(statement, arguments)
        self._wait()
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self.connection.close()
