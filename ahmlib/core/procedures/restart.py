"""db_failure_action: restart.  Start the failed primary again, once, before it is given up.

This node leads all the while, so nobody is elected before this is over, won or lost: a system
that restarts and fails over on the same event loses data.
"""

from ..effects import StartDatabase, StopDatabase
from ..limits import IMMEDIATE_STOP_SECONDS, START_SECONDS
from ..parts import Parts
from ..plan import Procedure, Until


def restart(parts: Parts) -> Procedure:
    """Stop what is left of the local server, and start it; what counts is a check."""
    database = parts.database
    parts.out.report('WARNING', 'restart', 'the database failed: starting it again, once, before '
                     'anybody takes over (db_failure_action: restart)')
    database.begin_change()     # a step-down now must stop what is being started
    event = yield StopDatabase(0, 'immediate', IMMEDIATE_STOP_SECONDS)
    if event.ok:
        event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        yield Until(lambda: not database.failures, parts.facts.settings.connect_timeout + 1.0,
                    parts.checks.soon, 'seen to be up')
    database.end_change()
    parts.investigation.close()
    if database.failures:
        parts.out.report('ERROR', 'restart', 'the restart did not help: %s' % (
            event.reason or database.reason))
    else:
        parts.out.report('NOTICE', 'restart', 'the database answers again: no failover')
