"""The printed failover intervals are true: what is simulated lies within them, and in the manual's.

The formula counts on a node's own clock; the simulated clocks go up to 5 % wrong.
"""

import pathlib

import pytest

from ahmlib.config import loader
from ahmlib.config.timing import failover_intervals
from ahmlib.simulation import scenario

ROOT = pathlib.Path(__file__).parent.parent
MANUAL = ROOT / 'data' / 'manual_ahm_config.sample.yml'
SEEDS = range(6)

#: T, the takeover: votes, promotion, VIP, first row; and after a fencing script the second look.
TAKEOVER_SECONDS = 1.5
CLOCKS = 1.05

#: What the manual promises at most, and which of the printed intervals is about it.
FAULTS = {'power-off': ('lost_node', 44.0), 'cut': ('lost_node', 44.0),
          'kill-database': ('database_refusing', 230.0),
          'hang-database': ('database_hanging', 230.0)}
FAST = 'beacon_message_interval_seconds: 1\nhealth_check_period: 2\nmax_consec_failures: 3\n' \
    'db_connect_timeout: 2\n'


@pytest.fixture(params=['the manual', 'fast, without a script'])
def config(request, tmp_path):
    """The manual's own configuration on three nodes, and a fast one without a fencing script."""
    text = MANUAL.read_text()
    if request.param != 'the manual':
        text = ''.join(line for line in text.splitlines(True)
                       if not line.startswith(('pre_promotion_command',) + tuple(
                           line.split(':')[0] for line in FAST.splitlines()))) + FAST
    path = tmp_path / 'ahm_config.yml'
    path.write_text(text)
    (tmp_path / 'nodes.conf').write_text(''.join('192.0.2.%d:9500\n' % (place + 11)
                                                 for place in range(3)))
    return loader.load(str(path), is_local=lambda host: host == "192.0.2.11", check_host=False)


@pytest.mark.parametrize('fault', sorted(FAULTS))
def test_simulated_failovers_take_as_long_as_is_printed(config, fault):
    name, promised = FAULTS[fault]
    printed = getattr(failover_intervals(config), name)
    settings = scenario.cluster_settings(config)
    takeover = TAKEOVER_SECONDS
    if config.pre_promotion_command:
        takeover += config.db_connect_timeout
    for seed in SEEDS:
        outcome = scenario.run(config, settings, ((0.0, fault, 0),), seed)
        assert outcome.recovered, outcome.why_not
        took = outcome.outage_from + outcome.write_outage_seconds
        assert printed.least / CLOCKS <= took <= printed.most * CLOCKS + takeover, outcome.fault
        assert took <= promised
