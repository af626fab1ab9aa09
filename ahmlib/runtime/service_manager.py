"""Tells the service manager how this daemon does: sd_notify(3), and nothing more of systemd.

    READY=1        the first row was sent: what it says is on disk, and the others may know
    STATUS=        the verdict of `ahm_cluster_status --check`, in one sentence
    RELOADING=1    and READY=1 once the configuration was taken, or refused
    WATCHDOG=1     the loop turns; twice as often as is asked for
    STOPPING=1     it is about to end

Each is one datagram to the UNIX socket of NOTIFY_SOCKET, sent without waiting.  Nothing that goes
wrong with it is a reason to do anything else otherwise.  What must arrive is tried again.

The variables are taken out of the environment: a PostgreSQL that AHM starts would tell the service
manager of itself, in the name of AHM.
"""

import collections
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Callable, Deque, Dict, Mapping, MutableMapping, Optional

if TYPE_CHECKING:
    from ahmlib.runtime.log import Log
    from ahmlib.runtime.loop import Clock

VARIABLES = ('NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID')
#: Between two looks whether the verdict has changed, and before another try.
STATUS_SECONDS = 5.0
RETRY_SECONDS = 1.0
#: Of a verdict; systemctl shows one line.
STATUS_CHARACTERS_MAX = 500
UNSENT_MAX = 8
#: A WATCHDOG_USEC above is what systemd means by "infinity".
USEC_MAX = 2 ** 64 - 2
#: However short the watchdog is: the loop has other things to do.
WATCHDOG_SECONDS_LEAST = 0.05


def take(environ: MutableMapping[str, str]) -> Dict[str, str]:
    """Take the service manager's variables out of an environment, and return them."""
    return {name: environ.pop(name) for name in VARIABLES if name in environ}


class ServiceManager:
    """The service manager of one daemon; without NOTIFY_SOCKET there is none, and nothing is done.

    variables: what `take` returned.  verdict: returns the sentence for STATUS.
    Call `expire(now)` after every round of the loop, and wake up at `next_deadline()`.
    """

    def __init__(self, variables: Mapping[str, str], log: 'Log', clock: 'Clock',
                 verdict: Callable[[], str]) -> None:
        self._log, self._clock, self._verdict = log, clock, verdict
        self._address = self._address_of(variables.get('NOTIFY_SOCKET', ''))
        self._watchdog_seconds = self._watchdog_of(variables)
        self._watchdog_at = self._status_at = self._retry_at = 0.0
        self._is_ready = self._is_reloading = self._is_stopping = self._complained = False
        self._said = ''
        #: What must arrive and has not been sent yet.
        self._unsent: Deque[str] = collections.deque(maxlen=UNSENT_MAX)

    def started(self) -> None:
        """The daemon is up.  Once is enough, more does no harm."""
        if not self._is_ready:
            self._is_ready = True
            self._send('READY=1')

    def reloading(self) -> None:
        """The configuration is being read again."""
        if self._is_ready and not self._is_reloading:
            self._is_reloading = True
            # The service manager compares it with the instant of its own request.
            self._send('RELOADING=1\nMONOTONIC_USEC=%d' % (time.monotonic() * 1e6))

    def reloaded(self) -> None:
        """It was taken, or refused."""
        if self._is_reloading:
            self._is_reloading = False
            self._send('READY=1')

    def stopping(self) -> None:
        """The daemon is about to end.  Once is enough, more does no harm."""
        if not self._is_stopping:
            self._is_stopping = True
            self._send('STOPPING=1')

    def next_deadline(self) -> Optional[float]:
        """The instant at which `expire` has something to do, or None."""
        if self._address is None:
            return None
        instants = [self._status_at]
        if self._watchdog_seconds is not None:
            instants.append(self._watchdog_at)
        if self._unsent:
            instants.append(self._retry_at)
        return min(instants)

    def expire(self, now: float) -> None:
        """Send what is due."""
        if self._address is None:
            return
        if self._watchdog_seconds is not None and now >= self._watchdog_at:
            self._watchdog_at = now + self._watchdog_seconds
            self._sent('WATCHDOG=1')
        if self._unsent and now >= self._retry_at:
            self._send_unsent()
        if now >= self._status_at:
            self._status_at = now + STATUS_SECONDS
            text = ' '.join(self._verdict().split())[:STATUS_CHARACTERS_MAX]
            if text != self._said and self._sent('STATUS=' + text):
                self._said = text

    def _send(self, text: str) -> None:
        """Send what must arrive, in its order."""
        if self._address is not None:
            self._unsent.append(text)
            self._send_unsent()

    def _send_unsent(self) -> None:
        self._retry_at = self._clock() + RETRY_SECONDS
        while self._unsent and self._sent(self._unsent[0]):
            self._unsent.popleft()

    def _sent(self, text: str) -> bool:
        """Send one datagram; returns whether it left."""
        assert self._address is not None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode('utf-8', 'backslashreplace'), self._address)
        except (OSError, ValueError) as error:      # ValueError: no path has such a character
            self._complain('cannot tell the service manager (NOTIFY_SOCKET) how AHM does: %s; AHM '
                           'goes on and tries again' % (getattr(error, 'strerror', None) or error))
            return False
        self._complained = False
        return True

    def _complain(self, text: str) -> None:
        if not self._complained:
            self._complained = True
            self._log.warning('%s', text)

    def _address_of(self, text: str) -> Optional[bytes]:
        """The address of the socket; None: there is none, or none that AHM can reach."""
        if not text:
            return None
        try:
            address = os.fsencode(text)
        except ValueError:
            address = b''
        if len(address) < 2 or address[:1] not in (b'/', b'@'):
            self._log.warning('NOTIFY_SOCKET is %r, expected a path or @ and a name; the service '
                              'manager is told nothing', text)
            return None
        return b'\0' + address[1:] if address[:1] == b'@' else address

    def _watchdog_of(self, variables: Mapping[str, str]) -> Optional[float]:
        """Seconds between two signs of life; None: none are wanted from this process."""
        text, pid = variables.get('WATCHDOG_USEC'), variables.get('WATCHDOG_PID')
        if text is None or self._address is None or pid not in (None, str(os.getpid())):
            return None
        usec = int(text) if re.fullmatch('[0-9]{1,20}', text) else 0
        if not 0 < usec <= USEC_MAX:
            self._log.warning('WATCHDOG_USEC is %r, expected microseconds; the service manager '
                              'gets no signs of life', text)
            return None
        return max(usec / 2e6, WATCHDOG_SECONDS_LEAST)
