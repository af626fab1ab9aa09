"""A nodes.conf, or a quorum rule, that was changed since the daemon ran last.

A node that starts with another one belongs to another cluster from then on (R5), and its old one
has a vote less: restarted one after the other, they end an innocent leader, and nobody is enough to
elect the next one.  So a daemon whose state is of another cluster listens first, and does not start
beside a leader of that one, nor, where it was the leader itself, beside its nodes.  All restarted
at once is no such case: what they had before is soon silent.
"""

from ahmlib.core.foreign import ORDER
from ahmlib.network import wire
from ahmlib.network.udp import BeaconSocket
from ahmlib.runtime.settings import core_settings


class OtherLeader(Exception):
    """Somebody leads by another nodes.conf or quorum rule.  One line: who, and what to do."""


class Listening:
    """What is heard before this daemon acts; `settings` are those of its core.

    led: whether it was the leader of the other cluster; then every node of that one counts.
    """

    def __init__(self, settings, clock, led):
        self._settings, self._clock, self._led = settings, clock, led
        self.began_at = clock()
        self.other = None           # the newest ForeignRow that counts, and the host it came from
        self.other_at = None        # when that was heard
        self.is_joined = False      # somebody leads by the file of this node

    def datagram(self, data, peer):
        """Bytes came from the address of a peer."""
        try:
            row = wire.decode(data, self._settings.cluster, self._settings.size)
        except wire.ForeignRow as error:
            if error.leads or self._led:
                self.other, self.other_at = (error, peer[0]), self._clock()
        except wire.WireError:
            pass                    # the daemon tells of those, once it runs
        else:
            self.is_joined = self.is_joined or row.leads

    def ends_at(self):
        """Until when to listen: as long as a leader may be silent, from its newest row on.

        One that still leads after the promises to it would have ended has not been told to end.
        """
        timing = self._settings.timing
        if self.other_at is None:
            return self.began_at + timing.lease
        return min(self.other_at, self.began_at + timing.hold) + timing.lease

    def still_lives(self):
        """Whether the other cluster lives on, at the end."""
        return not self.is_joined and self.other_at is not None \
            and self.other_at >= self.began_at + self._settings.timing.hold


def listen(own, peers, multicast, loop, log, settings, led):
    """Listen for the other cluster, for as long as it takes; raises OtherLeader or UdpError.

    The first five are for BeaconSocket, the others for Listening.
    """
    listening = Listening(settings, loop.clock, led)
    log.notice('nodes.conf or the quorum rule was changed since AHM ran here last: listening for '
               'who lives by the one before, for %.4g s' % settings.timing.lease)
    beacons = BeaconSocket(own, peers, listening.datagram, loop, log, multicast)
    try:
        while not listening.is_joined and not listening.still_lives() \
                and loop.clock() < listening.ends_at():
            loop.run_once(listening.ends_at())
    finally:
        beacons.close()
    if listening.still_lives():
        row, host = listening.other
        raise OtherLeader(
            '%s at %s %s by another nodes.conf or quorum rule than that of this node%s, and '
            'this node is not started beside it: put back here what it has, or %s' % (
                row.name or 'the node', host, 'leads' if row.leads else 'lives',
                row.nodes and ' (%s there)' % ', '.join(row.nodes) or '', ORDER))


def why_not_restart(answer, config):
    """Why a daemon is not restarted, which has answered `answer` about itself; '' where it may be.

    What it answers is the driver's; one of the version before does not tell.
    """
    leader = answer.get('leader')
    if not leader or answer.get('cluster') in (None, core_settings(config).cluster):
        return ''
    return '%s or the quorum rule was changed since AHM was started here, and %s leads by the ' \
        'one before: restarted node by node, no majority is left for either.  Nothing was ' \
        'stopped; %s' % (config.nodes.path, leader, ORDER)
