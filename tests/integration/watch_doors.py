"""Run on a host of the lab: who answers 200 at /primary, asked all the time.

    watch_doors.py FILE NAME=ADDRESS:PORT ...

Each check becomes a line of JSON: [began, ended, NAME, status or null], by CLOCK_MONOTONIC.  It
needs nothing but the standard library, for it is given to an interpreter as a text.
"""

import json
import socket
import sys
import threading
import time

CHECK = b'OPTIONS / HTTP/1.0\r\n\r\n'
LIMIT = 1.0
PAUSE = 0.03


def ask(host, port):
    """The status that this door answers; None where it does not answer."""
    try:
        with socket.create_connection((host, int(port)), LIMIT) as connection:
            connection.sendall(CHECK)
            data = connection.recv(4096)
        return int(data.split()[1]) if data.startswith(b'HTTP/1.1 ') else None
    except OSError:
        return None


def watch(file, name, address):
    """Ask one door until the end of this process."""
    host, _, port = address.rpartition(':')
    while True:
        began = time.monotonic()
        code = ask(host, port)
        file.write(json.dumps([began, time.monotonic(), name, code]) + '\n')
        time.sleep(PAUSE)


def main(path, *doors):
    """Ask all of them side by side."""
    with open(path, 'a', buffering=1) as file:
        threads = [threading.Thread(target=watch, args=(file,) + tuple(door.split('=')))
                   for door in doors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == '__main__':
    main(*sys.argv[1:])
