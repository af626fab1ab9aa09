"""What a follower does by itself, here: a standby that is restarted to follow another primary."""

import pytest

from ahmlib.core import effects, events
from ahmlib.core.beacon import Evidence, Verdict
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import Node
from ahmlib.core.policy.database import STREAM_GRACE_SECONDS
from ahmlib.core.procedures.take_over import _promoted
from ahmlib.core.states import DatabaseState, NodeState

from .rows import SYSTEM, one_settings, row

FAILING = events.DatabaseChecked(0, Verdict.UNREACHABLE, 'no answer')


class Follower:
    """Node 1 of three, which follows node 2; its database was set to follow another primary."""

    def __init__(self, health_check_period=0.5):
        self.settings = one_settings(health_check_period=health_check_period, max_consec_failures=2)
        self.node = Node(self.settings, Saved(), 4711, 100.0)
        self.now = 100.0
        self.check = events.DatabaseChecked(
            0, Verdict.REACHABLE, in_recovery=True, system_id=SYSTEM, timeline=1, lsn=1000,
            streaming=False, upstream=('192.0.2.99', 5432))
        self.follows, self.told = [], []
        self.feed(events.Started())

    def feed(self, event):
        for effect in self.node.handle(event, self.now).in_order():
            kind = type(effect)
            if kind is effects.Report:
                self.told.append((effect.severity, effect.text))
            if kind is effects.SaveState:
                self.feed(events.StateSaved(effect.saved))
            elif kind is effects.CheckVip:
                self.feed(events.VipChecked(effect.token, False))
            elif kind is effects.CheckDatabase:
                self.feed(self.check._replace(token=effect.token))
            elif kind is effects.FollowPrimary:
                self.follows.append(effect)

    def live(self, seconds):
        """Hear the leader now and then, and do what is due."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.2
            speaker, inquiry = self.node.consensus.speaker, self.node.parts.standby.inquiry
            # Asked whether it reaches this node's database, the leader does not.
            evidence = inquiry and Evidence(0, Verdict.UNREACHABLE, 0.0, 0, inquiry.number)
            self.feed(events.BeaconHeard(row(
                1, seq=int(self.now * 10), term=4, state=NodeState.LEADER, leader=1,
                database=DatabaseState.PRIMARY, rightful=True, holds_vip=True, ok_age=0.0,
                timeline=2, heard=((4711, speaker.seq), None, None), evidence=evidence)))

    def follow_ended(self, ok, **facts):
        """The world has pointed the database to the primary, or could not."""
        self.feed(events.ActionEnded(self.follows[-1].token, ok, '' if ok else 'it is broken',
                                     **facts))


def test_a_walreceiver_that_is_refused_again_and_again_does_not_stream():
    """A check met it just before the refusal: without WAL that is gone it was promoted."""
    follower = Follower()
    refused = follower.check._replace(upstream=(follower.settings.host(1), 5432))
    follower.check = refused
    follower.live(STREAM_GRACE_SECONDS + 2.0)
    assert follower.node.own_row().streaming is False
    for _ in range(4):
        follower.check = refused._replace(streaming=True)
        while not follower.node.parts.database.streams_anew:
            follower.live(0.2)
        follower.check = refused
        follower.live(3.0)
        assert follower.node.own_row().streaming is False
    follower.check = refused._replace(streaming=True)
    follower.live(2.5)
    assert follower.node.own_row().streaming is True


@pytest.mark.parametrize('found', [
    FAILING, events.DatabaseChecked(0, Verdict.REACHABLE, in_recovery=False, system_id=SYSTEM,
                                    timeline=2, lsn=2000)])
def test_a_standby_that_streams_again_for_a_moment_is_not_checked_ever_faster(found):
    """What came after that moment was checked every second: it failed in no time."""
    follower = Follower(health_check_period=30.0)
    follower.live(2 * 30.0 + 1.0)
    follower.check = follower.check._replace(streaming=True)
    while not follower.node.parts.database.streams_anew:
        follower.live(0.2)
    follower.check = found
    follower.live(20.0)
    database = follower.node.parts.database
    assert database.failures <= 1 and not database.streams_anew
    assert follower.node.parts.checks.next_at > follower.now + 5.0


def a_restarted_standby():
    """One that fails its checks because it is being restarted to follow the new primary."""
    follower = Follower()
    follower.live(STREAM_GRACE_SECONDS + 2.0)
    assert follower.node.consensus.follower.following and len(follower.follows) == 1
    follower.check = FAILING
    follower.live(3.0)
    assert follower.node.parts.database.failed
    return follower


def test_a_standby_that_ahm_itself_restarts_is_not_reported_out():
    """Before PostgreSQL 13 following another primary takes a restart."""
    follower = a_restarted_standby()
    assert not follower.node.parts.database.out and follower.node.state is NodeState.STANDBY
    follower.follow_ended(ok=True)
    assert not follower.node.parts.database.out and not follower.node.parts.database.failed
    follower.check = events.DatabaseChecked(
        0, Verdict.REACHABLE, in_recovery=True, system_id=SYSTEM, timeline=2, lsn=2000,
        streaming=True, upstream=(follower.settings.host(1), 5432))
    follower.live(2.0)
    assert follower.node.own_row().database is DatabaseState.STANDBY
    assert not follower.node.parts.database.out and len(follower.follows) == 1


def test_a_standby_that_does_not_come_back_from_that_restart_is_reported_out():
    follower = a_restarted_standby()
    follower.follow_ended(ok=False)
    follower.live(1.0)
    assert follower.node.parts.database.out and follower.node.state is NodeState.LOST


def test_a_standby_that_fails_after_that_restart_is_reported_out():
    follower = a_restarted_standby()
    follower.follow_ended(ok=True)
    follower.live(2.0)
    assert follower.node.parts.database.out and follower.node.state is NodeState.LOST


def a_pointed_standby():
    """One that is being pointed to the new primary."""
    follower = Follower()
    follower.live(STREAM_GRACE_SECONDS + 2.0)
    assert len(follower.follows) == 1
    return follower


def test_what_a_follow_remarks_is_told():
    follower = a_pointed_standby()
    follower.follow_ended(ok=True, remark='an inactive slot keeps 208 MB')
    assert ('WARNING', 'an inactive slot keeps 208 MB') in follower.told


def test_a_standby_that_a_follow_finds_diverged_is_quarantined_and_out():
    """It was tried again every ten seconds, for ever."""
    follower = a_pointed_standby()
    follower.follow_ended(ok=False, diverged=True)
    assert follower.node.own_row().database is DatabaseState.QUARANTINED
    assert follower.node.parts.database.out == 'it is broken'


def test_what_a_look_at_the_vip_remarks_is_told_once():
    follower = Follower()
    for _ in range(2):
        found = events.VipChecked(0, True, 'it is on two interfaces')
        follower.node.parts.vip._checked(found, 100.0)
    told = [effect.text for effect in follower.node.out.effects if type(effect) is effects.Report]
    assert told.count('it is on two interfaces') == 1


def test_a_promotion_that_ended_before_what_there_was_to_replay_is_critical_in_bytes():
    """"Command Success", and 100 of 100 acknowledged rows were gone."""
    follower = Follower()
    _promoted(follower.node.parts, events.ActionEnded(0, True, timeline=2, lsn=950, switch_lsn=900,
                                                needed_lsn=1000))
    told = [effect for effect in follower.node.out.effects if type(effect) is effects.Report]
    assert told[-1].severity == 'CRITICAL' and 'recovery 100 bytes before' in told[-1].text
    follower.node.out.effects = []
    _promoted(follower.node.parts, events.ActionEnded(0, True, timeline=2, lsn=950, switch_lsn=1000,
                                                needed_lsn=1000))
    assert [effect.severity for effect in follower.node.out.effects
            if type(effect) is effects.Report] == ['NOTICE']


def test_a_rehearsal_that_could_not_run_changes_nothing_that_is_known_of_a_takeover():
    """Not known is not well: what failed in the one before still does, as far as is known."""
    follower = Follower()
    fails = events.Rehearsed(0, ('if_up_cmd: it fails',), ('arping_cmd: it fails',))
    for found in (fails, events.Rehearsed(0, None)):
        follower.node.parts.rehearsals.soon()
        asked = [effect for effect in follower.node.handle(events.Ticked(), follower.now).asked
                 if isinstance(effect, effects.Rehearse)]
        assert len(asked) == 1
        follower.feed(found._replace(token=asked[0].token))
        assert follower.node.parts.rehearsals.would_fail == ('if_up_cmd: it fails',)
        assert [trouble.text for trouble in follower.node.own_row().troubles] == [
            'a takeover here would fail: if_up_cmd: it fails; a takeover here would lack: '
            'arping_cmd: it fails']
