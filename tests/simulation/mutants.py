"""Deliberate faults in the core, as small patches of its text.

They show that the checkers can fail.  Each mutant names what is changed (old text, new text, in
which function), the lemma whose checker alone has to see it, and the schedule that shows it.  A
patch whose old text is gone from the core fails loudly: then the mutant has to be moved along with
the code.
"""

import contextlib
import importlib
import inspect
import sys
import textwrap
from typing import NamedTuple, Tuple

from ahmlib.core import own_row
from ahmlib.core.beacon import Beacon
from ahmlib.core.consensus import quorum
from ahmlib.core.consensus.ballot import Ballot
from ahmlib.core.consensus.consensus import Consensus
from ahmlib.core.consensus.contest import Contest
from ahmlib.core.consensus.membership import Membership
from ahmlib.core.consensus.promise import Promise
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.speaking import Speaker
from ahmlib.core.consensus.tenure import Tenure
from ahmlib.core.consensus.timing import Timing
from ahmlib.core.node import Node
from ahmlib.core.policy import claims, election
from ahmlib.core.policy.candidate import Candidate
from ahmlib.core.policy.checks import Checks
from ahmlib.core.policy.database import LocalDatabase
from ahmlib.core.policy.duties import Duties
from ahmlib.core.policy.evidence import Investigation
from ahmlib.core.policy.isolation import Isolation
from ahmlib.core.policy.operator import Operator
from ahmlib.core.policy.pause import Paused
from ahmlib.core.policy.place import PrimaryPlace
from ahmlib.core.policy.repoint import Repoint
from ahmlib.core.policy.standby import StandbyWatch
from ahmlib.core.policy.synchronous import Synchronous
from ahmlib.core.policy.vip import Vip
from ahmlib.core.procedures import STEPS

# The modules; the package has their functions under the same names.
step_down, switch_over, take_over = (
    importlib.import_module('ahmlib.core.procedures.' + name)
    for name in ('step_down', 'switch_over', 'take_over'))


class Patch(NamedTuple):
    """In this function of this class or module, replace this text by that."""
    where: object
    function: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A fault of the core, the lemma that sees it, and the schedule that shows it."""
    name: str
    lemma: int
    cluster: str
    plan: Tuple
    patches: Tuple[Patch, ...]


def _rewritten(original, patches):
    source = textwrap.dedent(inspect.getsource(original))
    for patch in patches:
        assert source.count(patch.old) == 1, 'this mutant does not apply any more: %r is %d ' \
            'times in %s' % (patch.old, source.count(patch.old), patch.function)
        source = source.replace(patch.old, patch.new)
    made = {}
    exec(compile(source, '<mutant>', 'exec'), original.__globals__, made)
    return made[original.__name__]


def _owners(where, name, original):
    """Where this function is found: its class, or every module that imported it."""
    if inspect.isclass(where):
        return [where]
    return [module for called, module in list(sys.modules.items())
            if called.startswith('ahmlib.') and getattr(module, name, None) is original]


#: What the core sees of a fault by itself; the lemmas have to see it without that.
ASSERTIONS = ((Consensus, 'check'), (Speaker, 'check'))


@contextlib.contextmanager
def applied(mutant, asserts=False):
    """The core with this mutant's patches, for a while, and without what it asserts of itself."""
    undo = [] if asserts else [
        (owner, name, inspect.getattr_static(owner, name)) for owner, name in ASSERTIONS]
    for owner, name, _ in undo:
        setattr(owner, name, lambda *facts: None)
    steps = dict(STEPS)
    try:
        for where, name in sorted({patch[:2] for patch in mutant.patches}, key=str):
            original = inspect.getattr_static(where, name)
            new = _rewritten(getattr(original, 'fget', original),
                             [patch for patch in mutant.patches if patch[:2] == (where, name)])
            for owner in _owners(where, name, original):
                undo.append((owner, name, original))
                setattr(owner, name, new)
            STEPS.update((kind, new) for kind, step in steps.items() if step is original)
        yield
    finally:
        STEPS.update(steps)
        for owner, name, original in undo:
            setattr(owner, name, original)


