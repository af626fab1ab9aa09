"""The VIP on this host: seen, wanted, and put right where the two differ.

What counts is what is on the interface, looked up at every health check, never what was last
ordered. The takeover raises the VIP and the step-down drops it; this module keeps it so in
between: a leader puts a lost VIP back, and every other node drops one that it finds on itself.

An address that the kernel does not use (duplicate address detection refused it) is none: a leader
removes it and raises it again.  Its holder looks now and then whether somebody else answers for
it, too; such a rival is named, and the VIP is announced again and again until it is gone.
"""

from typing import Any, List, NamedTuple, Optional

from ..beacon import Farewell
from ..consensus.consensus import Consensus
from ..effects import AnnounceVip, CheckVip, LowerVip, PingVip, RaiseVip
from ..events import ActionEnded, VipChecked, VipPinged
from ..facts import Facts
from ..limits import PING_SECONDS, VIP_COMMAND_SECONDS
from ..out import Out
from ..states import DatabaseState, Role
from .database import LocalDatabase
from .isolation import HEARD_SHARE, Isolation
from .pause import Paused
from .place import PrimaryPlace

#: Seconds after a takeover at which the VIP is announced again: caches that missed the first one.
ANNOUNCE_AFTER_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Between two looks for a rival: while none is known, and while one is.
RIVAL_SECONDS, RIVAL_KNOWN_SECONDS = 60.0, 1.0


class Rival(NamedTuple):
    """Somebody else who answers for the VIP."""
    address: str                # its hardware address; '' where not known
    node: Optional[int]         # whose host that is; None: of no node that is known


