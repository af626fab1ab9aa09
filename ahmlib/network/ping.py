"""What a ping says: answered, silent, or neither.

Silence is evidence on which a takeover rests, so it is read from ping's own statistics ("1 packets
transmitted, 0 received") and never from its exit status: BusyBox and GNU inetutils exit with 1 as
well where they may not send at all, and so does any wrapper.  What is neither an answer nor silence
is "not known", with the reason.

Statistics lie in one way: iputils counts as transmitted what a firewall of this host dropped.  On
a link the neighbour tables tell (who_answers); for an address behind a router nothing does.
"""
import os
import re
from typing import NamedTuple, Optional

from ahmlib.network import addresses
from ahmlib.network.side_by_side import Running, await_all
from ahmlib.process.deadline import Deadline
from ahmlib.process.programs import last_line

SECONDS = 1     # that ping waits for an answer

# iputils, BusyBox, toybox; inetutils; what fping says, which some wrap.
STATISTICS = re.compile(r'(\d+) packets? transmitted, (\d+) (?:packets? )?received'
                        r'|xmt/rcv/%loss = (\d+)/(\d+)')
# "From 192.0.2.1 icmp_seq=1 Destination Host Prohibited", "92 bytes from 192.0.2.1: Dest ..."
SOURCE = re.compile(r'\b[Ff]rom ([0-9a-fA-F.:]*[0-9a-fA-F.:])[ :]')
# What keeps "0 received" from meaning that nobody is there.  "Destination Host Unreachable" and
# "Address unreachable" are not among them: whoever says so asked the link, and nobody answered.
TROUBLE = re.compile(r'prohibited|filtered|not permitted|permission denied|no route'
                     r'|net(?:work)? (?:is )?unreachable|exceeded|buffer space|unknown code'
                     r'|error:|sendmsg|sendto|sending packet', re.IGNORECASE)


class Heard(NamedTuple):
    """What a ping found: `answers` True, False (silence), or None (not known, see `reason`)."""

    answers: Optional[bool]
    reason: str = ''


def start(address: str, ping_path: str) -> Running:
    """Start one ping of `address`; a Running.  Older ones have a ping6 for IPv6."""
    program = os.path.join(ping_path, 'ping')
    if ':' in address and os.access(program + '6', os.X_OK):
        program += '6'
    return Running([program, '-n', '-c', '1', '-W', str(SECONDS), address])


def heard(running: Running, address: str) -> Heard:
    """The Heard of a ping of `address` that was started here, once it ended or was waited for."""
    if running.trouble:
        return Heard(None, 'cannot run ping: ' + running.trouble)
    if not running.has_ended:
        return Heard(None, '%r had not ended in time' % running.argv[0])
    return read(running.said(), address, running.code)


def read(output: str, address: str, code: Optional[int] = None) -> Heard:
    """The Heard of what a ping of `address` printed; its exit status is shown and not read."""
    statistics = list(STATISTICS.finditer(output))
    if not statistics:
        return Heard(None, 'ping did not say how many packets it sent and received (exit status '
                     '%s): %s' % (code, last_line(output) or 'it printed nothing'))
    sent, received = [int(number) for number in statistics[-1].groups() if number is not None]
    if sent and received:
        return Heard(True)
    if _refused_by(output, address):
        return Heard(True, 'it refuses to be pinged, so somebody is there')
    if not sent:
        return Heard(None, 'ping sent nothing: ' + last_line(output))
    trouble = [line.strip() for line in output.splitlines() if TROUBLE.search(line)]
    if trouble:
        return Heard(None, 'ping was not let through: %s' % trouble[0][:300])
    return Heard(False)


def _refused_by(output: str, address: str) -> bool:
    """Whether an error message came from `address` itself."""
    for source in SOURCE.findall(output):
        for text in (source, source.rstrip(':')):
            try:
                if addresses.canonical(text) == addresses.canonical(address):
                    return True
            except ValueError:
                continue
    return False


def hears_itself(address: str, ping_path: str, deadline: Deadline) -> str:
    """Whether ping gets an answer where it must, from this host itself: '' or why not.

    A ping that cannot hear itself is not believed where it hears nobody else.
    """
    loopback = '::1' if ':' in address else '127.0.0.1'
    running = start(loopback, ping_path)
    try:
        await_all([running], deadline)
        found = heard(running, loopback)
    finally:
        running.kill()
    if found.answers:
        return ''
    return '%s does not hear this host itself (%s: %s), so its silence says nothing: make it ' \
        'work for this user, or set ping_path' % (running.argv[0], loopback,
                                             found.reason or 'no answer')
