"""What `ahm_check_config --cluster` asks of this node: a check, in a child, one at a time.

Whoever asks while one runs gets the next one, which begins after the question; all who wait share
it.  So nobody makes this host check twice at once, however many ask.
"""

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List

from ahmlib.checking import gather, own

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.runtime.children import Children, Result

Reply = Callable[[Dict[str, Any]], None]


class Checks:
    """Runs the checks that are asked for."""

    def __init__(self, children: 'Children') -> None:
        self._children = children
        self._waiting: List[Reply] = []
        self._runs = False

    def ask(self, config: 'Config', reply: Reply) -> None:
        """Check; `reply(answer)` is called once, never from within."""
        self._waiting.append(reply)
        if not self._runs:
            self._start(config)

    def _start(self, config: 'Config') -> None:
        replies, self._waiting, self._runs = self._waiting, [], True

        def ended(result: 'Result') -> None:
            self._runs = False
            answer = {'ok': False, 'reason': result['reason']} if result.get('ok') is False else {
                'ok': True, 'check': dict(result, clock=time.time())}
            for reply in replies:
                reply(answer)
            if self._waiting:
                self._start(config)
        self._children.start(own.check, (config,), gather.seconds(config), ended, 'the check')
