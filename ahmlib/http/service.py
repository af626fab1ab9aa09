"""HTTP put together, for one daemon that has `http_port`."""

from typing import TYPE_CHECKING, Any, Dict

from ahmlib.http.counters import Counters
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

    Call `server.expire(now)` after every round of the loop, and wake up at its next_deadline().
    """

    def __init__(self, driver: 'Driver', reload: 'Reload', loop: 'Loop', log: 'Log',
                 clock: 'Clock') -> None:
        self.counters = Counters(driver)
        self.site = Site(driver, self.counters, reload, loop, log, clock)
        self.server = HttpServer(loop, log, clock, self.site.answer, self.site.answered)
        driver.watch = self.counters.watch
        self._reply, driver.answer = driver.answer, self._answer

    def open(self, config: 'Config') -> None:
        """Listen where the configuration says.  Raises IpcError."""
        self.server.open(config.http_port, config.http_listen_address)

    def close(self) -> None:
        """Stop listening, and drop whoever is connected."""
        self.server.close()

    def _answer(self, client: Any, message: Dict[str, Any]) -> Any:
        """Answer a utility, and count that."""
        self.counters.answered(client, message)
        return self._reply(client, message)
