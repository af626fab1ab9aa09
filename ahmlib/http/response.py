"""An answer, and the bytes that it is sent as.

Every connection is closed after one answer, and nothing may be kept by anybody on the way: what
was true of a leader a second ago is what two primaries are made of.
"""

import json
from http import HTTPStatus
from typing import Any, NamedTuple, Tuple

BODY_BYTES_MAX = 1024 * 1024
JSON, TEXT = 'application/json', 'text/plain; charset=utf-8'
LINES = 'application/x-ndjson'
HEADERS = (
    ('Connection', 'close'), ('Cache-Control', 'no-store'), ('X-Content-Type-Options', 'nosniff'),
    ('Content-Security-Policy', "default-src 'none'; connect-src 'self'"))


class Response(NamedTuple):
    """An answer: status, body and what it is; `headers` beside or instead of those of all."""

    code: int
    body: bytes = b''
    kind: str = JSON
    headers: Tuple[Tuple[str, str], ...] = ()


def as_json(code: int, value: Any) -> Response:
    """An answer in JSON."""
    return Response(code, json.dumps(value, sort_keys=True).encode('ascii') + b'\n')


def as_text(code: int, text: str, *headers: Tuple[str, str]) -> Response:
    """A line for people."""
    return Response(code, text.encode('utf-8', 'replace') + b'\n', TEXT, headers)


def render(response: Response, method: str) -> bytes:
    """The bytes of an answer to a request by this method."""
    if len(response.body) > BODY_BYTES_MAX:
        response = as_text(503, 'the answer would have more than %d bytes' % BODY_BYTES_MAX)
    body = response.body if method != 'OPTIONS' else b''
    lines = ['HTTP/1.1 %d %s' % (response.code, HTTPStatus(response.code).phrase)]
    instead = {name for name, _ in response.headers}
    lines += ['%s: %s' % header for header in (
        ('Content-Type', response.kind), ('Content-Length', str(len(body))))
        + tuple(header for header in HEADERS if header[0] not in instead) + response.headers]
    head = '\r\n'.join(lines + ['', '']).encode('ascii')
    return head if method == 'HEAD' else head + body
