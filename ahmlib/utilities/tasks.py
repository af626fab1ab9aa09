"""Asking a node for something that takes a while, and watching it to its end.

The daemon names the task by a number; the utility looks again and again until it is done or has
failed.  A daemon that does not answer in between is asked again for a while: the VIP, or the host,
may just be on the move.  Whatever ends the waiting, the task was begun and goes on without it.
"""

import time
from typing import Any, Dict, Iterator, List

from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common
from ahmlib.utilities.common import Args
from ahmlib.utilities.progress import Progress, without_figures

LOOK_SECONDS = 0.2
SILENCE_SECONDS = 30.0


def wait(args: Args, answer: Message, shows: bool) -> Dict[str, Any]:
    """Wait for the end of the task in `answer`; print its steps if `shows`.  Raises Failure.

    Returns what --json tells of it: its steps, and the seconds that all of it took.
    """
    begun = _task_in(answer)
    steps: List[Dict[str, Any]] = []
    try:
        with Progress(str(begun.get('name') or 'waiting')) as progress:
            for task in _looks(args, begun['number']):
                _note(task, steps, progress, shows and not args['--json'])
                if task.get('state') == 'failed':
                    raise common.Failure(task.get('reason') or 'the daemon gave no reason')
                if task.get('state') == 'done':
                    return {'steps': steps, 'seconds': round(progress.seconds(), 1)}
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        raise common.Failure('interrupted; what was asked for goes on: see ahm_cluster_status, and '
                             'the log of the daemon')
    raise AssertionError('looking has no end of its own')


def _note(task: Message, steps: List[Dict[str, Any]], progress: Progress, prints: bool) -> None:
    """Keep the step of a task, where it is a new one and not the same with other figures."""
    step = str(task.get('step'))
    progress.step = step
    if steps and without_figures(steps[-1]['text']) == without_figures(step):
        steps[-1]['text'] = step
        return
    steps.append({'text': step, 'at_seconds': round(progress.seconds(), 1)})
    if prints:
        progress.say('%s: %s' % (task.get('name'), common.printable(step)))


def _looks(args: Args, number: int) -> Iterator[Message]:
    """The task, again and again, as the daemon has it."""
    heard_at = time.monotonic()
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
        yield task


def _task_in(answer: Message) -> Message:
    task = answer.get('task')
    if not isinstance(task, dict) or not isinstance(task.get('number'), int):
        raise client.ProtocolError('the answer holds no task; is an AHM daemon of this version'
                                   ' listening there?')
    return task
