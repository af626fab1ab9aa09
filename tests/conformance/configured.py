"""Worlds and settings that come out of an ahm_config.yml, so that a test goes all the way from the
line in the file to what the core decides.
"""

import yaml

from ahmlib.config import loader
from ahmlib.runtime.settings import core_settings
from ahmlib.simulation.world import World
from tests.simulation.plans import formed

# Fast in the virtual time of the simulation; everything else has the default of the product.
FAST = {'beacon_message_interval_seconds': 0.5, 'beacon_message_retry_count': 2,
        'health_check_period': 0.5, 'max_consec_failures': 2, 'db_connect_timeout': 1,
        'virtual_IP': '192.0.2.100', 'if_up_cmd': '/bin/true', 'if_down_cmd': '/bin/true',
        'db_data_dir': '/nowhere/data', 'db_bin_dir': '/nowhere/bin', 'db_user': 'agens'}


def address(number):
    """The address of node 1, 2, ..."""
    return '192.0.2.%d' % number


def load(directory, text, size=3, own=1):
    """The Config of these lines on node `own` of a cluster of this size, without a host."""
    (directory / 'nodes.conf').write_text(''.join(
        '%s:9500\n' % address(number) for number in range(1, size + 1)))
    path = directory / ('ahm_config_%d.yml' % own)
    path.write_text(text)
    return loader.load(str(path), {}, str(directory), lambda entry: entry == address(own),
                       check_host=False)


def configured(directory, size=3, own=1, **lines):
    """The Config of a fast cluster in which this node's file has these lines."""
    values = dict(FAST, node_name='AHM-NODE-%d' % own, priority=own)
    values.update(lines)
    values = {key: value for key, value in values.items() if value is not None}
    return load(directory, yaml.safe_dump(values), size, own)


def settings(directory, size=3, own=None, **lines):
    """The core's Settings of all nodes; `own` are lines of one node's file, by its number."""
    return [core_settings(configured(directory, size, number, **dict(
        lines, **(own or {}).get(number, {})))) for number in range(1, size + 1)]


def world(directory, size=3, own=None, **lines):
    """A formed World of a cluster with these lines."""
    return formed(settings(directory, size, own, **lines))


def starting(directory, size=3, own=None, **lines):
    """A World with these lines in which every daemon is just starting."""
    begun = World(settings(directory, size, own, **lines))
    begun.start_all()
    return begun
