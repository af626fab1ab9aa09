"""The client whose writes are counted: one row every 20 ms through the VIP.

Run as a process of its own (`python3 -m ahmlib.lab.client`), in a namespace of its own where the
lab has namespaces.  Every attempt has its own id and becomes one line of JSON:

    {"began": s, "t": s, "id": n, "result": "ok" | "fail" | "unknown", "server": name or null}

`began` and `t` are CLOCK_MONOTONIC before and after.  "ok" is an acknowledged commit, and `server`
is the cluster_name of the server that acknowledged it, said in the same answer.  "fail" was refused
or never sent.  "unknown" was sent and not answered: it may be in the database or not, and a record
that called it lost or kept would lie.  Connect and statement take at most --limit seconds each.

Usage: client --conninfo TEXT --record FILE [--first ID] [--interval SECONDS] [--limit SECONDS]
"""
import json
import select
import signal
import sys
import time
from typing import IO, Any, Callable, Dict, Optional, Sequence

import psycopg2

from ahmlib.lab.bounded import BoundedConnection, TimedOut

Row = Dict[str, Any]             # of a record

TABLE = 'CREATE TABLE lab_rows (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())'
INSERT = "INSERT INTO lab_rows (id) VALUES (%s) RETURNING current_setting('cluster_name')"
INTERVAL = 0.02
LIMIT = 1.0


class Writer:
    """Inserts rows one by one and says of each what became of it; reconnects after any error."""

    def __init__(self, conninfo: str, statement: str, limit: float = LIMIT) -> None:
        self.conninfo = conninfo
        self.statement = statement
        self.limit = limit
        self.connection: Optional[BoundedConnection] = None

    def write(self, number: int) -> Row:
        """Insert the row of this number; returns its record as a dict (see above)."""
        record: Row = {'began': time.monotonic(), 'id': number, 'server': None}
        record['result'] = self._attempt(number, record)
        record['t'] = time.monotonic()
        return record

    def _attempt(self, number: int, record: Row) -> str:
        try:
            if self.connection is None:
                self.connection = BoundedConnection(self.conninfo, self.limit)
        except (psycopg2.Error, TimedOut) as error:
            record['error'] = str(error).strip()
            return 'fail'
        try:
            rows = self.connection.execute(self.statement, (number,))
            record['server'] = rows[0][0]
            return 'ok'
        except (psycopg2.Error, TimedOut) as error:
            record['error'] = str(error).strip()
            self.close()
            # A refusal has an SQLSTATE, and nothing was committed.  Shutdowns (57P..) have one
            # too, but may come after the commit, in the place of its answer.
            code = getattr(error, 'pgcode', None)
            return 'fail' if code and not code.startswith('57P') else 'unknown'

    def close(self) -> None:
        """Drop the connection; the next write makes a new one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None




def write_until_ended(writer: Writer, file: IO[str], interval: float, ended: Callable[[], bool],
                      first: int = 1) -> None:
    """Write rows `first`, `first` + 1, ... `interval` seconds apart until ended() is true.

    Each attempt is a line in `file`.

    Attempts that took too long are not made up for: a burst would hide how long it took.
    """
    number = first
    due = time.monotonic()
    while not ended():
        file.write(json.dumps(writer.write(number), sort_keys=True) + '\n')
        number += 1
        due = max(due + interval, time.monotonic())
        select.select([], [], [], max(0.0, due - time.monotonic()))
    writer.close()


def end_on_sigterm() -> Callable[[], bool]:
    """A function that says whether SIGTERM or SIGINT has come since."""
    came = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: came.append(True))
    return lambda: bool(came)


def options(words: Sequence[str]) -> Dict[str, str]:
    """{'--name': value} from a command line of pairs."""
    return dict(zip(words[::2], words[1::2]))


def main(words: Sequence[str]) -> int:
    """Write until SIGTERM; returns the exit code."""
    given = options(words)
    if '--conninfo' not in given or '--record' not in given:
        sys.stderr.write(__doc__.rpartition('\n\n')[2])
        return 2
    ended = end_on_sigterm()
    writer = Writer(given['--conninfo'], INSERT, float(given.get('--limit', LIMIT)))
    # Line by line, so that what a killed client recorded is there to be read.
    with open(given['--record'], 'a', buffering=1) as file:
        write_until_ended(writer, file, float(given.get('--interval', INTERVAL)), ended,
                          int(given.get('--first', 1)))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
