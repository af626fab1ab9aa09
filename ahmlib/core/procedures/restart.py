"""db_failure_action: restart.  Start the failed primary again, once, before it is given up.

This node leads all the while, so nobody is elected before this is over, won or lost: a system
that restarts and fails over on the same event loses data.
"""

from ..effects import StartDatabase, StopDatabase
from ..plan import Until

NAME = 'restart'
STOP_SECONDS = 5.0
START_SECONDS = 60.0


def restart(node):
    """Stop what is left of the local server, and start it; what counts is a check."""
    node.report('WARNING', 'restart', 'the database failed: starting it again, once, before '
                'anybody takes over (db_failure_action: restart)')
    node.promoting = True       # a step-down now must stop what is being started
    event = yield StopDatabase(0, 'immediate', STOP_SECONDS)
    if event.ok:
        event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        yield Until(lambda: not node.database.failures or node.chores.check_soon(),
                    node.settings.connect_timeout + 1.0)
    node.promoting = False
    node.leadership.inquiry = None
    if node.database.failures:
        node.report('ERROR', 'restart', 'the restart did not help: %s' % (
            event.reason or node.database.reason))
    else:
        node.report('NOTICE', 'restart', 'the database answers again: no failover')
