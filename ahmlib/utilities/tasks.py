"""Asking a node for something that takes a while, and watching it to its end.

The daemon names the task by a number; the utility looks again and again until it is done or has
failed.  A daemon that does not answer in between is asked again for a while: the VIP, or the host,
may just be on the move.  Whatever ends the waiting, the task was begun and goes on without it.
"""

import time
from typing import Iterator

from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common
from ahmlib.utilities.common import Args

LOOK_SECONDS = 0.2
SILENCE_SECONDS = 30.0


def succeed(info: str) -> int:
    """Print what the manual's utilities print on success."""
    common.put('Command Success')
    common.put('Info: %s' % info)
    return common.OK


def wait(args: Args, number: int, progress: bool) -> Message:
    """Wait for the end of this task; print its steps if `progress`.  Raises Failure.

    Returns the task as it was at its end.
    """
    try:
        for task in _looks(args, number, progress):
            if task.get('state') == 'failed':
                raise common.Failure(task.get('reason') or 'the daemon gave no reason')
            if task.get('state') == 'done':
                return task
            time.sleep(LOOK_SECONDS)
        raise AssertionError('the looks at a task come to no end by themselves')
    except KeyboardInterrupt:
        raise common.Failure('interrupted; what was asked for goes on: see ahm_cluster_status, and '
                             'the log of the daemon')


def _looks(args: Args, number: int, progress: bool) -> Iterator[Message]:
    """The task, again and again, as the daemon has it."""
    shown, heard_at = None, time.monotonic()
    while True:
        try:
            task = _task_in(common.ask(args, {'ask': 'task', 'task': number}))
        except (client.NoDaemon, client.ProtocolError) as error:
            if time.monotonic() > heard_at + SILENCE_SECONDS:
                raise common.Failure(
                    'the daemon took the request and has not answered for %g s (%s): what became '
                    'of it is in its log, and in ahm_cluster_status' % (SILENCE_SECONDS, error))
            time.sleep(LOOK_SECONDS)
            continue
        heard_at = time.monotonic()
        if progress and task.get('step') != shown:
            shown = task.get('step')
            common.put('%s: %s' % (task.get('name'), common.printable(str(shown))))
        yield task


def _task_in(answer: Message) -> Message:
    task = answer.get('task')
    if not isinstance(task, dict) or not isinstance(task.get('number'), int):
        raise client.ProtocolError('the answer holds no task; is an AHM daemon of this version'
                                   ' listening there?')
    return task


def number_of(answer: Message) -> int:
    """The number of the task in an answer to what began it."""
    return _task_in(answer)['number']
