"""The nodes that are asked for their events, all at once, and what they said, merged.

What comes from a node is checked before it is believed: another version, or another program, may
listen there.
"""

import datetime
import threading
from typing import Any, Dict, List, Optional, Sequence

from ahmlib.ipc import client
from ahmlib.ipc.protocol import Message
from ahmlib.utilities import common
from ahmlib.utilities.common import Args

ANSWER_SECONDS = 5.0
_KINDS = {'at': str, 'node': str, 'term': int, 'seq': int, 'kind': str, 'cause': str, 'text': str,
          'steps': list}


class Source:
    """One node: where it is asked, how far it has told, and why it did not, where it did not."""

    def __init__(self, name: str, host: Optional[str], port: int, socket_dir: str) -> None:
        self.name, self.host, self.port, self.socket_dir = name, host, port, socket_dir
        self.after = [0, 0]
        self.why = ''
        self.found: List[Message] = []

    def ask(self) -> None:
        """Take all that it has to tell since the last time."""
        self.found, self.why = [], ''
        try:
            while self._ask_page():
                pass
        except (client.NoDaemon, client.ProtocolError) as error:
            self.why = str(error)

    def _ask_page(self) -> bool:
        answer = client.ask({'ask': 'events', 'after': self.after}, host=self.host,
                            port=self.port, socket_dir=self.socket_dir, limit=ANSWER_SECONDS)
        if answer.get('ok') is not True:
            self.why = str(answer.get('reason') or 'it gave no reason')
            return False
        events = answer.get('events')
        if not isinstance(events, list) or not all(map(is_event, events)):
            raise client.ProtocolError('what it answered are no events')
        if events:
            self.after = [events[-1]['term'], events[-1]['seq']]
        self.found += events
        return bool(events) and answer.get('more') is True


def is_event(event: Any) -> bool:
    """Whether this has all that is printed of an event."""
    if not isinstance(event, dict) or not isinstance(event.get('by'), (dict, type(None))):
        return False
    if not all(type(event.get(key)) is kind for key, kind in _KINDS.items()):
        return False
    return _is_moment(event['at']) and all(
        isinstance(step, dict) and type(step.get('name')) is str and _is_moment(step.get('at'))
        and type(step.get('took')) in (int, float) for step in event['steps'])


def _is_moment(at: Any) -> bool:
    try:
        moment(at)
    except (TypeError, ValueError):
        return False
    return True


def moment(at: str) -> float:
    """The instant that an event tells, in seconds since 1970.  Raises ValueError."""
    found = datetime.datetime.strptime(at, '%Y-%m-%dT%H:%M:%S.%fZ')
    return found.replace(tzinfo=datetime.timezone.utc).timestamp()


def sources_of(args: Args, status: Message) -> List[Source]:
    """All nodes of this status; the one that gave it is asked as it was, the others by TCP."""
    here = common.where(args)
    found = []
    for node in status['nodes']:
        name = node.get('name') or '%s:%s' % (node.get('address'), node.get('port'))
        host = args['--host'] if node.get('name') == status.get('asked') else node.get('address')
        found.append(Source(str(name), host, here.port, here.socket_dir))
    return found


def ask_all(sources: Sequence[Source]) -> List[Message]:
    """What is new at all of them, asked side by side: a dead host costs its time once."""
    threads = [threading.Thread(target=source.ask, daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [event for source in sources for event in source.found]


def merged(events: Sequence[Message], since: Optional[float] = None) -> List[Message]:
    """In their order: (term, seq), whatever the clocks say; what is older than `since` left out."""
    unique: Dict[Any, Message] = {
        (event['term'], event['seq'], event['node']): event for event in events}
    return [unique[key] for key in sorted(unique)
            if since is None or moment(unique[key]['at']) >= since]
