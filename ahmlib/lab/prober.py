"""The prober that knows which server accepts writes: an INSERT everywhere, every 50 ms.

It goes through each server's UNIX socket, which no fault of the network stops: so it sees what an
isolated primary would still acknowledge to a client on its side, and when it stopped.  A server's
read-only standby refuses; a stopped one refuses the connection; a frozen one costs at most a
second.  One thread a server, one connection each; records as the client's (client.py).

Usage: prober --record FILE --server NAME=CONNINFO [--server NAME=CONNINFO ...]
              [--interval SECONDS] [--limit SECONDS]
"""
import sys
import threading
from typing import Sequence

from ahmlib.lab.client import LIMIT, Row, Writer, end_on_sigterm, options, write_until_ended

TABLE = ('CREATE TABLE lab_probes (server text, n bigint, '
         'at timestamptz DEFAULT clock_timestamp())')
INSERT = ("INSERT INTO lab_probes (server, n) VALUES (current_setting('cluster_name'), %s) "
          "RETURNING current_setting('cluster_name')")
INTERVAL = 0.05


class Probe(Writer):
    """A Writer that names the server it tried also where that did not accept."""

    def __init__(self, server: str, conninfo: str, limit: float) -> None:
        Writer.__init__(self, conninfo, INSERT, limit)
        self.server = server

    def write(self, number: int) -> Row:
        """Try one INSERT; returns its record."""
        return dict(Writer.write(self, number), server=self.server)


def main(words: Sequence[str]) -> int:
    """Probe until SIGTERM; returns the exit code."""
    pairs = list(zip(words[::2], words[1::2]))
    servers = [value.partition('=')[::2] for name, value in pairs if name == '--server']
    given = options(words)
    if not servers or '--record' not in given:
        sys.stderr.write(__doc__.rpartition('\n\n')[2])
        return 2
    ended = end_on_sigterm()
    interval = float(given.get('--interval', INTERVAL))
    with open(given['--record'], 'a', buffering=1) as file:
        threads = []
        for name, conninfo in servers:
            probe = Probe(name, conninfo, float(given.get('--limit', LIMIT)))
            threads.append(threading.Thread(target=write_until_ended,
                                            args=(probe, file, interval, ended)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
