"""Where the daemon is: from the options, else the configuration file, else the defaults.

Only socket_dir and ipc_port are looked at: a utility must work while the rest of the file is being
edited.  A file that nobody named, and that cannot be used, stops nobody who may not need it; what
was wrong with it is said where no daemon is found.
"""

import os
from typing import TYPE_CHECKING, Dict, NamedTuple, Optional, Tuple

from ahmlib.config import place
from ahmlib.config.place import absolute
from ahmlib.config.problems import ConfigError, read_text
from ahmlib.ipc import client
from ahmlib.utilities.outcome import USAGE, Failure
from ahmlib.utilities.usage import Args

if TYPE_CHECKING:
    from ahmlib.config.document import Entry

_EXPECTED = (('--host', 'the address or the name of a node or host'), ('--port', 'a port'),
             ('NODE', 'the address or the name of a node'),
             ('--node', 'the node_name of a node'),
             ('--kind', 'the kind of an event, such as failover'), ('--plot', 'the path of a file'),
             ('--socket-dir', 'a directory'), ('--config-file', 'the path of an ahm_config.yml'))


class Where(NamedTuple):
    """The UNIX socket's directory, the ipc_port, the file they are from, what was wrong with it."""
    socket_dir: str
    port: int
    config_path: Optional[str] = None
    remark: str = ''


def where(args: Args) -> Where:
    """Where the options say that the daemon is.  Raises Failure with exit code 2."""
    refuse_empty(args)
    try:
        found = place.find(args.get('--config-file'))
    except ConfigError as error:
        raise Failure(error.problems[0], USAGE)
    if found is None:
        return _of(args, '', {})._replace(config_path=None)
    if found.named_by:
        return _of(args, found.path, _read_config(found.path))
    try:
        return _of(args, found.path, _read_config(found.path))
    except Failure as failure:
        # An option that is wrong is told in place of the file that is.
        return _of(args, found.path, {})._replace(
            remark='%s was not used: %s' % (found.path, failure))


def refuse_empty(args: Args) -> None:
    """Raise Failure for an option with an empty value: of a shell variable not set, mostly."""
    for option, expected in _EXPECTED:
        value = args.get(option)
        if value == '' or isinstance(value, list) and '' in value:
            raise Failure("%s: found '', expected %s; name one, or leave it out" % (
                option, expected), USAGE)


def _of(args: Args, path: str, written: Dict[str, 'Entry']) -> Where:
    if args.get('--port') is not None:
        port = _port_number(args['--port'], '--port')
    elif 'ipc_port' in written:
        port = _port_number(*_one_value(written['ipc_port'], path))
    else:
        port = client.DEFAULT_PORT
    if args.get('--socket-dir') is not None:
        socket_dir = args['--socket-dir']
    elif 'socket_dir' in written:
        text, _ = _one_value(written['socket_dir'], path)
        socket_dir = absolute(text, os.path.dirname(path))
    else:
        socket_dir = client.DEFAULT_SOCKET_DIR
    return Where(socket_dir, port, path)


def _port_number(text: str, option: str) -> int:
    is_number = 0 < len(text) <= 5 and all(character in '0123456789' for character in text)
    if not is_number or not 1 <= int(text) <= 65535:
        raise Failure('%s: found %r, expected a port, a number from 1 to 65535' % (option, text),
                      USAGE)
    return int(text)


def _read_config(path: str) -> Dict[str, 'Entry']:
    """{name: entry} of socket_dir and ipc_port in a configuration file, where they are set."""
    from ahmlib.config import document  # slow to load, and needed where there is a file
    try:
        text = read_text(path, 'the configuration file')
        entries, _ = document.read_entries(text, path)
    except ConfigError as error:
        raise Failure(error.problems[0], USAGE)
    names = {entry.key.strip().lower(): entry for entry in entries
             if not document.is_unset(entry.written)}
    return {name: names[name] for name in ('socket_dir', 'ipc_port') if name in names}


def _one_value(entry: 'Entry', path: str) -> Tuple[str, str]:
    """(text, where it stands) of an entry.  Raises Failure if it is a list or the like."""
    from ahmlib.config import document
    stands = '%s:%d: %s' % (path, entry.line, entry.key.strip())
    if entry.written.text is None:
        raise Failure('%s: found %s, expected one value' % (
            stands, document.describe(entry.written)), USAGE)
    return entry.written.text, stands
