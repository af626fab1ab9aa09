"""What a server that does not run would come up as, by its files."""

import os
from typing import NamedTuple

from ahmlib.database import control, control_file, recovery
from ahmlib.database.settings import DatabaseSettings


class Inspected(NamedTuple):
    """What the files of db_data_dir say; ok False: they cannot be read, or say neither."""
    ok: bool
    reason: str = ''
    standby: bool = False               # it comes up in recovery, and stays there
    timeline: int = 0                   # that it comes up on as a primary
    system_identifier: str = ''


def inspect(settings: DatabaseSettings) -> Inspected:
    """Read what a start of the server of db_data_dir would make of it."""
    data_dir = settings.db_data_dir
    blind = control.why_blind(data_dir)
    if blind:
        return Inspected(False, blind)
    if control.server_processes(data_dir):
        return Inspected(False, 'processes of its server are there already')
    try:
        standby = recovery.is_standby_on_file(settings)
        known = control_file.read(data_dir)
        timeline = control_file.timeline_of_start(data_dir)
    except (OSError, ValueError) as error:
        return Inspected(False, 'the files of %s cannot be read: %s; see whether it is mounted' % (
            data_dir, getattr(error, 'strerror', None) or error))
    signal = os.path.join(data_dir, recovery.OTHER_SIGNAL_FILE)
    if not standby and os.path.exists(signal):
        return Inspected(False, 'it would recover to a target and end as a primary; remove %s, or '
                         'start it yourself' % signal)
    return Inspected(True, '', standby, timeline, known.system_identifier)
