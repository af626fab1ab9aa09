"""The loopback lab's virtual IP: a TCP relay that leads from the VIP to the local database.

Every 127.x address is local on every node of a loopback lab, so an address cannot be raised or
dropped.  What a client sees of a VIP can: with the relay up, connections to the VIP reach this
node's database; with it down, they are refused, and those that were open are cut.  The kernel lets
only one relay listen, as only one host should hold a VIP; a second `up` fails.

Usage:
  relay up    --listen IP:PORT --to IP:PORT --pid-file FILE   start it; returns once it listens
  relay down  --pid-file FILE                                 stop it; its connections break
  relay run   --listen IP:PORT --to IP:PORT --pid-file FILE   what `up` starts
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Dict, Optional, Sequence, Tuple

from ahmlib.lab import procfs

Endpoint = Tuple[str, int]

START_LIMIT = 10.0
CONNECT_LIMIT = 3.0
CHUNK = 65536


def parse_endpoint(text: str) -> Endpoint:
    """('127.77.0.1', 5432) from '127.77.0.1:5432'."""
    address, _, port = text.rpartition(':')
    return address, int(port)


def running_pid(pid_file: str) -> Optional[int]:
    """The id of the relay that wrote `pid_file`; None where it does not run any more."""
    try:
        with open(pid_file) as file:
            pid = int(file.read())
    except (OSError, ValueError):
        return None
    words = procfs.command_line(pid)
    return pid if 'run' in words and pid_file in words else None


def up(options: Dict[str, str]) -> int:
    """Start a relay that outlives this process; 0 once it listens, 1 with the reason."""
    pid_file = options['--pid-file']
    if running_pid(pid_file) is not None:
        return 0
    log = pid_file + '.log'
    argv = [sys.executable, '-m', 'ahmlib.lab.relay', 'run', '--listen', options['--listen'],
            '--to', options['--to'], '--pid-file', pid_file]
    with open(log, 'w') as output:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 start_new_session=True)
    deadline = time.monotonic() + START_LIMIT
    while child.poll() is None and time.monotonic() < deadline:
        if running_pid(pid_file) == child.pid:
            return 0
        time.sleep(0.005)
    child.kill()
    child.wait()
    with open(log) as file:
        sys.stderr.write('relay did not start: %s\n' % file.read().strip())
    return 1


def down(options: Dict[str, str]) -> int:
    """Stop the relay and wait until it is gone; no relay is no error."""
    pid_file = options['--pid-file']
    pid = running_pid(pid_file)
    if pid is None:
        return 0
    procfs.send(pid, signal.SIGKILL)
    deadline = time.monotonic() + START_LIMIT
    while running_pid(pid_file) == pid:
        if time.monotonic() > deadline:
            sys.stderr.write('relay %d does not end\n' % pid)
            return 1
        time.sleep(0.005)
    try:
        os.unlink(pid_file)
    except FileNotFoundError:
        pass
    return 0


def run(options: Dict[str, str]) -> int:
    """Listen and relay until killed."""
    target = parse_endpoint(options['--to'])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(parse_endpoint(options['--listen']))
    except OSError as error:
        sys.stderr.write('cannot listen on %s: %s\n' % (options['--listen'], error.strerror))
        return 1
    listener.listen(64)
    temporary = options['--pid-file'] + '.new'
    with open(temporary, 'w') as file:
        file.write('%d\n' % os.getpid())
    os.rename(temporary, options['--pid-file'])
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, target), daemon=True).start()


def _serve(client: socket.socket, target: Endpoint) -> None:
    """Carry bytes both ways until either side ends; then both are closed."""
    with client:
        try:
            server = socket.create_connection(target, CONNECT_LIMIT)
        except OSError:
            return
        with server:
            server.settimeout(None)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            data = source.recv(CHUNK)
            if not data:
                break
            target.sendall(data)
    except OSError:
        pass
    # Neither side of PostgreSQL's protocol lives on with half a connection.
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main(words: Sequence[str]) -> int:
    """Run one of the commands above; returns the exit code."""
    commands = {'up': up, 'down': down, 'run': run}
    if not words or words[0] not in commands or len(words) % 2 == 0:
        sys.stderr.write(__doc__.partition('Usage:')[2])
        return 2
    return commands[words[0]](dict(zip(words[1::2], words[2::2])))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
