"""Deliberate faults of consensus, as those of `tests/simulation/mutants.py`: the walk finds each.

Each names what is changed (old text, new text, in which function), the lemmas of which one has to
see it, and the bound within which.  A patch whose old text is gone fails loudly.
"""

import contextlib
import inspect
import sys
import textwrap
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

from ahmlib.core.consensus import quorum
from ahmlib.core.consensus.contest import Contest
from ahmlib.core.consensus.membership import Membership
from ahmlib.core.consensus.promise import Promise
from ahmlib.core.consensus.saved import Saved
from ahmlib.core.consensus.speaking import Speaker
from ahmlib.core.consensus.tenure import Tenure
from ahmlib.core.consensus.timing import Timing

from .world import Bound, Faults


class Patch(NamedTuple):
    """In this function of this class or module, replace this text by that."""
    where: Any
    function: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A fault of consensus, and the bound within which it breaks one of these lemmas."""
    name: str
    lemmas: Tuple[int, ...]
    bound: Bound
    patches: Tuple[Patch, ...]


MUTANTS = (
    Mutant('nobody keeps a promise', (8, 9, 10), Bound(3, depth=7), (
        Patch(Promise, 'holds', 'return self.leader is not None and (self.bound or not '
              'self.facts.reached(self.until))', 'return False'),
        Patch(Contest, 'is_open', 'any(row.leads and row.term >= self.ballot.term',
              'any(row.sender > 99'))),
    Mutant('a vote is given under a promise', (8, 9, 10),
           Bound(3, depth=7, terms=4, faults=Faults(crashes=1)), (
               Patch(Contest, '_vote', 'and self.promise.allows(place)', 'and True'),
               Patch(Contest, 'is_open', 'not self.promise.holds())', 'True)'))),
    Mutant('a candidate rules with the votes of a minority', (3,), Bound(3, depth=7), (
        Patch(Contest, '_count', 'and len(voters) + 1 >= self._needed(wish):',
              'and len(voters) + 1 >= self._needed(wish) - 1:'),)),
    Mutant('a vote is said before it is on disk', (7,),
           Bound(3, depth=7, faults=Faults(slow=1)), (
               Patch(Saved, 'backing', 'moved=False)', 'moved=False, term=0, voted_for=None)'),)),
    Mutant('a row leaves while its state is being written', (7,),
           Bound(3, depth=7, faults=Faults(slow=1)), (
               Patch(Speaker, 'publish', 'if not self.is_saved():',
                     'if not self.is_saved() and self.saving_since is None:'),)),
    Mutant('terms belong to anybody', (19, 1), Bound(3, depth=7), (
        Patch(quorum, 'next_own_term', 'return term + (own - term) % size', 'return term'),)),
    Mutant('a restart forgets the promise', (8, 9, 10),
           Bound(3, depth=7, faults=Faults(crashes=1)), (
               Patch(Promise, '__init__',
                     'if saved is not None and saved.leader not in (None, facts.own):',
                     'if False:'),)),
    Mutant('a node without a state file votes at once', (8, 9, 10),
           Bound(3, depth=7, faults=Faults(crashes=1, lost=1)), (
               Patch(Promise, '__init__', 'self.blind = saved is None or saved.blind',
                     'self.blind = False'),)),
    Mutant('the promise is shorter than the lease', (8, 9, 10),
           Bound(3, depth=7, tick=0.275), (
        Patch(Timing, 'hold',
              'return CLOCK_RATE_MARGIN * self.lease + candidacy_seconds(self.interval)',
              'return 0.5 * self.lease'),)),
    Mutant('the lease is counted from the receipt of an acknowledgement', (9,),
           Bound(3, depth=7), (
               Patch(Tenure, 'heard', 'self.lease.acknowledged(row, sent_at)',
                     'self.lease.acknowledged(row, self.facts.now)'),)),
    Mutant('the end of the lease goes unnoticed', (12,), Bound(3, depth=7), (
        Patch(Tenure, 'has_ended', 'ended, self.acting = self.acting, False', 'ended = False'),)),
    Mutant('older rows are taken', (15,), Bound(3, depth=5, faults=Faults(delays=1)), (
        Patch(Membership, 'accept', 'row.seq <= peer.heard[1]:', 'False:'),
        Patch(Membership, 'accept', 'elif peer.row is not None and row.seq <= peer.row.seq:',
              'elif False:'))),
)


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Consensus with this mutant's patches, for a while, and without what it asserts of itself."""
    undo: List[Tuple[Any, str, Any]] = [(Speaker, 'check', Speaker.check)]
    Speaker.check = lambda *facts: None     # type: ignore
    try:
        for where, name in sorted({patch[:2] for patch in mutant.patches}, key=str):
            original = inspect.getattr_static(where, name)
            new = _rewritten(getattr(original, 'fget', original), [
                patch for patch in mutant.patches if patch[:2] == (where, name)])
            if isinstance(original, property):
                new = property(new)
            for owner in _owners(where, name, original):
                undo.append((owner, name, original))
                setattr(owner, name, new)
        yield
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def _rewritten(original: Any, patches: Sequence[Patch]) -> Any:
    source = textwrap.dedent(inspect.getsource(original))
    if source.startswith('@property\n'):
        source = source[len('@property\n'):]
    for patch in patches:
        assert source.count(patch.old) == 1, 'this mutant does not apply any more: %r is %d ' \
            'times in %s' % (patch.old, source.count(patch.old), patch.function)
        source = source.replace(patch.old, patch.new)
    made: Any = {}
    exec(compile(source, '<mutant>', 'exec'), original.__globals__, made)
    return made[original.__name__]


def _owners(where: Any, name: str, original: Any) -> List[Any]:
    """Where this function is found: its class, or every module that imported it."""
    if inspect.isclass(where):
        return [where]
    return [module for called, module in list(sys.modules.items())
            if called.startswith('ahmlib.') and getattr(module, name, None) is original]
