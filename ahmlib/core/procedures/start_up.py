"""Start the database of a host that has booted (ahm_protocol(7), R55)."""

from ..effects import InspectDatabase, StartDatabase
from ..limits import INSPECT_SECONDS, START_SECONDS
from ..parts import Parts
from ..plan import Procedure


def start_up(parts: Parts) -> Procedure:
    """Look what the local database would come up as, and start it where it may."""
    boot = parts.boot
    found = yield InspectDatabase(0, INSPECT_SECONDS)
    why_not = boot.why_not_start(found)
    if why_not:
        boot.waits_for(why_not)
        return
    parts.out.report('NOTICE', 'boot', 'this host has booted: starting its database %s '
                     '(db_start_at_boot)' % (
                         'as a standby' if found.standby else 'as the primary on record'))
    event = yield StartDatabase(0, START_SECONDS)
    if event.ok:
        boot.ended()
    else:
        boot.failed(event.reason)
    parts.checks.soon()
