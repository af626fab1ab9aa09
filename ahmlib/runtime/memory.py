"""The core's memory on disk: the state file and the lease file.

In the files nodes are named by their addresses, because places shift when nodes.conf changes; in
the core they are places.  A lease counts only in the boot in which it was written, for its
instant is of a clock that starts anew with the host.
"""

import os

from ahmlib.config.rules import LEASE_NAME, STATE_NAME
from ahmlib.core.beacon import Claim, Record
from ahmlib.core.saved import SPENT, Saved
from ahmlib.network.wire import INTEGER_MAX
from ahmlib.runtime import state_file
from ahmlib.runtime.state_file import StateFileCorrupt

SECONDS_MAX = 1e12
_SPENT_TEXT = 'spent'


class Memory:
    """State and lease of one daemon, in `data_dir`."""

    def __init__(self, data_dir, addresses):
        self.state_path = os.path.join(data_dir, STATE_NAME)
        self.lease_path = os.path.join(data_dir, LEASE_NAME)
        self._addresses = addresses
        self._places = {address: place for place, address in enumerate(addresses)}
        self._boot = state_file.boot_id()

    def load(self):
        """The Saved on file, or None without one.

        Raises StateFileError where the file must not be used, StateFileCorrupt where it cannot be
        relied on.
        """
        try:
            content = state_file.load(self.state_path)
            return None if content is None else self._saved(content)
        except KeyError as error:
            raise StateFileCorrupt('%s has no %s' % (self.state_path, error))
        except ValueError as error:     # also of state_file.load: NaN is in no file that it wrote
            raise StateFileCorrupt('%s holds what AHM does not write there: %s'
                                   % (self.state_path, error))

    def save(self, saved):
        """Write it durably.  Raises StateFileError."""
        state_file.save(self.state_path, self._content(saved))

    def load_lease(self):
        """Until when a VIP found at the start may stay, on this boot's clock; 0: not at all."""
        try:
            content = state_file.load_lease(self.lease_path)
            if not content or content.get('boot') != self._boot:
                return 0.0
            return _seconds(content, 'until')
        except (KeyError, ValueError):
            return 0.0                  # damaged: as good as none

    def save_lease(self, until):
        """Note it without waiting for the disk.  Raises StateFileError."""
        state_file.save_lease(self.lease_path, {'boot': self._boot, 'until': until})

    def _content(self, saved):
        record = saved.record
        return {
            'term': saved.term, 'voted_for': self._name(saved.voted_for),
            'leader': self._name(saved.leader), 'hold': saved.hold, 'bound': saved.bound,
            'blind': saved.blind, 'forced': saved.forced,
            'claim': [saved.claim.term, saved.claim.version, saved.claim.needed,
                      [self._addresses[place] for place in saved.claim.nodes]],
            'record': record and [record.timeline, record.term, self._name(record.node),
                                  record.system_id],
            'names': {self._addresses[place]: name for place, name in enumerate(saved.names)
                      if name is not None},
        }

    def _saved(self, content):
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
            _kind(content, 'forced', bool), self._claim(content.get('claim')))

    def _record(self, found):
        if found is None:
            return None
        if type(found) is not list or len(found) != len(Record._fields):
            raise ValueError('record %.60r' % (found,))
        parts = dict(zip(Record._fields, found))
        node = self._place(parts, 'node')
        record = Record(_number(parts, 'timeline'), _number(parts, 'term'), node,
                        _kind(parts, 'system_id', str))
        return None if node is None else record

    def _claim(self, found):
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

    def _name(self, place):
        if place is None:
            return None
        return _SPENT_TEXT if place == SPENT else self._addresses[place]

    def _vote(self, content):
        if content['voted_for'] == _SPENT_TEXT:
            return SPENT
        return self._place(content, 'voted_for')

    def _place(self, content, key):
        """The place of the node that is named there; None: nobody, or it left nodes.conf."""
        text = content[key]
        if text is not None and type(text) is not str:
            raise ValueError('%s %.60r' % (key, text))
        return self._places.get(text)


def _kind(content, key, kind):
    value = content[key]
    if type(value) is not kind:
        raise ValueError('%s %.60r' % (key, value))
    return value


def _number(content, key):
    value = _kind(content, key, int)
    if not 0 <= value <= INTEGER_MAX:
        raise ValueError('%s %.60r' % (key, value))
    return value


def _seconds(content, key):
    value = content[key]
    if type(value) not in (int, float) or not 0 <= value < SECONDS_MAX:
        raise ValueError('%s %.60r' % (key, value))
    return float(value)
