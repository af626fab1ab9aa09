"""Attach: make the local database a trusted standby of the present primary again.

What is done to the server (nothing, a new primary_conninfo, a start, a rewind) is the world's to
find out; here it counts only whether it streams from the primary afterwards.
"""

from ..effects import AttachDatabase
from ..plan import Until
from ..variables import hook_variables

#: Seconds: a rewind reads the whole of both data directories at worst.
ATTACH_SECONDS = 3600.0
SEEN_SECONDS = 15.0


def attach(node, leader: int, task):
    """Attach the local database to the primary of node `leader`."""
    name = node.name_of(leader)
    try:
        task.step = 'makes the database a standby of %s' % name
        event = yield AttachDatabase(0, leader, True, ATTACH_SECONDS,
                                     hook_variables(node, 'FOLLOW', leader))
        if not event.ok:
            _refuse(node, event, task)
            return
        if event.remark:
            node.report('WARNING', 'remark', event.remark)
        task.step = 'waits for a check of the database'
        if not (yield from seen_streaming(node)):
            task.end('it streamed from %s, and then failed its check: %s' % (
                name, node.database.reason or 'it does not stream any more'))
            return
        trusted_again(node, leader)
        task.end()
        node.report('NOTICE', 'attached', 'the database is a standby of %s, and streams' % name)
    finally:
        task.end('it was overtaken: %s' % (node.problem or 'the leader changed'))


def _refuse(node, event, task) -> None:
    node.chores.check_soon()
    if event.diverged:
        node.database.diverged = True
        node.report_out(event.reason)
    node.report('ERROR', 'attach failed', 'the database was not attached: %s' % event.reason)
    task.end(event.reason)


def seen_streaming(node):
    """Have the database checked anew; whether it is a standby that streams."""
    began = node.now
    node.chores.check_soon()
    return (yield Until(lambda: node.database.failures == 0 and node.database.in_recovery
                        and node.database.answer.streaming and node.database.ok_at >= began
                        or node.chores.check_soon(), SEEN_SECONDS))


def trusted_again(node, leader: int) -> None:
    """This database is a standby of that node's primary, and was seen to stream."""
    node.database.attached()
    node.had_role, node.out_as, node.problem = False, None, ''
    node.chores.follow_done(leader)
