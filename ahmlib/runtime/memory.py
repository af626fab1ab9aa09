"""The core's memory: the state file on disk, and the lease file, which needs none.

In the files nodes are named by their addresses, because places shift when nodes.conf changes; in
the core they are places.  A lease counts only in the boot in which it was written, for its
instant is of a clock that starts anew with the host.
"""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from ahmlib.config.rules import LEASE_NAME, STATE_NAME
from ahmlib.core.beacon import Claim, Pause, Record
from ahmlib.core.consensus.saved import SPENT, Saved
from ahmlib.network.wire import INTEGER_MAX
from ahmlib.runtime import state_file
from ahmlib.runtime.disk_helper import remove_quietly
from ahmlib.runtime.loop import clock
from ahmlib.runtime.state_file import StateFileCorrupt

if TYPE_CHECKING:
    from ahmlib.runtime.disk import OnSaved, StateWriter

Content = Dict[str, Any]

SECONDS_MAX = 1e12
_SPENT_TEXT = 'spent'
_NO_LEASE = (-1.0, 0.0)


class Memory:
    """State and lease of one daemon, in `data_dir`.

    lease_paths: where the lease may be, as `lease_place.lease_paths` gives them: the last one is
        in data_dir.
    writer: the `disk.StateWriter` that `save_later` hands over to.
    cluster: the fingerprint of the cluster, to be saved; `load` sets `cluster_before` to that on
        file (None: there is none), `nodes_before` to the addresses of its nodes (() likewise), and
        `holder_before` to that of who holds the sealed pause there (None: there is none).
    is_at_home: whether this cluster is saved, and not the one before: false while it is not known
        yet whether the daemon stays.
    """

    def __init__(self, data_dir: str, addresses: Sequence[str],
                 lease_paths: Optional[List[str]] = None, writer: Optional['StateWriter'] = None,
                 cluster: Optional[int] = None) -> None:
        self.data_dir = data_dir
        self.state_path = os.path.join(data_dir, STATE_NAME)
        self.lease_paths = lease_paths or [os.path.join(data_dir, LEASE_NAME)]
        self._writer = writer
        self.cluster = cluster
        self.cluster_before: Optional[int] = None
        self.nodes_before: Tuple[str, ...] = ()
        self.holder_before: Optional[str] = None
        self.is_at_home = True
        #: (until, on_failure) for when the one before is written.
        self._lease_waits: Optional[Tuple[float, Optional[Callable[[str], None]]]] = None
        self._lease_is_written = False
        self._addresses = addresses
        self._places = {address: place for place, address in enumerate(addresses)}
        self._boot = state_file.boot_id()
        #: Whether no daemon wrote a lease in this boot before; known once `load_lease` has looked.
        self.is_first_of_boot = False

    @property
    def lease_path(self) -> str:
        """Where the lease is written."""
        return self.lease_paths[0]

    def load(self) -> Optional[Saved]:
        """The Saved on file, or None without one.

        Raises StateFileError where the file must not be used, StateFileCorrupt where it cannot be
        relied on.
        """
        try:
            content = state_file.load(self.state_path)
            if content is None:
                return None
            saved = self._saved(content)
            self._look_back(content)
            return saved._replace(moved=saved.moved or self.has_moved)
        except KeyError as error:
            raise StateFileCorrupt('%s has no %s' % (self.state_path, error))
        except ValueError as error:     # also of state_file.load: NaN is in no file that it wrote
            raise StateFileCorrupt('%s holds what AHM does not write there: %s'
                                   % (self.state_path, error))

    @property
    def has_moved(self) -> bool:
        """Whether the state on file is of another cluster: another nodes.conf, or quorum rule."""
        return self.cluster is not None and self.cluster_before not in (None, self.cluster)

    def _look_back(self, content: Content) -> None:
        """Of which cluster the state on file is; versions before did not write all of it."""
        if content.get('cluster') is not None:
            self.cluster_before = _number(content, 'cluster')
        nodes = _kind(dict({'nodes': []}, **content), 'nodes', list)
        if not all(type(each) is str for each in nodes):
            raise ValueError('nodes %.60r' % (nodes,))
        self.nodes_before = tuple(nodes)
        found = content.get('pause')
        if found is not None:
            pause = dict(zip(Pause._fields, found))
            self.holder_before = pause['holder'] if pause['on'] and pause['sealed'] else None

    def save(self, saved: Saved) -> None:
        """Write it durably, and wait for the disk.  Raises StateFileError."""
        state_file.save(self.state_path, self._content(saved))

    def save_later(self, saved: Saved, on_end: 'OnSaved') -> None:
        """Have it written durably; `on_end(reason)` is called once it is, with '', or cannot be."""
        assert self._writer is not None
        path = self.state_path
        self._writer.replace(path, state_file.pack(self._content(saved)), lambda reason: on_end(
            reason and state_file.cannot_write(path, reason)))

    def load_lease(self) -> float:
        """Until when a VIP found at the start may stay, on this boot's clock; 0: not at all.

        The newest counts, of all the places where a version or a start before may have put it.  It
        is taken along to where this daemon writes it.  Raises StateFileError.
        """
        found = [self._lease_at(path) for path in self.lease_paths]
        written_at, until = max(found)
        self.is_first_of_boot = written_at <= 0.0
        strangers = [path for path, lease in zip(self.lease_paths[1:], found[1:])
                     if lease != _NO_LEASE]
        if strangers:
            state_file.save_lease(self.lease_path, self._lease(until))
            for path in strangers:
                remove_quietly(path)
        return until

    def save_lease(self, until: float, on_failure: Optional[Callable[[str], None]] = None) -> None:
        """Note it without waiting for a disk.  Raises StateFileError.

        Where it has to be on a disk, `on_failure(reason)` is called later instead.
        """
        if self._writer is None or len(self.lease_paths) > 1:
            state_file.save_lease(self.lease_path, self._lease(until))
            return
        self._lease_waits = until, on_failure
        self._write_lease()

    def _write_lease(self) -> None:
        """Have the newest lease written, one at a time: a disk that stalls gets no queue."""
        if self._lease_is_written or self._lease_waits is None:
            return
        assert self._writer is not None
        (until, on_failure), self._lease_waits = self._lease_waits, None
        self._lease_is_written = True

        def ended(reason: str) -> None:
            self._lease_is_written = False
            if reason and on_failure is not None:
                on_failure(state_file.cannot_write(self.lease_path, reason))
            self._write_lease()
        self._writer.replace(self.lease_path, state_file.pack(self._lease(until)), ended,
                             is_durable=False)

    def _lease(self, until: float) -> Content:
        return {'boot': self._boot, 'until': until, 'at': clock(), 'data_dir': self.data_dir}

    def _lease_at(self, path: str) -> Tuple[float, float]:
        """(when it was written, until when it lasts) of the lease of this boot in a file."""
        try:
            content = state_file.load_lease(path)
            if not content:
                return _NO_LEASE
            if content.get('boot') != self._boot:
                return 0.0, 0.0
            # The version before wrote no instant.
            return _seconds(dict({'at': 0.0}, **content), 'at'), _seconds(content, 'until')
        except (KeyError, ValueError):
            return 0.0, 0.0             # damaged: as good as none

    def _content(self, saved: Saved) -> Content:
        record, at_home = saved.record, self.is_at_home
        return {
            'term': saved.term, 'voted_for': self._name(saved.voted_for),
            'leader': self._name(saved.leader), 'hold': saved.hold, 'bound': saved.bound,
            'blind': saved.blind, 'forced': saved.forced,
            'cluster': self.cluster if at_home else self.cluster_before,
            'nodes': list(self._addresses if at_home else self.nodes_before),
            'moved': saved.moved,
            'maintenance': saved.maintenance,
            'pause': saved.pause[:2] + (saved.pause.on, self._name(saved.pause.holder),
                                        saved.pause.sealed),
            'claim': [saved.claim.term, saved.claim.version, saved.claim.needed,
                      [self._addresses[place] for place in saved.claim.nodes]],
            'record': record and [record.timeline, record.term, self._name(record.node),
                                  record.system_id],
            'names': {self._addresses[place]: name for place, name in enumerate(saved.names)
                      if name is not None},
        }

    def _saved(self, content: Content) -> Saved:
        """The Saved in the content of a file.  Raises KeyError or ValueError where it is none."""
        names = _kind(content, 'names', dict)
        if not all(name is None or type(name) is str for name in names.values()):
            raise ValueError('names %.60r' % (names,))
        return Saved(
            _number(content, 'term'), self._vote(content),
            self._place(content, 'leader'), _seconds(content, 'hold'),
            _kind(content, 'bound', bool), _kind(content, 'blind', bool),
            self._record(content['record']),
            tuple(names.get(address) for address in self._addresses),
            _kind(content, 'forced', bool), self._claim(content.get('claim')),
            _kind(dict({'maintenance': False}, **content), 'maintenance', bool),
            self._pause(content.get('pause')),
            _kind(dict({'moved': False}, **content), 'moved', bool))

    def _record(self, found: Any) -> Optional[Record]:
        if found is None:
            return None
        if type(found) is not list or len(found) != len(Record._fields):
            raise ValueError('record %.60r' % (found,))
        parts = dict(zip(Record._fields, found))
        timeline, term = _number(parts, 'timeline'), _number(parts, 'term')
        node, system_id = self._place(parts, 'node'), _kind(parts, 'system_id', str)
        return None if node is None else Record(timeline, term, node, system_id)

    def _claim(self, found: Any) -> Claim:
        """The claim; who left nodes.conf is in it no more.  The version before wrote none."""
        if found is None:
            return Claim()
        if type(found) is not list or len(found) != len(Claim._fields) \
                or type(found[-1]) is not list or not all(type(each) is str for each in found[-1]):
            raise ValueError('claim %.60r' % (found,))
        parts = dict(zip(Claim._fields, found))
        nodes = tuple(self._places[each] for each in parts['nodes'] if each in self._places)
        needed = min(_number(parts, 'needed'), len(nodes))
        return Claim(_number(parts, 'term'), _number(parts, 'version'), needed, nodes)

    def _pause(self, found: Any) -> Pause:
        """The pause; over where its holder left nodes.conf.  The version before wrote none."""
        if found is None:
            return Pause()
        if type(found) is not list or len(found) != len(Pause._fields):
            raise ValueError('pause %.60r' % (found,))
        parts = dict(zip(Pause._fields, found))
        holder = self._place(parts, 'holder')
        term, version = _number(parts, 'term'), _number(parts, 'version')
        on, sealed = _kind(parts, 'on', bool), _kind(parts, 'sealed', bool)
        return Pause(term, version, on and holder is not None, holder, sealed)

    def _name(self, place: Optional[int]) -> Optional[str]:
        if place is None:
            return None
        return _SPENT_TEXT if place == SPENT else self._addresses[place]

    def _vote(self, content: Content) -> Optional[int]:
        if content['voted_for'] == _SPENT_TEXT:
            return SPENT
        return self._place(content, 'voted_for')

    def _place(self, content: Content, key: str) -> Optional[int]:
        """The place of the node that is named there; None: nobody, or it left nodes.conf."""
        text = content[key]
        if text is not None and type(text) is not str:
            raise ValueError('%s %.60r' % (key, text))
        return None if text is None else self._places.get(text)


def _kind(content: Content, key: str, kind: type) -> Any:
    value = content[key]
    if type(value) is not kind:
        raise ValueError('%s %.60r' % (key, value))
    return value


def _number(content: Content, key: str) -> int:
    value = _kind(content, key, int)
    if not 0 <= value <= INTEGER_MAX:
        raise ValueError('%s %.60r' % (key, value))
    return value


def _seconds(content: Content, key: str) -> float:
    value = content[key]
    if type(value) not in (int, float) or not 0 <= value < SECONDS_MAX:
        raise ValueError('%s %.60r' % (key, value))
    return float(value)
