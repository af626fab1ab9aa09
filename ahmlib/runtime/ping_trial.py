"""Whether ping works here, tried at the start where no rehearsal will: silence is never believed
then.

A node that may take over rehearses that, ping included; a witness, and a node with priority 0, ask
by ping too (whether trusted servers answer), and would not learn before the bad day that it lies.
"""

from typing import TYPE_CHECKING

from ahmlib.network import vip
from ahmlib.runtime import answers
from ahmlib.runtime.children import CHILD_SLACK_SECONDS
from ahmlib.runtime.settings import needs_ping, vip_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config
    from ahmlib.runtime.children import Children, Result
    from ahmlib.runtime.log import Log

TRIAL_SECONDS = 3.0


def begin(config: 'Config', children: 'Children', log: 'Log') -> None:
    """Try it in a child, and say where it does not work."""
    def tried(result: 'Result') -> None:
        if not result.get('ok'):
            log.error('ping does not work here: %s' % answers.why_not(result))
    if needs_ping(config) and (config.is_witness or not config.priority):
        children.start(vip.try_ping, (vip_settings(config), TRIAL_SECONDS),
                       TRIAL_SECONDS + CHILD_SLACK_SECONDS, tried, 'TryPing')
