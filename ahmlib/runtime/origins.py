"""Where a utility asked from: in words, for the history of events, and whether that is inside."""

import ipaddress
import os
import pwd
from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional

if TYPE_CHECKING:
    from ahmlib.ipc.server import Origin

#: By uid: the users who can open the UNIX socket, looked up once.  A look at any time would wait
#: for the directory service that knows of users.
_USERS: Dict[int, str] = {}


def learn_users() -> None:
    """Look up who may come by the UNIX socket; may take a while."""
    for uid in (0, os.geteuid()):
        try:
            _USERS[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            pass                      # a uid without a name has none in the history either


def who(origin: 'Origin') -> Dict[str, Any]:
    """Who asked: by peer credentials, or by the address of a TCP connection: that tells no user."""
    kind, which = origin
    uid: Optional[int] = which if kind == 'unix' else None
    return {'address': None if kind == 'unix' else which, 'uid': uid,
            'user': None if uid is None else _USERS.get(uid)}


def in_words(origin: 'Origin') -> str:
    """The same, in words."""
    kind, which = origin
    return 'user %s of this host' % which if kind == 'unix' else which


def is_inside(host: str, inside: Iterable[str]) -> bool:
    """Whether this address is one of these, or of this host itself."""
    source = _plain(host)
    return source in {_plain(one) for one in inside if one} \
        or getattr(source, 'is_loopback', False)


def _plain(host: str) -> Any:
    """An address without regard to how it is spelled (IPv4 in IPv6, capitals, zeros)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return getattr(address, 'ipv4_mapped', None) or address
