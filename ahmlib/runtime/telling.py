"""What the core reports, told to people: a line in the log, and the operator's command.

`repeats` says which report is news. What is none is in the log at DEBUG only.
"""

import re
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable

from ahmlib.runtime.hooks import NOTIFICATIONS_MAX, HookQueue
from ahmlib.runtime.repeats import Repeats, Told

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.core.node import Node
    from ahmlib.runtime.children import Result
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock

NOTIFY_FROM = ('NOTICE', 'WARNING', 'ERROR', 'CRITICAL')


class Telling:
    """Log and notification_command of one driver.

    `start` is `Children.start`. Call `expire(now)` after every round of the loop.
    """

    def __init__(self, node: 'Node', start: Callable[..., Any], log: 'Log', clock: 'Clock') -> None:
        self.config: Config         # given by the driver
        self._node, self._log, self._clock = node, log, clock
        self._repeats = Repeats()
        self._queue = HookQueue(start, NOTIFICATIONS_MAX)
        self.next_deadline = self._repeats.next_deadline

    def report(self, severity: str, event: str, text: str) -> bool:
        """Tell it, unless it was told a moment ago; whether it was news."""
        names = {name for name in self._node.names if name}
        told = self._repeats.take(severity, event, text, self._clock(), names)
        is_news = (severity, event) in [line[:2] for line in told]
        if not is_news:
            self._log.debug('%s: %s', event, text)
        self._tell(told)
        return is_news

    def expire(self, now: float) -> None:
        """Tell what is over."""
        self._tell(self._repeats.expire(now))

    def _tell(self, lines: Iterable[Told]) -> None:
        for severity, event, text in lines:
            self._log.write(severity, '%s: %s' % (event, text))
            command = self.config.notification_command
            if command and severity in NOTIFY_FROM:
                environment = _notified_of(self._node, re.sub('[^A-Z]', '_', event.upper()))
                environment.update(AHM_SEVERITY=severity, AHM_MESSAGE=text)
                self._queue.add('notification_command', command, environment,
                                self.config.hook_timeout_seconds, self._notified)

    def _notified(self, result: 'Result') -> None:
        if not result.get('ok') and self._log.bounded('notification', 60.0):
            self._log.error('notification_command failed: %s' % result.get('reason', 'it failed'))


def _notified_of(node: 'Node', event: str) -> Dict[str, str]:
    """The variables of a notification, as a dict: the new primary is whoever leads, or nobody."""
    row = node.leader_row()
    leader = node.own if node.leads else row.sender if row is not None else None
    variables = dict(node.variables(event, leader))
    if leader is None:
        variables.update(AHM_NEW_PRIMARY_NAME='', AHM_NEW_PRIMARY_HOST='')
    return variables
