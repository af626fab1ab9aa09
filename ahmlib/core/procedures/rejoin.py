"""After a step-down that nobody followed up: start the stopped database as a standby.

It left standby.signal when it was stopped, so it comes up in recovery and accepts no writes; then
it is a candidate like the others, and most likely the most advanced one.
"""

from ..effects import StartDatabase

START_SECONDS = 60.0


def rejoin(node):
    """Start the local database as a standby."""
    node.report('NOTICE', 'rejoin', 'nobody took over: starting the stopped database as a standby')
    event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        node.database.stopped = False
        node.problem = ''
    else:
        node.report_out('could not be started as a standby: %s' % event.reason)
        node.report('ERROR', 'rejoin failed', 'the stopped database could not be started as a '
                    'standby: %s' % event.reason)
    node.chores.check_soon()
