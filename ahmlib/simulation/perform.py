"""What each effect of the core does in the simulated world.

The table at the end is the counterpart of `runtime.driver`: one function an effect.  How a command
behaves (works, slow, fails, hangs, lies) is the host's; its limit is kept as the daemon keeps it:
what has not ended by then is ended by force, and answered as failed.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict

from ahmlib.core import effects, events
from ahmlib.core.beacon import Beacon, Verdict
from ahmlib.network import wire
from ahmlib.simulation.attaching import COPY_SECONDS, STALL_SECONDS, attached
from ahmlib.simulation.database import SYSTEM_ID
from ahmlib.simulation.host import FAILS, HANGS, LIES, SLOW, Host
from ahmlib.simulation.synchronous import set_synchronous

if TYPE_CHECKING:
    from ahmlib.simulation.world import World

COMMAND_SECONDS = 0.03
PROBE_SECONDS = 0.02
STRANGER = '02:ff:ff:ff:ff:ff'
#: How long ping waits for an answer.
SILENCE_SECONDS = 1.0
PROMOTION_SECONDS = 0.2
START_SECONDS = 0.2
#: From the order to restart a server until it accepts connections.
RESTART_SECONDS = 3.0
#: A slow command takes this many times as long.
SLOW_FACTOR = 20.0


def _save(world: 'World', host: Host, effect: effects.SaveState) -> None:
    """By a process of its own, which ends its work also where the daemon dies meanwhile."""
    life = host.life

    def written() -> None:
        if host.writing is not written or not host.powered:
            return
        if host.disk_stalls:
            return      # until it goes on: see `unstall`
        host.writing = None
        if not host.disk_full:
            world.saved(host, effect)
        if host.life == life:
            world.feed(host, events.StateSaveFailed('No space left on device') if host.disk_full
                       else events.StateSaved(effect.saved))
    assert host.writing is None, 'one save at a time'
    host.writing = written
    world.after(host.save_seconds, written)


def unstall(world: 'World', host: Host) -> None:
    """The disk of this host goes on: what waits for it is written."""
    host.disk_stalls = False
    if host.writing is not None:
        world.after(host.save_seconds, host.writing)


def _save_lease(world: 'World', host: Host, effect: effects.SaveLease) -> None:
    host.lease_until = effect.until


def _send(world: 'World', host: Host, effect: effects.SendBeacon) -> None:
    own, settings = host.settings.own, host.settings
    row = wire.decode(wire.encode(effect.beacon), settings.cluster, settings.size)
    for other in world.hosts[:settings.size]:
        if other is host or effect.to not in (None, other.settings.own):
            continue
        world.network.kept.append((other.settings.own, row))
        for delay in world.network.arrivals(own, other.settings.own, effect.to is None):
            world.after(delay, partial(_bring, world, other, row))


def _bring(world: 'World', host: Host, row: Beacon) -> None:
    """A row arrives; one of another nodes.conf does not count, nor one of who is not in the own."""
    if row.cluster == host.settings.cluster:
        world.feed(host, events.BeaconHeard(row))
    elif row.sender < host.settings.size:
        world.feed(host, events.ForeignHeard(host.settings.host(row.sender), row.name, row.nodes))


def replay(world: 'World', to: int) -> None:
    """Old datagrams reach this node once more."""
    host = world.hosts[to]
    for target, row in list(world.network.kept):
        if target == to:
            world.after(0.001, partial(_bring, world, host, row))


# -- looking -----------------------------------------------------------------------------------

def _check_database(world: 'World', host: Host, effect: effects.CheckDatabase) -> None:
    if host.behaviour('check') == SLOW:     # it looks, and is long in saying what it saw
        found = _checked(world, host, effect.token)
        _answer_check(world, host, host, effect, lambda: found, PROBE_SECONDS * SLOW_FACTOR)
    else:
        _answer_check(world, host, host, effect, lambda: _checked(world, host, effect.token))


def _checked(world: 'World', host: Host, token: int) -> events.DatabaseChecked:
    mine = host.database
    if not mine.running or mine.hung or host.settings.own in world.local_path_fails:
        return events.DatabaseChecked(token, Verdict.UNREACHABLE, 'connection refused')
    if mine.starting:
        return events.DatabaseChecked(token, Verdict.STARTING, 'the database system is starting up')
    if host.refuses_checks:
        return events.DatabaseChecked(token, Verdict.REACHABLE, 'password authentication failed')
    upstream = None if mine.upstream is None else (
        world.spelled.get(host.settings.own) or host.settings.host(mine.upstream),
        host.settings.db_port)
    (needed, names), streams = mine.synchronous, world.upstream_of(host) is not None
    hidden = mine.in_recovery and mine.hides_wal and not streams
    return events.DatabaseChecked(
        token, Verdict.REACHABLE, '', mine.in_recovery, SYSTEM_ID, mine.timeline,
        mine.replayed if hidden else mine.lsn, streams, upstream, needed, names,
        tuple(world.streaming_from(host)),
        mine.replayed, mine.standstill, mine.held, not hidden, mine.mismatch,
        pending=mine.pending)


def _answer_check(world: 'World', host: Host, target: Host, effect: Any,
                  make: Callable[[], Any],
                  seconds: float = PROBE_SECONDS) -> None:
    slow = not target.powered or (target.database is not None and target.database.hung) \
        or not world.network.connects(host.settings.own, target.settings.own)
    world.later(host, effect.limit if slow else seconds, make)


def _probe(world: 'World', host: Host, effect: effects.ProbeDatabase) -> None:
    target = world.hosts[effect.about]

    def probed() -> events.DatabaseProbed:
        mine = target.database
        if mine is None or not target.powered or not mine.running or mine.hung \
                or not world.network.connects(host.settings.own, effect.about):
            return events.DatabaseProbed(effect.token, Verdict.UNREACHABLE, 'no answer')
        starting = (mine.in_recovery and not target.refuses_checks) or mine.starting
        return events.DatabaseProbed(effect.token,
                                     Verdict.STARTING if starting else Verdict.REACHABLE)
    _answer_check(world, host, target, effect, probed)


def _check_vip(world: 'World', host: Host, effect: effects.CheckVip) -> None:
    def checked() -> events.VipChecked:
        here = None if host.settings.own in world.vip_unknown else host.has_vip
        why = 'no answer' if here is None else '' if host.vip_usable else 'duplicate address'
        return events.VipChecked(effect.token, here, why, host.vip_usable)
    world.later(host, 0.001, checked)


def _ping_vip(world: 'World', host: Host, effect: effects.PingVip) -> None:
    def pinged() -> events.VipPinged:
        own = host.settings.own
        if own in world.pings_in_vain:
            return events.VipPinged(effect.token, None, 'ping may not send')
        if own in world.vip_answers:
            return events.VipPinged(effect.token, True, by=STRANGER)
        holders = [other.settings.own for other in world.hosts
                   if other is not host and other.has_vip and other.powered
                   and world.network.connects(own, other.settings.own)]
        if not holders:
            return events.VipPinged(effect.token, False)
        return events.VipPinged(effect.token, True, by='02:00:00:00:00:%02x' % holders[0],
                                of_suspect=holders == [effect.about])
    world.later(host, min(effect.limit, SILENCE_SECONDS), pinged)


def _ping_trusted(world: 'World', host: Host, effect: effects.PingTrusted) -> None:
    if host.reaches_trusted:
        world.later(host, 0.01, lambda: events.TrustedPinged(effect.token, host.reaches_trusted))
    else:
        world.later(host, effect.limit, lambda: events.TrustedPinged(effect.token, False))


def _rehearse(world: 'World', host: Host, effect: effects.Rehearse) -> None:
    """What its commands would do now: those that fail here do so in a rehearsal, too."""
    fails = tuple('%s: it fails' % what for what in ('vip', 'hook')
                  if host.behaviour(what) == FAILS)
    world.later(host, PROBE_SECONDS, lambda: events.Rehearsed(effect.token, fails))


def _rehearse_handover(world: 'World', host: Host, effect: effects.RehearseHandover) -> None:
    """Whether its checkpoint would fail, and who would not let it in as a standby."""
    def done() -> events.HandoverRehearsed:
        mine = host.database
        if mine is None or not mine.running or mine.hung or mine.starting:
            return events.HandoverRehearsed(effect.token, None)
        there = [(place, world.hosts[place].database) for place in effect.servers]
        asked = tuple((place, 'no pg_hba.conf entry for replication connection'
                       if database.is_closed else '') for place, database in there
                      if database.running and not database.hung and not database.starting)
        return events.HandoverRehearsed(
            effect.token, asked,
            'it fails' if host.behaviour('checkpoint') == FAILS else '', mine.unarchived,
            mine.no_start)
    world.later(host, PROBE_SECONDS, done)


# -- acting ------------------------------------------------------------------------------------

def _act(world: 'World', host: Host, effect: Any, what: str, seconds: float,
         deed: Callable[[], events.ActionEnded]) -> None:
    """Let a command run as such commands behave here; `deed` does it and answers."""
    behaves = host.behaviour(what)
    if behaves == SLOW:
        seconds *= SLOW_FACTOR
    here = (lambda: host.has_vip) if what == 'vip' else lambda: None
    if behaves == HANGS or seconds >= effect.limit > 0:
        world.later(host, effect.limit, lambda: events.ActionEnded(
            effect.token, False, 'not done in %g s' % effect.limit, here=here()))
    elif behaves == FAILS:
        world.later(host, seconds, lambda: events.ActionEnded(
            effect.token, False, 'exited with 1', here=here()))
    else:
        world.later(host, seconds, deed)


def _raise_vip(world: 'World', host: Host, effect: effects.RaiseVip) -> None:
    host.raising = effect.token

    def done() -> events.ActionEnded:
        if host.raising != effect.token:
            return events.ActionEnded(effect.token, False, 'overtaken', here=host.has_vip)
        host.has_vip = True
        if not host.vip_usable:
            return events.ActionEnded(effect.token, False, 'duplicate address', here=True)
        world.note(host, 'holds the VIP')
        return events.ActionEnded(effect.token, True, here=True)
    _act(world, host, effect, 'vip', COMMAND_SECONDS, done)


def _lower_vip(world: 'World', host: Host, effect: effects.LowerVip) -> None:
    host.raising = None

    def done() -> events.ActionEnded:
        host.has_vip = False
        world.note(host, 'dropped the VIP')
        return events.ActionEnded(effect.token, True, here=False)
    _act(world, host, effect, 'vip', COMMAND_SECONDS, done)


def _announce(world: 'World', host: Host, effect: effects.AnnounceVip) -> None:
    _act(world, host, effect, 'announce', COMMAND_SECONDS,
         lambda: events.ActionEnded(effect.token, True))


def _hook(world: 'World', host: Host, effect: effects.RunHook) -> None:
    """A fencing script that works, where it does: over a network that nothing cuts."""
    variables = dict(effect.variables)

    def done() -> events.ActionEnded:
        ok = host.fencing_works
        if ok and effect.hook == 'pre_promotion_command':
            host.fenced_others_at = world.now
            if host.behaviour('hook') != LIES:
                world.fence(variables['AHM_OLD_PRIMARY_NAME'])
        return events.ActionEnded(effect.token, ok, '' if ok else 'exited with 1')
    _act(world, host, effect, 'hook', COMMAND_SECONDS, done)


def _promote(world: 'World', host: Host, effect: effects.Promote) -> None:
    def done() -> events.ActionEnded:
        mine = host.database
        if not mine.running or mine.hung:
            return events.ActionEnded(effect.token, False, 'the server is not there')
        needed = mine.lsn
        if mine.in_recovery:
            world.branches += 1
            mine.promote(world.branches)
            world.note(host, 'is promoted to timeline %d' % mine.timeline)
        return events.ActionEnded(effect.token, True, '', mine.timeline, mine.lsn,
                                  switch_lsn=mine.history[-1][2], needed_lsn=needed)
    if host.database.standstill or (host.database.held
                                    and host.database.replayed < host.database.lsn):
        # Nothing is lost by force: the order is refused, or taken back at its limit.
        seconds = COMMAND_SECONDS if host.database.standstill else effect.limit
        world.later(host, seconds, lambda: events.ActionEnded(
            effect.token, False, 'replay does not go on', withdrawn=True))
        return
    _act(world, host, effect, 'promote', PROMOTION_SECONDS, done)


def _stop_database(world: 'World', host: Host, effect: effects.StopDatabase) -> None:
    fast = effect.mode == 'fast'

    def done() -> events.ActionEnded:
        mine = host.database
        if host.behaviour('stop') == LIES:
            mine.stop_lied = mine.running
            return events.ActionEnded(effect.token, True)
        clean = fast and mine.running and not mine.hung and not mine.starting
        if clean and not mine.in_recovery:
            _send_the_last(world, host)
        mine.stop()
        world.note(host, 'database stopped (%s)' % effect.mode)
        return events.ActionEnded(effect.token, True, '', mine.timeline if clean else 0,
                                  mine.lsn - 1 if clean else 0)
    _act(world, host, effect, 'stop', world.fast_stop_seconds if fast else 0.1, done)


def _send_the_last(world: 'World', host: Host) -> None:
    """A primary that is stopped fast sends all that it has to the standbys that stream from it."""
    mine = host.database
    for other in world.hosts:
        if mine is not None and other is not host and world.upstream_of(other) is mine:
            other.database.stream_from(mine)


def _start_database(world: 'World', host: Host, effect: effects.StartDatabase) -> None:
    def done() -> events.ActionEnded:
        host.database.start()
        world.note(host, 'database started')
        return events.ActionEnded(effect.token, True)
    _act(world, host, effect, 'start', START_SECONDS, done)


def _restart_database(world: 'World', host: Host, effect: effects.RestartDatabase) -> None:
    """Down, and up again; a server that is not stopped is not restarted, and that is seen."""
    if host.behaviour('stop') in (FAILS, HANGS, LIES):
        _act(world, host, effect, 'stop', COMMAND_SECONDS, lambda: events.ActionEnded(
            effect.token, False, 'the server that ran before runs on'))
        return
    life = host.life

    def down() -> None:
        if host.life != life:
            return
        if not host.database.in_recovery and host.database.writable:
            _send_the_last(world, host)
        host.database.stop()
        world.note(host, 'database stopped (restart)')

    def up() -> events.ActionEnded:
        if not host.database.running:
            host.database.start()
            world.note(host, 'database started (restart)')
        return events.ActionEnded(effect.token, True)
    world.after(world.fast_stop_seconds, down)
    _act(world, host, effect, 'start', world.fast_stop_seconds + RESTART_SECONDS, up)


def _inspect_database(world: 'World', host: Host, effect: effects.InspectDatabase) -> None:
    def done() -> events.DatabaseInspected:
        mine = host.database
        if host.behaviour('inspect') == FAILS:
            return events.DatabaseInspected(effect.token, None, 'it cannot be read')
        if mine.running:
            return events.DatabaseInspected(effect.token, None, 'it runs already')
        return events.DatabaseInspected(effect.token, mine.signal, '', mine.timeline, SYSTEM_ID)
    world.later(host, COMMAND_SECONDS, done)


def _leave_signal(world: 'World', host: Host, effect: effects.LeaveStandbySignal) -> None:
    def done() -> events.ActionEnded:
        host.database.signal = True
        return events.ActionEnded(effect.token, True)
    _act(world, host, effect, 'signal', 0.005, done)


def _follow(world: 'World', host: Host, effect: effects.FollowPrimary) -> None:
    def done() -> events.ActionEnded:
        host.database.upstream, host.database.signal = effect.leader, True
        return events.ActionEnded(effect.token, True)
    _act(world, host, effect, 'follow', 0.05, done)


def _attach(world: 'World', host: Host, effect: effects.AttachDatabase) -> None:
    copies = effect.rebuild and not _streams_as_it_is(world, host, effect.leader)
    if copies:
        world.later(host, COMMAND_SECONDS, lambda: events.ActionProgressed(
            effect.token, 'copies the primary'))
        effect = effect._replace(limit=STALL_SECONDS)
    _act(world, host, effect, 'copy' if copies else 'start',
         COPY_SECONDS if copies else START_SECONDS, lambda: attached(world, host, effect))


def _streams_as_it_is(world: 'World', host: Host, leader: int) -> bool:
    theirs = world.hosts[leader].database
    return theirs is None or host.database.can_stream_from(theirs)


def _checkpoint(world: 'World', host: Host, effect: effects.CheckpointDatabase) -> None:
    def done() -> events.ActionEnded:
        mine = host.database
        return events.ActionEnded(effect.token, mine.running and not mine.hung
                                  and not mine.starting, 'it does not answer')
    _act(world, host, effect, 'checkpoint', COMMAND_SECONDS, done)


def _cancel(world: 'World', host: Host, effect: effects.Cancel) -> None:
    pass    # the core does not listen to the answer any more; the deed may still be done


def _report(world: 'World', host: Host, effect: effects.Report) -> None:
    world.note(host, '%s: %s' % (effect.event, effect.text))
    if effect.kind != effects.UNKEPT:
        _record(world, host, effects.Record(effect.kind or effect.event, effect.cause, effect.text))


def _record(world: 'World', host: Host, effect: effects.Record) -> None:
    """The history of events of this host; it outlives the daemon, as the file does."""
    host.history.append(effect)


def _reply(world: 'World', host: Host, effect: effects.Reply) -> None:
    host.answered = effect.answer
    if not effect.answer['ok']:
        world.note(host, 'refuses the operator: %s' % effect.answer['reason'])


def _exit(world: 'World', host: Host, effect: effects.Exit) -> None:
    world.end_daemon(host)
    world.note(host, 'daemon ends: %s' % effect.reason)


PERFORM: Dict[type, Callable[['World', Host, Any], None]] = {
    effects.SaveState: _save, effects.SaveLease: _save_lease, effects.SendBeacon: _send,
    effects.CheckDatabase: _check_database, effects.ProbeDatabase: _probe,
    effects.CheckVip: _check_vip, effects.PingVip: _ping_vip,
    effects.PingTrusted: _ping_trusted, effects.Rehearse: _rehearse,
    effects.RehearseHandover: _rehearse_handover,
    effects.RaiseVip: _raise_vip, effects.LowerVip: _lower_vip,
    effects.AnnounceVip: _announce, effects.RunHook: _hook,
    effects.Promote: _promote, effects.StopDatabase: _stop_database,
    effects.StartDatabase: _start_database, effects.RestartDatabase: _restart_database,
    effects.LeaveStandbySignal: _leave_signal, effects.InspectDatabase: _inspect_database,
    effects.FollowPrimary: _follow, effects.AttachDatabase: _attach,
    effects.CheckpointDatabase: _checkpoint, effects.Cancel: _cancel, effects.Report: _report,
    effects.Record: _record, effects.SetSynchronous: set_synchronous,
    effects.Reply: _reply, effects.Exit: _exit,
}
