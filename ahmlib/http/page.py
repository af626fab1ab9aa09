"""The live page: one file, read once, and the policy that lets nothing else run in it.

Script and style stand in the file itself.  Browsers run them for their hashes, which are computed
here from what was read: so no text of a stranger becomes a script, even if it got into the page.
"""

import base64
import hashlib
import os
import re
from typing import List, NamedTuple

from ahmlib.http.response import Response
from ahmlib.ipc.listeners import IpcError

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ui.html')
KIND = 'text/html; charset=utf-8'
_INLINE = re.compile(r'<(script|style)>(.*?)</\1>', re.DOTALL)


class Page(NamedTuple):
    """The page; `digest` tells one version of it from another."""

    body: bytes
    policy: str
    digest: str

    def response(self, code: int) -> Response:
        """It as an answer."""
        return Response(code, self.body, KIND, (('Content-Security-Policy', self.policy),
                                                ('Referrer-Policy', 'no-referrer')))


def load(path: str = PATH) -> Page:
    """Read it, at the start; raises IpcError where it is not there."""
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise IpcError('http_port: the page %s cannot be read: %s; install AHM anew, or leave '
                       'http_port out' % (path, error))
    return Page(text.encode('utf-8'), _policy(text),
                hashlib.sha256(text.encode('utf-8')).hexdigest()[:16])


def _policy(text: str) -> str:
    """What the page may do: run what stands in it, ask this server, and draw its own icon."""
    return '; '.join([
        "default-src 'none'", "connect-src 'self'", 'img-src data:',
        'script-src ' + ' '.join(_hashes(text, 'script')),
        'style-src ' + ' '.join(_hashes(text, 'style')),
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])


def _hashes(text: str, kind: str) -> List[str]:
    return ["'sha256-%s'" % base64.b64encode(hashlib.sha256(inside.encode('utf-8')).digest())
            .decode('ascii') for tag, inside in _INLINE.findall(text) if tag == kind]
