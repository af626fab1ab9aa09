"""The core's memory on disk: the state file and the lease file.

In the files nodes are named by their addresses, because places shift when nodes.conf changes; in
the core they are places.  A lease counts only in the boot in which it was written, for its
instant is of a clock that starts anew with the host.
"""

import os

from ahmlib.core.beacon import Record
from ahmlib.core.saved import SPENT, Saved
from ahmlib.runtime import state_file

STATE_NAME = 'ahm.state'
LEASE_NAME = 'ahm.lease'
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
        content = state_file.load(self.state_path)
        if content is None:
            return None
        try:
            return self._saved(content)
        except (KeyError, TypeError, ValueError) as error:
            raise state_file.StateFileCorrupt('%s has no %s' % (self.state_path, error))

    def save(self, saved):
        """Write it durably.  Raises StateFileError."""
        state_file.save(self.state_path, self._content(saved))

    def load_lease(self):
        """Until when a VIP found at the start may stay, on this boot's clock; 0: not at all."""
        content = state_file.load_lease(self.lease_path)
        if not content or content.get('boot') != self._boot:
            return 0.0
        return float(content.get('until', 0.0))

    def save_lease(self, until):
        """Note it without waiting for the disk.  Raises StateFileError."""
        state_file.save_lease(self.lease_path, {'boot': self._boot, 'until': until})

    def _content(self, saved):
        record = saved.record
        return {
            'term': saved.term, 'voted_for': self._name(saved.voted_for),
            'leader': self._name(saved.leader), 'hold': saved.hold, 'bound': saved.bound,
            'blind': saved.blind,
            'record': record and [record.timeline, record.term, self._name(record.node),
                                  record.system_id],
            'names': {self._addresses[place]: name for place, name in enumerate(saved.names)
                      if name is not None},
        }

    def _saved(self, content):
        names = content['names']
        return Saved(
            int(content['term']), self._place(content['voted_for']),
            self._place(content['leader']), float(content['hold']), bool(content['bound']),
            bool(content['blind']), self._record(content['record']),
            tuple(names.get(address) for address in self._addresses))

    def _record(self, found):
        if found is None or self._place(found[2]) is None:
            return None
        return Record(int(found[0]), int(found[1]), self._place(found[2]), str(found[3]))

    def _name(self, place):
        if place is None:
            return None
        return _SPENT_TEXT if place == SPENT else self._addresses[place]

    def _place(self, text):
        return SPENT if text == _SPENT_TEXT else self._places.get(text)
