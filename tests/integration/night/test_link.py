"""Troubles of the link and of the programs that ask it, on hosts with interfaces of their own."""

import os

from ..scenarios import PAUSE, needs_namespaces, succeeds
from ..test_field_isolation import Stranger
from .reading import CRITICAL, LIMIT, WARNING, is_over, is_told, utility

pytestmark = needs_namespaces

CLUSTER = {'kind': 'namespaces'}
LACKS = 'a takeover here would lack: '
OVER = 'a takeover here would get through now, as far as can be tried'


def test_a_vip_that_somebody_else_has_too(night):
    """It drops pings; the leader asks the link once a minute."""
    scenario, first, second, _ = night
    stranger = Stranger(scenario)
    stranger.comes()
    text = 'the VIP %s of this node (%s) is answered for by %s' % (
        first.host.vip, first.host.address, stranger.hardware)
    is_told(scenario, first, second, text, CRITICAL)
    assert 'remove the address there' in utility(second)[0]
    stranger.goes()
    is_over(scenario, first, second, text, 'nobody else answers for the VIP any more')


def test_a_ping_that_is_missing_or_lies(night):
    """Its silence is not believed, so nobody takes over here from a host that is lost."""
    scenario, first, second, _ = night
    directory = scenario.cluster.workspace.make_directory('pings')
    path = os.path.join(directory, 'ping')
    before = second.host.vip_commands()['ping_path']
    text = '%sping: no failover of a lost host: %s does not hear this host itself' % (
        LACKS, path)
    second.reload_ahm(ping_path=directory)
    is_told(scenario, second, first, text, WARNING)
    denied = '#!/bin/sh\necho "ping: permission denied" >&2\nexit 1\n'
    scenario.cluster.workspace.write(path, denied, executable=True)
    said = 'ping did not say how many packets it sent and received (exit status 1)'
    scenario.cluster.wait_until(lambda: said in utility(first)[0], LIMIT, said, PAUSE)
    assert utility(first, '--check')[1] == WARNING
    succeeds(second, 'ahm_promote_node', '--dry-run')   # whose old primary lives
    second.reload_ahm(ping_path=before)
    is_over(scenario, second, first, text, OVER)
