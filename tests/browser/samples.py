"""What a daemon says by HTTP, made by its own code, of a cluster in the simulated world."""
import copy
import json

from ahmlib.core.status import status
from ahmlib.http import live
from ahmlib.http.request import Request
from ahmlib.http.site import Site
from ahmlib.runtime.answers import Server
from ahmlib.runtime.history import instant
from ahmlib.simulation.host import make_settings
from ahmlib.simulation.world import World

#: When the simulated world began, for people.
EPOCH = 1796000000.0


class History(list):
    """The history of a host, as the daemon keeps it, with the instant of each event."""

    kinds = {}

    def __init__(self, world, host):
        super().__init__()
        self._world, self._host, self._kept = world, host, []

    def append(self, record):
        """A record that the simulation keeps."""
        super().append(record)
        # The clock of the host, in which its steps are told, and the time for people.
        ahead = self._host.clock(self._world.now) - self._world.now
        node = self._host.node or self._host.last_node
        self._kept.append({
            'schema': 1, 'at': instant(EPOCH + self._world.now), 'node': self._host.settings.name,
            'term': node.consensus.term, 'seq': len(self), 'kind': record.kind,
            'cause': record.cause, 'by': record.by, 'text': record.text,
            'steps': [{'name': name, 'at': instant(EPOCH + at - ahead), 'took': round(took, 3)}
                      for name, at, took in record.steps]})

    def kept(self):
        """Its events."""
        return sorted(self._kept, key=lambda event: (event['term'], event['seq']))


class Config:
    """Where a Config is: what the page's numbers are computed from."""

    http_port = 8008
    health_check_period, max_consec_failures, db_connect_timeout = 0.5, 2, 1.0

    def __init__(self, settings):
        self.beacon_message_interval_seconds = settings.interval
        self.beacon_message_retry_count = settings.retries

    def __getattr__(self, name):
        return None


class Driver:
    """Where a Driver is, over a host of the simulated world."""

    def __init__(self, world, own):
        host = world.hosts[own]
        self.node, self.config = host.node, Config(host.settings)
        self.history, self.server = host.history, Server()

    def status(self):
        """What utilities are told."""
        return status(self.node.parts)

    def tick(self):
        """The world has its own clock."""


def site_of(world, own=0):
    """The Site of this host."""
    counters = type('Counters', (), {'majority_at': EPOCH})()
    return Site(Driver(world, own), counters, None, None, None, None,
                lambda: world.hosts[own].clock(world.now))


def formed(size=3, synchronous=0, **changes):
    """A world in which the first node leads and all follow; so many confirm a commit."""
    world = World(make_settings(size, **changes), seed=1, synchronous=synchronous, lemmas=())
    for host in world.hosts:
        host.history = History(world, host)
    world.start_all()
    assert world.run_until(lambda: world.serves_clients(world.hosts[0]), 60.0)
    world.run(12.0)
    return world


def failed_over(size=3):
    """(a world whose first host has lost its power, the place of who leads now)."""
    world = formed(size)
    world.power_off(0)
    assert world.run_until(lambda: any(map(world.serves_clients, world.hosts)), 60.0)
    world.run(8.0)
    return world, next(place for place, host in enumerate(world.hosts)
                       if world.serves_clients(host))


def status_of(world, own=0):
    """/status of this host."""
    response = site_of(world, own).answer(Request('GET', '/status'))
    assert response.code == 200, response
    return json.loads(response.body.decode())


def events_of(world, own=0):
    """/events of this host."""
    return [json.loads(line) for line in site_of(world, own).answer(
        Request('GET', '/events')).body.decode().splitlines()]


def many(status_object, count):
    """This status with so many nodes: the last one again and again, under other names."""
    found = copy.deepcopy(status_object)
    for number in range(len(found['nodes']) + 1, count + 1):
        node = copy.deepcopy(found['nodes'][-1])
        node.update(name='AHM-NODE-%d' % number, address='10.0.%d.%d' % divmod(number, 250))
        found['nodes'].append(node)
    names = [node['name'] for node in found['nodes']]
    found['live']['deaf'] = [{'node': names[7], 'misses': names[1:13], 'more': 3}]
    return live.short(found)
