"""After a step-down that nobody followed up: start the stopped database as a standby.

It left standby.signal when it was stopped, so it comes up in recovery and accepts no writes; then
it is a candidate like the others, and most likely the most advanced one.
"""

from ..effects import StartDatabase
from ..limits import START_SECONDS
from ..parts import Parts
from ..plan import Procedure


def rejoin(parts: Parts) -> Procedure:
    """Start the local database as a standby."""
    parts.out.report('NOTICE', 'rejoin', 'nobody took over: starting the stopped database as a '
                     'standby')
    event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        parts.database.may_be_started(False)
        parts.out.note('')
    else:
        parts.database.tell_out('could not be started as a standby: %s' % event.reason)
        parts.out.report('ERROR', 'rejoin failed', 'the stopped database could not be started as a '
                         'standby: %s' % event.reason)
    parts.checks.soon()
