"""One cluster for all the troubles of a module, each of which begins and ends all well."""

import pytest

from ..scenarios import NOTIFY, Shared
from .reading import events, place
from .table import night_of

#: Checks that fail for half a minute are no failover yet, and no node is lost on a busy machine.
SLOW = dict(NOTIFY, beacon_message_retry_count=8, max_consec_failures=60)


@pytest.fixture(scope='module')
def shared(request):
    """A cluster for all troubles of this module, with its SETTINGS and of its CLUSTER, if any."""
    settings = dict(SLOW, **getattr(request.module, 'SETTINGS', {}))
    options = dict({'kind': 'loopback', 'settings': settings},
                   **getattr(request.module, 'CLUSTER', {}))
    with Shared(**options) as one:
        yield one


@pytest.fixture
def night(shared, request):
    """(scenario, first, second, third), all well; scenario.night says what is to be read."""
    with shared.story() as scenario:
        before = len(scenario.notified())
        everything = scenario.notified
        scenario.notified = lambda: everything()[before:]
        scenario.night = night_of(request.node.name)
        scenario.began = max(map(place, events(scenario.cluster.nodes[0])))
        yield (scenario,) + tuple(scenario.cluster.nodes)
        scenario.healthy()