class Vip:
    """The VIP as this node sees and wants it."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 paused: Paused, place: PrimaryPlace, isolation: Isolation,
                 tolerated_until: float) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.paused, self.place, self.isolation = paused, place, isolation
        self.here: Optional[bool] = None if self.configured else False
        self.usable = True              # the kernel uses it, where it is here
        self.why_unusable = self.not_raised = ''
        self.remark = ''                # what its newest look wants people to know
        self.to_tell = False            # raised, and not announced yet
        self.not_announced = ''         # why the newest announcement failed, as people were told
        self.rival: Optional[Rival] = None
        self.rival_look_at = 0.0
        self.tolerated_until = tolerated_until  # found at the start under a lease that still runs
        #: A majority is in contact by then, where there is one; what is left of T_fence is for the
        #: VIP to go, for somebody else may have been elected while no daemon was here.
        self.found_until = self.facts.now + HEARD_SHARE * self.facts.timing.fence
        self.check_at = 0.0
        self.busy = False
        self.changed_at = float('-inf')     # when a VIP command last ended
        self.retry_at = 0.0
        self.announce_at: List[float] = []
        self.ping_at = 0.0
        self.pinging = False
        self.silent_at: Optional[float] = None      # when the newest ping began, if unanswered

    @property
    def configured(self) -> bool:
        """Whether there is one at all."""
        return bool(self.facts.settings.vip)

    @property
    def wanted(self) -> bool:
        """Whether the VIP belongs here."""
        return self.configured and self.leads(self.facts.now)

    def leads(self, now: float) -> bool:
        """Whether clients belong to this leader at that instant, which may be later than now."""
        return self.consensus.role is Role.LEADS and now < self.consensus.tenure.until()

    def serves(self, now: float) -> bool:
        """Whether clients may write here at that instant, with a VIP or without (R64)."""
        if self.database.state is not DatabaseState.PRIMARY:
            return False
        if self.leads(now):
            return self.place.is_on_record()
        return self.consensus.role in (Role.FOLLOWS, Role.STANDS) and self.is_spared()

    @property
    def held(self) -> Optional[bool]:
        """Whether it is here, as the row says: for a leader one that is not usable is not."""
        if self.consensus.leads and self.here and not self.usable:
            return False
        return self.here

    @property
    def problem(self) -> str:
        """What is wrong with it, for the row; '' where nothing is."""
        if self.here and not self.usable:
            return 'the VIP is on this host and cannot be used: %s' % self.why_unusable
        if self.here is False and self.not_raised and self.wanted:
            return 'the VIP is not on this host, whose node leads: %s' % self.not_raised
        return self._described() if self.rival is not None else ''

    def tolerated(self) -> bool:
        """Whether a VIP found here may stay though this node does not lead yet, or leaves."""
        return (self.consensus.farewell is not Farewell.NONE
                or not self.facts.reached(self.tolerated_until)
                or self.consensus.tenure.has_lease() or self._is_kept())

    def may_stay_until(self) -> float:
        """Until when nobody else can have use for a VIP that was found here."""
        return max(self.tolerated_until, self.isolation.believed_until())

    def _is_kept(self) -> bool:
        """Whether it stays with the primary beside which it was found (R54).

        Clients write there anyhow, for as long as others believe that it runs.
        """
        if self._is_elsewhere():
            return False
        if self.is_spared() or self.paused.spares() and not self.database.checked:
            return True
        return not self.facts.reached(self.found_until) or (
            not self.facts.reached(self.isolation.believed_until())
            and (not self.database.checked or self.facts.row.rightful))

    def _is_elsewhere(self) -> bool:
        return any(row.leads or row.holds_vip for row in self.consensus.members.in_touch())

    def is_spared(self) -> bool:
        """Whether a pause leaves clients to the primary here, and nobody else has them (R59)."""
        return self.paused.spares() and self.database.runs_as_primary and not self._is_elsewhere()

    def decide(self) -> None:
        """Look, and put right."""
        if not self.configured:
            return
        self._listen()
        if self.busy:
            return
        if self.facts.reached(self.check_at):
            self._check()
        elif self.wanted and (self.here is False or self.here and not self.usable) \
                and self.facts.reached(self.retry_at):
            self.out.report('WARNING', 'vip', 'the VIP is not on this host, whose node leads: '
                            'raising it' if not self.here else '%s; raising it anew' % self.problem)
            self._act(RaiseVip(0, VIP_COMMAND_SECONDS))
        elif self.here is not False and not self.wanted and not self.tolerated() \
                and not self.consensus.steps_down and self.facts.reached(self.retry_at):
            self.out.report('WARNING', 'vip', 'the VIP is on this host, or may be, and its node '
                            'does not lead: dropping it')
            self._act(LowerVip(0, VIP_COMMAND_SECONDS))
        elif self.wanted and self.announce_at and self.facts.reached(self.announce_at[0]):
            self.announce_at = [at for at in self.announce_at if at > self.facts.now]
            self.busy = True
            self.out.ask(AnnounceVip(0, VIP_COMMAND_SECONDS), self._announced)
        elif self.wanted and self.here and not self.pinging \
                and self.facts.reached(self.rival_look_at):
            self._look_for_rival()

    def _listen(self) -> None:
        """While the leader is missed: does the VIP still answer?  So a takeover need not wait."""
        if not self.consensus.follower.misses_leader or self.here is not False or self.pinging \
                or not self.facts.reached(self.ping_at):
            return
        self.pinging = True
        self.ping_at = self.facts.now + max(1.0, self.facts.settings.interval / 2)
        began = self.facts.now
        self.out.ask(PingVip(0, PING_SECONDS, self.suspect()),
                 lambda event: self._pinged(event, began))

    def _pinged(self, event: VipPinged, began: float) -> None:
        self.pinging = False
        self.silent_at = began if event.answers is False else None

    def suspect(self) -> Optional[int]:
        """Whose host may answer for it still: that of the old primary, if that is another one."""
        suspect = self.place.suspect
        return None if suspect == self.facts.own else suspect

    # -- a rival -------------------------------------------------------------------------------

    def _look_for_rival(self) -> None:
        self.pinging = True
        self.rival_look_at = self.facts.now + (RIVAL_SECONDS if self.rival is None
                                         else RIVAL_KNOWN_SECONDS)
        about = None if self.rival is None else self.rival.node
        self.out.ask(PingVip(0, PING_SECONDS, about), self._looked_for_rival)

    def _looked_for_rival(self, event: VipPinged) -> None:
        self.pinging = False
        if not self.wanted or not self.here:
            self.rival = None
        elif event.answers and event.by:
            about = self.rival.node if self.rival is not None and event.of_suspect else None
            self.has_rival(event.by, about)
            self.announce_at = self.announce_at or [self.facts.now]
        elif event.answers is False and self.rival is not None:
            self.out.report('NOTICE', 'vip', 'nobody else answers for the VIP any more')
            self.rival = None
            self.announce_again()

    def has_rival(self, address: str, about: Optional[int]) -> None:
        """Somebody else answers for the VIP, and it is raised here all the same."""
        if self.rival != Rival(address, about):
            self.rival = Rival(address, about)
            self.rival_look_at = self.facts.now + RIVAL_KNOWN_SECONDS
            self.out.report('CRITICAL', 'vip', '%s; it is announced again and again until that '
                             'ends' % self._described())

    def _described(self) -> str:
        rival = self.rival
        assert rival is not None
        return 'the VIP %s of this node (%s) is answered for by %s, too: remove the address there' \
            % (self.facts.settings.vip, self.facts.settings.host(self.facts.own),
               describe(self.facts, *rival))

    def silent_lately(self) -> bool:
        """Whether the newest ping, not long ago, was not answered."""
        fresh = 3 * max(1.0, self.facts.settings.interval / 2)
        return self.silent_at is not None and not self.facts.reached(self.silent_at + fresh)

    def _check(self) -> None:
        self.check_at = self.facts.now + self.facts.settings.health_check_period
        self.busy = True
        began = self.facts.now
        self.out.ask(CheckVip(0, self.facts.settings.connect_timeout),
                      lambda event: self._checked(event, began))

    def _checked(self, event: VipChecked, began: float) -> None:
        self.busy = False
        if began < self.changed_at:
            self.check_at = self.facts.now   # a command has ended meanwhile: this is old news
            return
        if event.here is None:
            self.out.report('ERROR', 'vip', 'whether the VIP is here could not be found out: %s'
                             % event.reason)
        self.here = event.here
        self._use(event.usable, event.reason)
        remark = event.reason if event.here and event.usable else ''
        if remark and remark != self.remark:
            self.out.report('WARNING', 'vip', remark)
        self.remark = remark

    def _use(self, usable: bool, reason: str) -> None:
        self.usable, self.why_unusable = usable, reason if not usable else ''

    def observe(self, here: Optional[bool], failed: str = '') -> None:
        """A command has ended, and the VIP was seen here or not; raised in vain, it is no use.

        What has changed by it is told.
        """
        before, was_up = self.here, bool(self.here and self.usable)
        self.here, self.changed_at, self.not_raised = here, self.facts.now, failed
        self._use(not (here and failed), failed)
        address = self.facts.settings.vip
        if here and not failed and not was_up:
            self.to_tell = True
            self.out.report('NOTICE', 'vip', 'the VIP %s is on this host now' % address)
        elif before and here is False:
            self.out.report('NOTICE', 'vip', 'dropped the VIP %s' % address)

    def _act(self, effect: Any) -> None:
        self.busy = True
        self.retry_at = self.facts.now + min(1.0, self.facts.settings.health_check_period)
        self.out.ask(effect, self._acted)

    def _acted(self, event: ActionEnded) -> None:
        self.busy = False
        raised = event.ok and event.here and not (self.here and self.usable)
        self.observe(event.here, '' if event.ok else event.reason)
        if raised:
            self.announce_again()
        if not event.ok:
            self.out.report('ERROR', 'vip', 'a VIP command failed: %s' % event.reason)

    def _announced(self, event: ActionEnded) -> None:
        self.busy = False
        if event.ok and self.to_tell:
            self.to_tell = False
            self.out.report('INFO', 'vip', 'announced the VIP %s' % self.facts.settings.vip)
        if not event.ok and event.reason != self.not_announced:
            self.out.report('ERROR', 'vip', 'the VIP could not be announced: %s' % event.reason)
        self.not_announced = '' if event.ok else event.reason

    def look_for_rival_soon(self) -> None:
        """Find out at once who else answers, once it is here."""
        self.rival_look_at = self.facts.now

    def check_soon(self) -> None:
        """Look at once."""
        self.check_at = self.facts.now

    def announce_again(self) -> None:
        """Announce several times from now on."""
        self.announce_at = [self.facts.now + after for after in ANNOUNCE_AFTER_SECONDS]


def describe(facts: Facts, address: str, about: Optional[int]) -> str:
    """Who answers for the VIP, in words: a hardware address, and whose host that is."""
    told = address or 'a host whose hardware address is not known'
    if about is None:
        return told
    return '%s (the host of %s, %s)' % (told, facts.name_of(about), facts.settings.host(about))
