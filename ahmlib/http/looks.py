"""Now and then a child looks at the WAL directory, for monitors (database.monitored).

Nothing waits for it: pages tell what the newest look found.  It looks again at once where the
database has come to another timeline.  A directory that does not answer is looked at more and more
seldom, for a process that hangs in the kernel stays there.
"""

from typing import TYPE_CHECKING, Any, Dict, Optional

from ahmlib.database.monitored import Ended, Monitored, look

if TYPE_CHECKING:
    from ahmlib.runtime.driver import Driver
    from ahmlib.runtime.loop import Clock

LOOK_SECONDS, LIMIT_SECONDS = 30.0, 5.0
PAUSE_SECONDS_MAX = 3600.0


class WalLooks:
    """The looks of one daemon.

    found: what the newest one found that succeeded, not `ok` where it was not the newest of all;
    None before the first one, and on a witness.
    Call `expire(now)` after every round of the loop, and wake up at `next_deadline()`.
    """

    def __init__(self, driver: 'Driver', clock: 'Clock') -> None:
        self.found: Optional[Monitored] = None
        self._driver, self._clock = driver, clock
        self._at, self._pause = clock(), LOOK_SECONDS
        self._timeline = 0          # of the newest look
        self._is_looking = driver.node.facts.settings.witness       # a witness never does

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        return None if self._is_looking else self._at

    def expire(self, now: float) -> None:
        """Look, where that is due."""
        timeline = self._driver.node.parts.database.timeline
        if self._is_looking or now < self._at and timeline == self._timeline:
            return
        self._is_looking, self._timeline = True, timeline
        self._driver.children.start(look, (self._driver.database.db_data_dir, timeline),
                                    LIMIT_SECONDS, self._ended, 'a look at the WAL directory')

    def _ended(self, result: Dict[str, Any]) -> None:
        self._is_looking = False
        if result.get('ok'):
            self._pause = LOOK_SECONDS
            self.found = Monitored(True, '', result['timeline'], result['free_bytes'],
                                   tuple(Ended(**each) for each in result['ended']))
        else:
            self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
            self.found = self.found and self.found._replace(ok=False)
        self._at = self._clock() + self._pause
