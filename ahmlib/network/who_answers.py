"""Does anybody answer for the VIP, who, and is it the host of the node that is suspected?

Three witnesses are heard side by side, for about a second:

    ping            reaches through routers; says nothing where the holder drops ICMP
    arping -D       asks the link itself (IPv4; where there is an arping that may send)
    the neighbour   what the kernel learned when it sent the ping; only what it learned since
    entry           then, for an older entry leads to a host that may be dead

Whoever is heard answers.  Silence takes more: ping says that it sent and received nothing, and
can hear this host itself; and on a link, that the link was asked and nobody replied.  Where the
link shows nothing (a router between, an interface without ARP, a network in which one machine
replies for every address), ping alone counts.  What is left is "not known".

This host's own addresses are nobody else's.  A reply is of the suspect where it comes from the
hardware address of its own address in nodes.conf; two addresses behind one router, and a machine
that answers for all, are never told apart, so never "of the suspect".
"""
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from ahmlib.network import addresses, arping, neighbours, netlink, ping
from ahmlib.network.side_by_side import POLL_SECONDS, Running, await_all
from ahmlib.process.deadline import Deadline
from ahmlib.process.programs import last_line

if TYPE_CHECKING:
    from ahmlib.network.vip import VipSettings

# What is left for reading the tables after the programs.
LAST_SECONDS = 0.15
# In which a program that may not send has said so.
REFUSAL_SECONDS = 0.15
# The link has been asked for so long before "nobody has replied yet" is taken for nobody.
ASKED_SECONDS = 0.9

HELD = 'the VIP still answers on the link, though not to ping: drop it on the host that holds it'


class Link(NamedTuple):
    """What the link says of an address: `answers` None where it says nothing."""

    answers: Optional[bool]
    by: str = ''
    reason: str = ''
    is_dumb: bool = False       # it never says anything: ping alone counts


def ask(settings: 'VipSettings', limit: float, suspect: Optional[str] = None) -> Dict[str, Any]:
    """See ping_vip, which this is."""
    question = Question(settings, limit, suspect)
    try:
        question.listen()
        return question.answer()
    finally:
        question.close()


