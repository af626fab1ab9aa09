"""A whole cluster for a test: ahmlib.lab.cluster with every kind of host, server and disk.

    with Cluster('namespaces', nodes=3, settings={'pre_promotion_command': '/bin/true'}) as cluster:
        cluster.start_ahm()
        ...
        cluster.nodes[0].power_off()

Leaving it ends the network namespaces and the disks, too.
"""
from ahmlib.lab import LabError, cluster
from ahmlib.lab.addresses import Plan
from ahmlib.lab.workspace import Workspace
from tests.lab import binaries
from tests.lab.hosts import NamespaceHost
from tests.lab.network import Switch, namespaces_available
from tests.lab.small_disk import SmallDisk
from tests.lab.stalling_disk import StallingDisk

#: Namespaces are a world of their own, so every lab there uses the same addresses.
NAMESPACE_PLAN = Plan('10.77.0')


class Cluster(cluster.Cluster):
    """A cluster on `kind` 'loopback' or 'namespaces'; for the rest see ahmlib.lab.cluster.Cluster.

    `version` chooses a PostgreSQL major version, which is fetched where the machine lacks it.
    """

    def __init__(self, kind='loopback', nodes=3, witnesses=0, version=None, **options):
        if kind not in ('loopback', 'namespaces'):
            raise ValueError('no such kind of lab: %r' % (kind,))
        self.kind = kind
        self.switch = None
        if options.get('installation') is None:
            options['installation'] = binaries.find_postgres(version)
        super().__init__(nodes, witnesses, **options)

    def _choose_plan(self, total):
        if self.kind == 'loopback':
            return super()._choose_plan(total)
        reason = namespaces_available()
        if reason:
            raise LabError(reason)
        return NAMESPACE_PLAN

    def _host(self, name, address):
        if self.kind == 'loopback':
            return super()._host(name, address)
        if self.switch is None:
            self.switch = self._stack.enter_context(Switch())
        return NamespaceHost(self.workspace, name, address, self.plan.vip, self.switch)

    def _listening(self, host):
        return super()._listening(host) if self.kind == 'loopback' else ('*', self.plan.network)

    def small_wal_disk(self, node, megabytes):
        """Put the WAL of this node's server, which is stopped, on a SmallDisk until the end."""
        return self._stack.enter_context(SmallDisk(node.database, megabytes))

    def stalling_disk(self, directory):
        """Put this directory, which is empty, on a StallingDisk until the end; returns that."""
        return self._stack.enter_context(StallingDisk(directory))


_reasons = {}


def loopback_available(version=None):
    """None where this machine can run loopback labs, else the reason why not (str).

    There must be a PostgreSQL (of this major version, where one is given; it is fetched where that
    is possible), and a user and an interpreter to run it all with.  Asked once.
    """
    if version not in _reasons:
        try:
            binaries.find_postgres(version)
            with Workspace():
                _reasons[version] = None
        except LabError as error:
            _reasons[version] = str(error)
    return _reasons[version]
