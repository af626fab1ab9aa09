"""What an operator types starts at once: no command loads what only a daemon needs."""

import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
#: What utilities may take of the core: words and numbers.
WORDS = {'ahmlib.core', 'ahmlib.core.asks', 'ahmlib.core.limits'}
LOADED = 'import sys; from ahmlib.utilities import %s; print("\\n".join(sys.modules))'
#: All but the check of a configuration, which looks at what a daemon would.
UTILITIES = ('attach_node', 'cluster_status', 'events', 'pause_cluster', 'promote_node',
             'restart_database', 'resume_cluster', 'shutdown_cluster')


@pytest.mark.parametrize('utility', UTILITIES)
def test_a_utility_loads_neither_the_core_nor_what_reads_a_configuration(utility):
    """The status took twice as long to load the core as for all it does."""
    done = subprocess.run([sys.executable, '-c', LOADED % utility], cwd=str(HOME),
                          stdout=subprocess.PIPE, timeout=60, check=True)
    loaded = set(done.stdout.decode().split())
    assert 'ahmlib.utilities.' + utility in loaded
    assert {name for name in loaded if name.startswith('ahmlib.core')} <= WORDS
    assert not loaded & {'yaml', 'msgpack', 'psycopg2', 'ahmlib.config.schema'}