class Question:
    """One time that the VIP is asked for."""

    def __init__(self, settings: 'VipSettings', limit: float, suspect: Optional[str]) -> None:
        self.settings, self.suspect = settings, suspect
        self.address = settings.virtual_ip
        self.deadline = Deadline(limit)
        self.own = neighbours.own_hardware()
        self.is_here = _is_here(self.address)
        #: How else to probe, where the probe may not send.
        self.other: Optional[List[str]] = None
        self.is_neighbour = False       # whether the kernel itself asks the link for the address
        self.link, self.probe = self._prepare()
        # A VIP of this host's own answers this host's ping, which says nothing of others.
        self.ping = None if self.is_here else ping.start(self.address, settings.ping_path)

    def _prepare(self) -> Tuple[Optional[neighbours.OnLink], Optional[Running]]:
        """(the OnLink to look at, the probe that runs there); None each where there is none."""
        found = None if ':' in self.address else arping.program(
            self.settings.arping_cmd, self.settings.arping_path)
        direct = neighbours.find_link(self.address)
        named = neighbours.find_link(self.address, found.interface) \
            if found is not None and found.interface else None
        link = named or direct
        if link is None or not link.asks:
            return link, None
        self.is_neighbour = direct is not None and direct.ifindex == link.ifindex
        if self.is_neighbour:
            neighbours.forget(self.address, link)
            # Where a firewall of this host drops pings, this makes the kernel ask all the same.
            neighbours.solicit(self.address)
        if self.suspect:
            neighbours.solicit(self.suspect)
        if found is None:
            return link, None
        plain = arping.without_rights(found)
        if plain != found:
            self.other = arping.probe_command(found, link.name, self.address)
        return link, Running(arping.probe_command(plain, link.name, self.address))

    def close(self) -> None:
        """End what still runs."""
        for running in (self.ping, self.probe):
            if running is not None:
                running.kill()

    def listen(self) -> None:
        """Wait for the programs; no longer than it takes to know that somebody answers."""
        if self.other is not None and self.probe is not None:
            await_all([self.probe], Deadline(REFUSAL_SECONDS))
            if self.probe.has_ended and arping.read(self.probe.said()).sent is None:
                self.probe.kill()
                self.probe = Running(self.other)
        running = [each for each in (self.ping, self.probe) if each is not None]
        await_all(running, Deadline(max(self.deadline.remaining() - LAST_SECONDS, 0.05)),
                  self._has_heard)

    def _has_heard(self) -> bool:
        return (self.ping is not None and self.ping.has_ended
                and ping.heard(self.ping, self.address).answers is True)

    def answer(self) -> Dict[str, Any]:
        """The result of ping_vip."""
        link = self._link_says()
        if self.is_here:
            heard = ping.Heard(None, 'the address is on this host, so a ping of it says nothing')
        else:
            assert self.ping is not None
            heard = ping.heard(self.ping, self.address)
        if heard.answers:
            return self._result(True, heard.reason, link.by)
        if link.answers:
            if not self._is_dumb_after_all(link.by):
                return self._result(True, link.reason, link.by)
            link = Link(None, is_dumb=True)
        if self.is_here:
            return self._result(link.answers, link.reason or heard.reason)
        if heard.answers is None:
            return self._result(None, 'cannot ping: ' + heard.reason)
        return self._silence(link)

    def _silence(self, link: Link) -> Dict[str, Any]:
        """What it means that ping says it heard nothing."""
        if self.link is not None and self.link.asks and not self.link.has_carrier:
            return self._result(None, '%s has no carrier, so nothing has left this host'
                                % self.link.name)
        if link.answers is None and not link.is_dumb:
            return self._result(None, link.reason)
        deaf = ping.hears_itself(self.address, self.settings.ping_path, self.deadline)
        return self._result(None, deaf) if deaf else self._result(False, '')

    def _link_says(self) -> Link:
        """The Link, from the probe where it says something, else from the neighbour entry."""
        if self.link is None or not self.link.asks:
            return Link(None, is_dumb=True)
        told = arping.read(self._probe_said())
        strangers = [each for each in told.hardware if each not in self.own]
        if strangers:
            return Link(True, self._strangest(strangers), HELD)
        found = self._entry_says() if self.is_neighbour else Link(None, is_dumb=True)
        # The probe goes before the entry: a proxy answers the kernel's question, and no probe.
        return Link(False, found.by) if told.sent else found

    def _probe_said(self) -> str:
        return self.probe.said() if self.probe is not None and self.probe.has_ended else ''

    def _strangest(self, strangers: List[str]) -> str:
        """Of several that reply, one that is not the suspect's host: that is the worse news."""
        assert self.link is not None
        known = neighbours.hardware_of(self.suspect, self.link) if self.suspect else ''
        return min(strangers, key=lambda each: each == known)

    def _entry_says(self) -> Link:
        """The Link, as the kernel's neighbour entry has it."""
        assert self.link is not None
        try:
            entry = self._settled_entry()
        except OSError:
            return Link(None, is_dumb=True)
        since = self.deadline.elapsed() + neighbours.CLOCK_SECONDS
        if entry is None:
            return Link(None, '', 'ping says that it sent, but the kernel asked nobody on %s for '
                        'the address: does a firewall of this host drop what it sends? %s'
                        % (self.link.name, self._remedy()))
        if entry.state & neighbours.UNASKED:
            return Link(None, entry.hardware, is_dumb=True)
        if entry.state & neighbours.NOBODY or entry.hardware in self.own:
            return Link(False)
        if entry.confirmed > since:
            return Link(None, entry.hardware, 'the ping went to an old neighbour entry (%s on %s) '
                        'and was not answered, and nobody else was asked; that entry ends by '
                        'itself in a while; %s'
                        % (entry.hardware, self.link.name, self._remedy()))
        return Link(True, entry.hardware, HELD)

    def _settled_entry(self) -> Optional[netlink.Neighbour]:
        """The entry, once somebody has replied or has had the time to."""
        assert self.link is not None
        while True:
            entry = neighbours.entry(self.address, self.link)
            if entry is None or not entry.state & neighbours.UNDECIDED \
                    or self.deadline.elapsed() > ASKED_SECONDS or self.deadline.is_over():
                return entry
            self.deadline.sleep(POLL_SECONDS)

    def _remedy(self) -> str:
        if ':' in self.address:
            return 'with the right to change neighbour entries (CAP_NET_ADMIN) AHM asks anew'
        if self.probe is None:
            return 'set arping_cmd, whose program asks the link itself'
        return 'arping did not ask the link: %s' % (
            self.probe.trouble or last_line(self._probe_said()) or 'it said nothing')

    def _is_dumb_after_all(self, hardware: str) -> bool:
        assert self.link is not None
        besides = [self.address] + ([self.suspect] if self.suspect else [])
        return neighbours.answers_for_all(hardware, self.link, besides, self.deadline)

    def _is_of_suspect(self, hardware: str) -> bool:
        """Whether `hardware` is demonstrably that of the suspect's own address."""
        if not hardware or not self.suspect or neighbours.is_virtual_router(hardware) \
                or neighbours.has_router(self.suspect) is not False:
            return False
        assert self.link is not None
        return (neighbours.hardware_of(self.suspect, self.link) == hardware
                and not self._is_dumb_after_all(hardware))

    def _result(self, answers: Optional[bool], reason: str, by: str = '') -> Dict[str, Any]:
        return {'ok': answers is not None, 'reason': reason, 'answers': answers, 'by': by,
                'of_suspect': bool(answers) and self._is_of_suspect(by), 'here': None}


def _is_here(address: str) -> bool:
    """Whether the address stands on an interface of this host; False where that is not told."""
    try:
        return bool(addresses.places(address))
    except (OSError, ValueError):
        return False
