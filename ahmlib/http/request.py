"""The head of an HTTP request: bytes of anybody -> what is asked, or which error.

Only what a check, a scraper or a browser sends is taken: one request, no body.  Whatever is wrong
has a status of its own, and nothing raises but BadRequest.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl

HEAD_BYTES_MAX = 8192
METHODS = ('GET', 'HEAD', 'OPTIONS')
#: How many `name=value` a query may have; what a check sends has one or two.
FIELDS_MAX = 16

_LINE = re.compile(br'([A-Z]{1,32}) ([!-~]{1,8192}) HTTP/1\.[01]')
_HEADER = re.compile(br'([!#$%&\'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)')
_END = re.compile(br'\r?\n\r?\n')
_AUTHORITY = re.compile(r'https?://[^/?#]*', re.IGNORECASE)


class BadRequest(Exception):
    """What was sent is no request that is answered.  `code`: the HTTP status that says so."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Request(NamedTuple):
    """One request: `path` is normalised, `query` in the order in which it came."""

    method: str
    path: str
    query: Tuple[Tuple[str, str], ...] = ()
    headers: Dict[str, str] = {}

    def values(self, name: str) -> List[str]:
        """All values of a field of the query."""
        return [value for field, value in self.query if field == name]


def end_of_head(received: bytes) -> Optional[int]:
    """Where the head of what was received ends; None where it is not complete yet.

    Raises BadRequest as soon as it is clear that this will be no head: a TLS handshake, say.
    """
    start = received.lstrip(b'\r\n')
    if start and not b'A' <= start[:1] <= b'Z':
        raise BadRequest(400, 'this is no HTTP; there is no TLS here')
    found = _END.search(received, len(received) - len(start))
    if found is None and len(received) >= HEAD_BYTES_MAX \
            or found is not None and found.end() > HEAD_BYTES_MAX:
        raise BadRequest(431, 'a head of more than %d bytes' % HEAD_BYTES_MAX)
    return None if found is None else found.end()


def parse(head: bytes) -> Request:
    """The request in a complete head.  Raises BadRequest."""
    lines = head.lstrip(b'\r\n').replace(b'\r\n', b'\n').rstrip(b'\n').split(b'\n')
    line = _LINE.fullmatch(lines[0])
    if line is None:
        raise BadRequest(400, 'the first line is no request of HTTP/1.0 or HTTP/1.1')
    headers = _headers(lines[1:])
    method, target = line.group(1).decode('ascii'), line.group(2).decode('ascii')
    path, query = _target(target)
    if method in METHODS:           # of any other the method itself is refused
        _refuse_body(headers)
    return Request(method, path, query, headers)


def _headers(lines: List[bytes]) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadRequest(400, 'a line of the head is no header')
        name = header.group(1).decode('ascii').lower()
        if name in found and name in ('content-length', 'host'):
            raise BadRequest(400, 'two headers %s' % name)
        found[name] = header.group(2).decode('latin-1').strip()
    return found


def _refuse_body(headers: Dict[str, str]) -> None:
    length = headers.get('content-length', '0')
    if not re.fullmatch('[0-9]{1,18}', length):
        raise BadRequest(400, 'a Content-Length that is no number')
    if int(length) or 'transfer-encoding' in headers:
        raise BadRequest(413, 'a request with a body')


def _target(target: str) -> Tuple[str, Tuple[Tuple[str, str], ...]]:
    """(the path, the query) of what stands in the request line."""
    path, _, query = _AUTHORITY.sub('', target, count=1).partition('#')[0].partition('?')
    if path and not path.startswith('/'):
        raise BadRequest(400, 'a target that is no path')
    fields = query.split('&')
    if len(fields) > FIELDS_MAX:
        raise BadRequest(400, 'a query of more than %d fields' % FIELDS_MAX)
    parsed = parse_qsl(query, keep_blank_values=True, encoding='utf-8', errors='replace')
    return '/' + '/'.join(filter(None, path.split('/'))), tuple(parsed)