ALONE = ((1.0, 'cut', 0),)
DEAD = ((1.0, 'power-off', 0),)
BOTH_RESTART = ((1.0, 'crash-and-start', 1), (0.0, 'crash-and-start', 2))
CUT_OFF_START = ((1.0, 'crash', 0), (0.1, 'cut', 0), (0.0, 'start', 0))
#: Its stop lies while it is cut off; the next leader's host dies as it comes back.
SECOND_PRIMARY = (
    (1.0, 'stop-lies', 2), (5.0, 'promote', 2), (3.0, 'cut', 2), (26.0, 'power-off', 0),
    (0.0, 'heal', 0), (1.0, 'commands-work', 2), (30.0, 'heal', 0))
STUCK_VIP = ((1.0, 'vip-fails', 0), (0.0, 'kill-database', 0), (0.0, 'crash-and-start', 0))
HOUSE_IS_BACK = ((0.5, 'kill-daemon-and-database', 0), (0.0, 'promote-slow', 1),
                 (0.0, 'vip-slow', 0), (6.0, 'start', 0))
#: Who has more is stopped by the VIP, and the other is elected meanwhile.
STOPPED_BY_VIP = ((0.5, 'stop-replication', 1), (0.5, 'answer-for-vip', 1),
                  (0.0, 'answer-for-vip', 2), (0.5, 'power-off', 0), (32.0, 'commands-work', 1),
                  (0.0, 'commands-work', 2))
#: A standby comes back that lags, as the one that has all dies.
LAGS = ((1.0, 'stop-replication', 2), (10.0, 'slow-replication', 2), (0.0, 'kill-database', 1))
LAGGING = ((0.5, 'stop-replication', 1), (1.0, 'power-off', 0))

#: Node 0 has rows of its own; node 1 leads, is copied, and thought dead, and was not fenced.
OTHER_THAN_COPIED = (
    (0.5, 'stop-replication', 1), (0.0, 'stop-replication', 2), (1.0, 'kill-database', 0),
    (8.0, 'commands-work', 1), (0.0, 'commands-work', 2), (4.0, 'copy-slow', 0),
    (0.0, 'rebuild', 0), (1.0, 'hook-lies', 0), (0.0, 'hook-lies', 2), (0.0, 'crash', 1),
    (70.0, 'ask-status', 0))

NO_EVIDENCE = Patch(Investigation, 'weigh', 'return self._sum(suspect, strict, theirs)',
                    'return Verdict.UNREACHABLE')
NOT_DROPPED_FIRST = Patch(take_over, '_raise_vip', 'lambda: not _holders(parts)', 'lambda: True')
DAEMON_IGNORED = Patch(
    Investigation, 'weigh', 'if theirs is not None and runs_by_its_word(theirs):',
    'if theirs is not None and runs_by_its_word(theirs):\n        return Verdict.UNREACHABLE\n'
    '    if False:')
#: An operator sees that the disk of the leader hangs, and pauses the cluster.
PAUSED_IN_A_STALL = ((0.5, 'stall-disk', 0), (1.0, 'pause-cluster', 1), (4.0, 'unstall-disk', 0))
NO_PROMISE = (
    Patch(Promise, 'holds', 'return self.leader is not None and (self.bound or not '
          'self.facts.reached(self.until))', 'return False'),
    Patch(Contest, 'is_open', 'any(row.leads and row.term >= self.ballot.term',
          'any(row.sender > 99'),
    DAEMON_IGNORED, NO_EVIDENCE)
NO_LEASE_END = (Patch(Tenure, 'has_ended', 'ended, self.acting = self.acting, False',
                      'ended = False'),)

