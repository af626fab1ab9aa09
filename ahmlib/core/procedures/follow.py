"""Point the local database to the new primary, whether it runs or not.

A running standby is re-pointed; one that is down only gets its settings, so that a later start, by
whomever, makes a standby of the new primary and not a second primary (manual 19.7.1).
"""

from ..effects import AttachDatabase, FollowPrimary
from ..variables import hook_variables
from .attach import seen_streaming, trusted_again

FOLLOW_SECONDS = COME_BACK_SECONDS = 120.0
RETRY_SECONDS = 10.0


def follow(node, leader: int):
    """Make the local database follow the primary of node `leader`."""
    was_down = not node.database.in_recovery
    variables = hook_variables(node, 'FOLLOW', leader)
    event = yield FollowPrimary(0, leader, FOLLOW_SECONDS, variables)
    name = node.name_of(leader)
    if not event.ok:
        node.problem = 'could not be pointed to the primary of %s: %s' % (name, event.reason)
        node.report('ERROR', 'follow failed', 'the database %s' % node.problem)
        node.chores.follow_failed(RETRY_SECONDS)
        if event.diverged and not node.database.out:
            node.database.diverged = True
            node.report_out(event.reason)
        return
    tell_remark(node, event)
    if was_down and node.had_role and not node.database.second_primary:
        node.report_out('the primary role went to %s' % name)
    node.had_role, node.problem = False, node.database.out
    if not was_down:
        node.database.followed()
    node.report('NOTICE', 'follow', 'the database is set to follow the primary of %s%s' % (
        name, ' (it is not running)' if was_down else ''))
    node.chores.follow_done(leader)


def tell_remark(node, event) -> None:
    """Of an action that succeeded, what people should know all the same."""
    if event.remark:
        node.report('WARNING', 'remark', event.remark)


def come_back(node, leader: int):
    """After a switchover: start the database that was stopped for it as a standby.

    It has nothing that the new primary lacks, so nobody needs to attach it.
    """
    name = node.name_of(leader)
    event = yield AttachDatabase(0, leader, False, COME_BACK_SECONDS,
                                 hook_variables(node, 'FOLLOW', leader))
    tell_remark(node, event)
    if event.ok and (yield from seen_streaming(node)):
        trusted_again(node, leader)
        node.report('NOTICE', 'follow', 'the database is a standby of %s, and streams' % name)
        return
    why = event.reason or node.database.reason or 'it does not stream'
    node.chores.handed_over = False
    node.database.diverged = event.diverged
    node.problem = 'it did not come back as a standby of %s: %s' % (name, why)
    node.report_out(node.problem)
