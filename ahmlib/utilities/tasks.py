"""Asking a node for something that takes a while, and watching it to its end.

The daemon names the task by a number; the utility looks again and again until it is done or has
failed.  A daemon that does not answer once in between is asked again for a while: the VIP, or the
host, may just be on the move.
"""

import time

from ahmlib.ipc import client
from ahmlib.utilities import common

LOOK_SECONDS = 0.2
SILENCE_SECONDS = 30.0


def succeed(info):
    """Print what the manual's utilities print on success."""
    common.put('Command Success')
    common.put('Info: %s' % info)
    return common.OK


def wait(args, number, progress):
    """Wait for the end of this task; print its steps if `progress`.  Raises Failure."""
    shown, heard_at = None, time.monotonic()
    while True:
        try:
            task = common.ask(args, {'ask': 'task', 'task': number}).get('task')
            heard_at = time.monotonic()
        except client.NoDaemon:
            if time.monotonic() > heard_at + SILENCE_SECONDS:
                raise
            time.sleep(LOOK_SECONDS)
            continue
        if not isinstance(task, dict):
            raise client.ProtocolError('the answer holds no task; is an AHM daemon of this version'
                                       ' listening there?')
        if progress and task.get('step') != shown:
            shown = task.get('step')
            common.put('%s: %s' % (task.get('name'), common.printable(str(shown))))
        if task.get('state') == 'failed':
            raise common.Failure(task.get('reason') or 'the daemon gave no reason')
        if task.get('state') == 'done':
            return
        time.sleep(LOOK_SECONDS)


def number_of(answer):
    """The number of the task in an answer to what began it."""
    task = answer.get('task')
    if not isinstance(task, dict) or not isinstance(task.get('number'), int):
        raise client.ProtocolError('the answer holds no task; is an AHM daemon of this version'
                                   ' listening there?')
    return task['number']