MUTANTS = (
    Mutant('a vote is said before it is on disk', 7, 'three nodes', DEAD, (
        Patch(Saved, 'backing', 'moved=False)', 'moved=False, term=0, voted_for=None)'),)),
    Mutant('the lease is counted from the receipt of an acknowledgement', 9, 'three nodes',
           ((1.0, 'deafen', 1), (0.1, 'deafen', 2)) + ALONE, (
               Patch(Tenure, 'heard', 'self.lease.acknowledged(row, sent_at)',
                     'self.lease.acknowledged(row, self.facts.now + 1.0)'),)),
    Mutant('a restart forgets the promise', 9, 'three nodes', BOTH_RESTART, (
        Patch(Promise, '__init__', 'if saved is not None and saved.leader not in (None, '
              'facts.own):', 'if False:'),)),
    Mutant('a node without a state file votes at once', 9, 'three nodes',
           ((1.0, 'lose-state', 1), (0.0, 'start', 1), (0.0, 'lose-state', 2), (0.0, 'start', 2)), (
               Patch(Promise, '__init__', 'self.blind = saved is None or saved.blind',
                     'self.blind = False'),)),
    Mutant('the promise is as short as the lease', 9, 'three nodes', ALONE, (
        Patch(Timing, 'hold',
              'return CLOCK_RATE_MARGIN * self.lease + candidacy_seconds(self.interval)',
              'return 0.7 * self.lease'),)),
    Mutant('who leaves is not bound', 9, 'three nodes', ((1.0, 'stop', 1), (1.0, 'stop', 2),
                                                         (0.5, 'start', 1), (0.0, 'start', 2)), (
        Patch(Consensus, 'leave', 'self.promise.bind()', 'self.promise.end()'),)),
    Mutant('who stops a second primary forgets its leader', 9, 'three nodes',
           ((1.0, 'power-off', 0), (6.4, 'deafen-multicast', 2), (0.4, 'power-on', 0),
            (0.1, 'crash', 0), (0.0, 'kill-database', 0), (0.1, 'cut', 1), (0.0, 'start', 0)), (
               Patch(Consensus, 'to_save', 'or (self.ballot.steps_down and self.promise.leader is '
                     'None)', 'or self.ballot.steps_down'),)),
    Mutant('nobody keeps a promise', 10, 'three nodes', ALONE, NO_PROMISE),
    Mutant('two leases at once', 8, 'three nodes', ALONE, NO_PROMISE),
    Mutant('a candidate rules with the votes of a minority', 3, 'three nodes', DEAD, (
        Patch(Contest, '_count', 'and len(voters) + 1 >= self._needed(wish):',
              'and len(voters) + 1 >= self._needed(wish) - 1:'),)),
    Mutant('a node rules by force though nobody asked for it', 3, 'three nodes',
           ((1.0, 'cut', 1), (10.0, 'heal', 0)), (
               Patch(Candidate, '_why_not', 'if self.force.claims:', 'if True:'),
               Patch(Candidate, '_why_not', 'return self.force.why_not_stand(agree)', "return ''"),
               Patch(Contest, '_why_not', 'if not wish.forced and not self.tie_break',
                     'if False and not self.tie_break'),
               Patch(Contest, '_why_too_few', 'if not wish.forced and agree', 'if False and agree'),
               Patch(Contest, '_needed', 'if not wish.forced:', 'if False:'))),
    Mutant('evidence is ignored', 4, 'three nodes', ((1.0, 'crash', 0), (0.1, 'drop-vip', 0)), (
        NO_EVIDENCE,)),
    Mutant('a fencing script that failed counts as good', 4, 'three nodes with fencing',
           ((0.5, 'hook-fails', 1), (0.0, 'hook-fails', 2), (0.5, 'power-off', 0)), (
               Patch(take_over, '_make_sure', 'if not event.ok:', 'if False:'),)),
    Mutant('candidates are ranked without their data', 5, 'three nodes', LAGGING, (
        Patch(election, '_data', 'row.timeline, row.lsn', '0, 0'),)),
    Mutant('term and vote are forgotten at a start', 6, 'three nodes', BOTH_RESTART + ALONE, (
        Patch(Ballot, '__init__', 'self.term, self.voted_for = saved.term, saved.voted_for',
              'self.term, self.voted_for = 0, None'),)),
    Mutant('the VIP goes up before the record is known', 11, 'three nodes', DEAD, (
        Patch(take_over, 'take_over', 'if not (yield Until(parts.place.is_on_record, '
              "facts.hold_seconds, step='on record')):", 'if False:'),)),
    Mutant('a winner acts before it holds a lease', 11, 'three nodes', DEAD, (
        Patch(take_over, 'take_over', 'if not (yield Until(consensus.tenure.has_lease, '
              "facts.lease_seconds, step='lease')):", 'if False:'),)),
    Mutant('timers come after what waits in the queue', 11, 'three nodes with fencing',
           ((1.0, 'power-off', 0), (2.05, 'freeze', 1), (3.0, 'thaw', 1)), (
               Patch(Node, 'handle', 'self._start(self.parts.duties.lease_ended())',
                     'if type(event) is events.Ticked:\n'
                     '        self._start(self.parts.duties.lease_ended())'),
               Patch(Node, 'each_in_turn', 'self._starts(parts.duties.lease_ended), ', ''))),
    Mutant('the end of the lease goes unnoticed', 12, 'three nodes', ALONE, NO_LEASE_END),
    Mutant('a cut-off leader goes on', 2, 'three nodes', ALONE, (
        Patch(Tenure, 'has_lease', 'return self.ballot.leads and not self.facts.reached('
              'self.until())', 'return self.ballot.leads'),)),
    Mutant('a cut-off leader says that it leads', 26, 'three nodes', ALONE, (
        Patch(Tenure, 'has_lease', 'return self.ballot.leads and not self.facts.reached('
              'self.until())', 'return self.ballot.leads'),
        Patch(Vip, 'leads', 'now < self.consensus.tenure.until()', 'True'),
        Patch(PrimaryPlace, 'is_on_record', 'return 1 + sum(', 'return True or 1 + sum('))),
    Mutant('who steps down says so before it is done', 13, 'three nodes', ALONE, (
        Patch(step_down, 'step_down', 'yield from give_up_role(parts, reason)',
              'yield from (() if reason else give_up_role(parts, reason))'),)),
    Mutant('priority 0 stands', 14, 'four nodes, one with priority 0',
           ((0.5, 'kill-database', 1), (0.0, 'kill-database', 3), (5.0, 'power-off', 0)), (
               Patch(election, 'why_not_eligible', 'if row.priority == 0:', 'if False:'),)),
    Mutant('older rows are taken', 15, 'three nodes', ((1.0, 'replay', 0), (0.5, 'replay', 1)), (
        Patch(Membership, 'accept', 'row.seq <= peer.heard[1]:', 'False:'),
        Patch(Membership, 'accept', 'elif peer.row is not None and row.seq <= peer.row.seq:',
              'elif False:'))),
    Mutant('a row counts that does not echo this incarnation', 15, 'three nodes',
           ((1.0, 'crash-and-start', 1), (0.2, 'replay', 1)), (
               Patch(Membership, 'accept', 'if echo is None:', 'if False:'),)),
    Mutant('a takeover waits for a silent VIP for ever', 16, 'three nodes',
           ((0.5, 'answer-for-vip', 1), (0.0, 'answer-for-vip', 2), (0.5, 'power-off', 0),
            (200.0, 'heal', 0)), (
               Patch(take_over, '_vip_silent', 'if left <= 0:', 'if False:'),)),
    Mutant('a restart frees the followers', 17, 'three nodes', ((1.0, 'restart', 0),), (
        Patch(Beacon, 'resigns', 'return self._is_idle and self.holds_vip is not True and '
              'self.database in _GIVEN_UP', 'return not self.leads'), DAEMON_IGNORED, NO_EVIDENCE,
        Patch(take_over, '_vip_silent',
              'began, given_up = parts.facts.now, _given_up_by_suspect(parts)',
              "return ''\n    yield"),
        Patch(take_over, '_suspect_runs', 'return row is not None and', 'return False and'))),
    Mutant('a database that is restarted on request is checked meanwhile', 17, 'three nodes',
           ((1.0, 'restart-database', 0),), (
               Patch(Checks, '_check_database', 'if self.database.restarts:', 'if False:'),
               Patch(Duties, '_mind_database', 'or self.plan.is_at(RestartAsked)', 'or False'))),
    Mutant('synchronous standbys are not asked', 18, 'five nodes, synchronous',
           ((0.5, 'stop-replication', 1), (0.0, 'stop-replication', 2),
            (0.0, 'stop-replication', 3), (1.0, 'power-off', 0), (0.0, 'power-off', 4)), (
               Patch(election, 'why_sync_forbids', 'if claim.needed and claim.nodes]',
                     'if False]'),)),
    Mutant('a claim is forgotten by a restart', 18, 'five nodes, synchronous',
           ((0.5, 'stop-replication', 2), (0.0, 'stop-replication', 3),
            (0.0, 'stop-replication', 4), (1.0, 'power-off', 0), (0.0, 'power-off', 1),
            (0.0, 'crash-and-start', 2), (0.0, 'crash-and-start', 3), (0.0, 'crash-and-start', 4),
            (5.0, 'promote', 2)), (
               Patch(Consensus, 'to_save', 'self.promise.reigned, claim, maintenance',
                     'self.promise.reigned, Saved().claim, maintenance'),)),
    Mutant('a position that is not known counts as a position', 18, 'three nodes, synchronous',
           ((0.3, 'hold-replay', 1), (0.5, 'stop-replication', 2), (0.0, 'hide-wal', 1),
            (1.0, 'power-off', 0)), (
               Patch(own_row, '_is_fresh', 'and database.lsn_known', 'and True'),)),
    Mutant('what the old primary wrote until it was fenced is not looked at', 18,
           'three nodes, synchronous, with fencing',
           ((0.2, 'hook-slow', 1), (0.0, 'hook-slow', 2), (0.5, 'crash', 0),
            (2.1, 'stop-replication', 1)), (
               Patch(take_over, '_make_sure', 'if not why and settings.pre_promotion and suspect '
                     'is not None', 'if False'),
               Patch(take_over, 'take_over', 'or _give_way(parts, parts.consensus.members.'
                     'in_touch())', 'or ""'))),
    Mutant('who was stopped and has more is not given its turn', 5, 'three nodes',
           STOPPED_BY_VIP, (
               Patch(take_over, 'take_over', 'or _give_way(parts, parts.consensus.members.'
                     'in_touch())', 'or ""'),)),
    Mutant('who is stopped has no data that others would have to give way to', 5, 'three nodes',
           STOPPED_BY_VIP, (
               Patch(Candidate, 'ahead', 'and (row.timeline, row.lsn) > (own.timeline, own.lsn)',
                     'and row.due and (row.timeline, row.lsn) > (own.timeline, own.lsn)'),)),
    Mutant("a candidate's own vote counts at once", 3,
           'two nodes, half votes, a trusted server', DEAD, (
               Patch(Contest, '_count',
                     'if self.speaker.has_vote(ballot.term, self.facts.own)', 'if True'),)),
    Mutant("a candidate's own vote counts when its save is asked for", 3,
           'two nodes, half votes, a trusted server', DEAD, (
               Patch(Speaker, 'has_vote', 'return self.disk is not None and',
                     'return self.saving_since is not None or self.disk is not None and'),)),
    Mutant('a pause is told before it is on disk', 7, 'three nodes', PAUSED_IN_A_STALL, (
        Patch(Speaker, '_as_on_disk', 'if row.pause == disk.pause and', 'if True or'),)),
    Mutant('who has a pause to write is silent', 17, 'three nodes', PAUSED_IN_A_STALL, (
        Patch(Saved, 'backing', 'pause=Pause(), ', ''),)),
    Mutant('a row leaves while its state is being written', 7, 'three nodes', DEAD, (
        Patch(Speaker, 'publish', 'if not self.is_saved():',
              'if not self.is_saved() and self.saving_since is None:'),)),
    Mutant('a replay that stands still is no obstacle', 14, 'three nodes',
           ((0.3, 'stop-replication', 2), (0.2, 'pause-replay', 1), (1.5, 'power-off', 0)), (
               Patch(election, 'why_not_eligible', 'if row.standstill:', 'if False:'),)),
    Mutant('a daemon that starts leaves a primary as it is', 20, 'three nodes', CUT_OFF_START, (
        Patch(Isolation, 'decide', 'if self.plan.busy or', 'if True or'),)),
    Mutant('a primary runs on where nobody hears of it', 20, 'three nodes', CUT_OFF_START, (
        Patch(Isolation, 'believed_until', 'heard = self._heard(lease.needed)',
              'heard = self.facts.now'),)),
    Mutant('a primary may run until others may be elected, and is stopped after that', 20,
           'three nodes', CUT_OFF_START, (
               Patch(Isolation, 'ends_at', 'self.believed_until())',
                     'self.believed_until()) + self.facts.hold_seconds'),)),
    Mutant('a primary that is not the one on record is nobody\'s concern', 20,
           'three nodes, default timings', SECOND_PRIMARY, (
               Patch(Investigation, 'second_primary', 'return next(', 'return None and next('),
               Patch(Repoint, '_is_outvoted', 'return members.has_majority()', 'return False'))),
    Mutant('received is taken for replayed', 21, 'three nodes',
           ((1.0, 'hold-replay', 1), (0.2, 'promote', 1)), (
               Patch(switch_over, '_stop', 'row.replayed > lsn', 'row.lsn > lsn'),)),
    Mutant('a switchover does not wait for its target', 21, 'three nodes',
           ((1.0, 'hold-replay', 1), (0.2, 'promote', 1)), (
               Patch(switch_over, '_stop', 'if (yield Until(has_it, ',
                     'if True or (yield Until(has_it, '),)),
    Mutant('whose daemon lives counts as a dead house', 22, 'three nodes', STUCK_VIP, (
        NOT_DROPPED_FIRST,
        Patch(take_over, '_why_no_dead_house', 'if suspect is not None and '
              'parts.consensus.members.living_row(suspect) is not None:', 'if False:'),
        Patch(take_over, '_vip_silent', 'if holders:', 'if False:'))),
    Mutant('the daemon of a dead house that is back need not drop the VIP first', 22, 'three nodes',
           HOUSE_IS_BACK, (NOT_DROPPED_FIRST,)),
    Mutant('an answer is taken for silence', 22, 'three nodes', STUCK_VIP, (
        NOT_DROPPED_FIRST,
        Patch(take_over, '_vip_silent', 'if event.answers is False or', 'if True or'),
        Patch(take_over, '_vip_silent', 'if holders:', 'if False:'),
        Patch(Vip, '_pinged', 'if event.answers is False else', 'if True else'))),
    Mutant('for a standby refused is dead', 23, 'three nodes', ((1.0, 'refuse-checks', 1),), (
        Patch(StandbyWatch, '_is_down', 'and not database.is_there', 'and True'),
        Patch(StandbyWatch, '_ask_everybody', 'if any(verdict is not', 'if any(False and verdict '
              'is not'))),
    Mutant('a primary that is a standby again is reported out when its step-down ends', 23,
           'three nodes', ((1.0, 'vip-hangs', 0), (0.0, 'kill-database', 0),
                           (14.0, 'start-database', 0)), (
               Patch(step_down, '_end', "if reason.kind == 'database' and (", 'if reason.kind == '
                     "'database' or ("),)),
    Mutant('a VIP stays beside a primary of which nobody has heard', 2, 'three nodes',
           ((1.0, 'crash', 0), (0.0, 'cut', 0), (1.0, 'start', 0)), (
               Patch(Vip, '_is_kept', 'not self.facts.reached(self.isolation.believed_until())',
                     'True'),
               Patch(Vip, '_is_kept', 'self.facts.row.rightful', 'True'))),
    Mutant('nobody is asked about a standby', 23, 'three nodes', ((1.0, 'fail-checks', 1),), (
        Patch(StandbyWatch, '_ask_everybody', 'if any(verdict is not', 'if any(False and verdict '
              'is not'),)),
    Mutant('a node in maintenance is promoted', 24, 'three nodes',
           ((1.0, 'pause-node', 1), (2.0, 'power-off', 0)), (
               Patch(election, 'why_not_eligible', 'row.witness or row.maintenance',
                     'row.witness'),)),
    Mutant('a restart ends the maintenance', 24, 'three nodes',
           ((1.0, 'pause-node', 1), (1.0, 'crash-and-start', 1), (4.0, 'kill-database', 1),
            (8.0, 'heal', 0)), (
               Patch(LocalDatabase, '__init__', 'self.maintained = maintained',
                     'self.maintained = False'),)),
    Mutant('a standby in maintenance is reported out', 24, 'three nodes',
           ((1.0, 'pause-node', 1), (1.0, 'kill-database', 1), (8.0, 'heal', 0)), (
               Patch(StandbyWatch, 'decide', 'or database.maintained', 'or False'),)),
    Mutant('a standby in maintenance is pointed to a new primary', 24, 'three nodes',
           ((1.0, 'pause-node', 2), (1.0, 'power-off', 0)), (
               Patch(Repoint, 'decide', 'if self.database.maintained else looks',
                     'if False else looks'),)),
    Mutant('voters know nothing of a pause', 25, 'three nodes',
           ((1.0, 'pause-cluster', 0), (2.0, 'cut', 0)), (
               Patch(Paused, 'limit', 'if not self.pause.on:', 'if True:'),)),
    Mutant('a pause is sealed before others know of it', 25, 'three nodes',
           ((1.0, 'cut', 0), (0.05, 'pause-cluster', 0)), (
               Patch(Paused, '_is_known', '1 + len(self._knowing()) >= needed', '1 <= needed'),)),
    Mutant('a copy goes on though another one leads', 27, 'three nodes with fencing',
           OTHER_THAN_COPIED, (
               Patch(Operator, '_end_a_copy_of_another', 'and leader.sender != self.copied',
                     'and False'),)),
    Mutant('what commits wait for is set before others know of the claim', 28,
           'three nodes, mode on', ((1.0, 'cut', 0),), (
               Patch(Synchronous, 'is_confirmed', 'return disk is not None', 'return True or '
                     'disk is not None'),)),
    Mutant('any claim is good enough', 28, 'three nodes, mode on',
           ((1.0, 'kill-database', 1), (0.0, 'kill-database', 2)), (
               Patch(claims, 'covers', 'if not claim.needed or', 'if True or'),)),
    Mutant('a setting is claimed alone as soon as it is in force', 29, 'three nodes, mode on',
           LAGS, (
               Patch(Synchronous, '_is_caught', 'return len(having) >= setting.needed',
                     'return True'),)),
    Mutant('who lags is claimed alone, and promoted', 18, 'three nodes, mode on',
           LAGS + ((3.0, 'power-off', 0),), (
               Patch(Synchronous, '_is_caught', 'return len(having) >= setting.needed',
                     'return True'),)),
    Mutant('who takes over does not claim what it acknowledges', 28, 'three nodes, mode on',
           ((1.0, 'stop-replication', 1), (8.0, 'start-replication', 1), (1.5, 'power-off', 0)), (
               Patch(Synchronous, 'elected', 'if self.enabled and', 'if False and'),)),
    Mutant('terms belong to anybody', 19, 'three nodes', DEAD, (
        Patch(quorum, 'next_own_term', 'return term + (own - term) % size', 'return term'),)),
    Mutant('two candidates win one term', 1, 'five nodes, equal priorities',
           ((1.0, 'cut-between', 1), (0.0, 'power-off', 0)), (
               Patch(quorum, 'next_own_term', 'return term + (own - term) % size', 'return term'),
               Patch(Contest, '_count', 'and len(voters) + 1 >= self._needed(wish):', ':'))),
)
