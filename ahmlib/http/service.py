"""HTTP put together, for one daemon that has `http_port`."""

from typing import TYPE_CHECKING, Any, Dict, Optional

from ahmlib.http.counters import Counters
from ahmlib.http.looks import WalLooks
from ahmlib.http.server import HttpServer
from ahmlib.http.site import Site

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.runtime.driver import Driver
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock, Loop
    from ahmlib.runtime.reload import Reload


class HttpService:
    """The server and the site of a Driver, and what is counted for it.

    Call `expire(now)` after every round of the loop, and wake up at `next_deadline()`.
    """

    def __init__(self, driver: 'Driver', reload: 'Reload', loop: 'Loop', log: 'Log',
                 clock: 'Clock') -> None:
        self.counters = Counters(driver)
        self.looks = WalLooks(driver, clock)
        self.site = Site(driver, self.counters, self.looks, reload, loop, log, clock)
        self.server = HttpServer(loop, log, clock, self.site.answer, self.site.answered)
        driver.watch = self.counters.watch
        if driver.history is not None:
            driver.history.watch = self.counters.kept
        self._reply, driver.answer = driver.answer, self._answer

    def open(self, config: 'Config') -> None:
        """Listen where the configuration says.  Raises IpcError."""
        self.server.open(config.http_port, config.http_listen_address)

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        found = [self.server.next_deadline(), self.looks.next_deadline()]
        return min((instant for instant in found if instant is not None), default=None)

    def expire(self, now: float) -> None:
        """Drop the clients that were too slow, and look at what is due."""
        self.server.expire(now)
        self.looks.expire(now)

    def close(self) -> None:
        """Stop listening, and drop whoever is connected."""
        self.server.close()

    def _answer(self, client: Any, message: Dict[str, Any]) -> Any:
        """Answer a utility, and count that."""
        self.counters.answered(client, message)
        return self._reply(client, message)
