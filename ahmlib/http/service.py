"""HTTP put together, for one daemon that has `http_port`."""

from typing import TYPE_CHECKING

from ahmlib.http.server import HttpServer
from ahmlib.http.site import Site

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.runtime.driver import Driver
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock, Loop


class HttpService:
    """The server and the site of a Driver.

    Call `server.expire(now)` after every round of the loop, and wake up at its next_deadline().
    """

    def __init__(self, driver: 'Driver', loop: 'Loop', log: 'Log', clock: 'Clock') -> None:
        self.site = Site(driver, log, clock)
        self.server = HttpServer(loop, log, clock, self.site.answer,
                                 lambda request, code: None)

    def open(self, config: 'Config') -> None:
        """Listen where the configuration says.  Raises IpcError."""
        self.server.open(config.http_port, config.http_listen_address)

    def close(self) -> None:
        """Stop listening, and drop whoever is connected."""
        self.server.close()
