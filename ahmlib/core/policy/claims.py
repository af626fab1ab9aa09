"""What the primary's commits wait for, so that a promotion loses none of them (R21).

The claim is the whole list of synchronous_standby_names with its number, whoever is connected: a
standby that confirmed a row and died has that row still.  The leader makes it; everybody keeps the
newest one on disk and repeats it, so restarts forget nothing.

A change is claimed in two steps.  The join of both settings holds until as many nodes as the new
one needs have all that was there when two checks in a row had shown it; then that holds alone.
"""

from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ..beacon import Beacon, Claim
from ..consensus.consensus import Consensus
from ..events import DatabaseChecked
from ..facts import Facts
from ..out import Out
from ..settings import SynchronousMode
from ..states import DatabaseState, NodeState
from .database import LocalDatabase

EVERYBODY = '*'
#: In place of a standby that is not there yet: no node may be called so.
NOBODY = 'ahm_nobody_yet'


class Setting(NamedTuple):
    """synchronous_standby_names in terms of nodes; `doubt`: why it is not all that counts."""
    needed: int
    nodes: Tuple[int, ...]
    doubt: str = ''


def newest_claim(claims: Sequence[Claim]) -> Claim:
    """The newest of these claims."""
    return max(claims, key=lambda claim: claim[:2])


def joined(one: Claim, needed: int, nodes: Sequence[int]) -> Tuple[int, Tuple[int, ...]]:
    """What covers both a claim and a setting; where nothing was claimed, nothing is yet."""
    if not one.needed:
        return 0, ()
    if not needed:
        return one.needed, one.nodes
    return min(one.needed, needed), tuple(sorted(set(one.nodes) | set(nodes)))


def covers(claim: Claim, needed: int, nodes: Sequence[int], own: int) -> bool:
    """Whether a claim covers this setting of the primary of node `own`.

    It does where among that node and any `needed` of these nodes are as many of the claim's as it
    says.  Fewer nodes than are needed confirm nothing, and where nothing is claimed nothing is
    promised.
    """
    if not claim.needed or len(nodes) < needed:
        return True
    left_out = len(set(nodes) - set(claim.nodes))
    return claim.needed <= (own in claim.nodes) + max(0, needed - left_out)


class Claims:
    """The newest claim that this node knows; its leader's part makes a new one."""

    def __init__(self, facts: Facts, out: Out, consensus: Consensus, database: LocalDatabase,
                 saved: Claim) -> None:
        self.facts, self.out, self.consensus, self.database = facts, out, consensus, database
        self.claim = saved
        self.doubt = ''
        self._setting: Optional[Setting] = None     # that the newest check has shown
        self._since_lsn: Optional[int] = None       # two checks have: what was there then

    # -- what the database is set to -----------------------------------------------------------

    def checked(self, event: DatabaseChecked) -> None:
        """A check of the database ended: its setting is what commits wait for, where it leads."""
        if event.in_recovery is None or event.sync_needed is None:
            return      # not told is not none
        found = self._mapped(event)
        if found != self._setting:
            self._setting, self._since_lsn = found, None
        elif self._since_lsn is None and not event.in_recovery:
            self._since_lsn = event.lsn
        if self.consensus.leads and self.database.runs_as_primary:
            self._tell_doubt(found.doubt)

    def _tell_doubt(self, doubt: str) -> None:
        if doubt and doubt != self.doubt:
            self.out.report('WARNING', 'synchronous', doubt)
        self.doubt = doubt

    def _mapped(self, event: DatabaseChecked) -> Setting:
        """The setting in terms of nodes.

        A name that is no node's may be that of any standby (`walreceiver` is what a standby is
        called that nobody has named), so all of them count then, unless the server sees by the
        address that it is none.  Where no node would be left, an address proves nothing: standbys
        stream over a network of their own, or through a translation of addresses.
        """
        if not event.sync_needed or not event.sync_names:
            return Setting(0, ())
        if event.sync_names == (NOBODY,):
            return Setting(event.sync_needed, ())
        nodes, strange, foreign = set(), [], []
        for name in event.sync_names:
            places = self._places_of(name, event.sync_peers)
            if places is None:
                strange.append(name)
            else:
                nodes.update(places)
                foreign += [] if places else [name]
        strange += [] if nodes else foreign
        nodes.discard(self.facts.own)
        doubt = ''
        if strange:
            nodes.update(self._others())
            doubt = 'synchronous_standby_names lists %s, and which node confirms a commit by ' \
                'that name is not known: an election needs the positions of all standbys; list ' \
                'node names' % ', '.join(strange)
        return Setting(min(event.sync_needed, len(nodes)), tuple(sorted(nodes)), doubt)

    def _places_of(self, name: str, peers: Sequence[Tuple[str, str]]) -> Optional[List[int]]:
        """The nodes whose standbys have this name; None where that is not known."""
        wanted = name.lower()
        own = [place for place, known in enumerate(self.facts.names)
               if known is not None and known.lower() == wanted]
        if own:
            return own
        settings = self.facts.settings
        hosts = {settings.host(place): place for place in range(settings.size)}
        connected = [address for each, address in peers if each.lower() == wanted]
        if not connected or wanted == EVERYBODY:
            return None
        return [hosts[address] for address in connected if address in hosts]

    def _others(self) -> List[int]:
        """All nodes but this one that have a database, as far as is known."""
        rows = [self.consensus.members.row(place) for place in range(self.facts.settings.size)]
        return [place for place, row in enumerate(rows)
                if place != self.facts.own and (row is None or not row.witness)]

    # -- the claim -----------------------------------------------------------------------------

    def learn(self, row: Beacon) -> None:
        """A row was heard: the newest claim is kept.  A leader of the version before has no term.
        """
        if row.leads and not row.sync_term and not self.claim.term:
            self.claim = row.claim
        self.claim = newest_claim((self.claim, row.claim))

    def begin(self) -> None:
        """This node leads over a primary from now on, and commits may wait for others than before.
        """
        needed, nodes = joined(self.claim, *self._wanted())
        self._since_lsn = self.database.lsn
        self._publish(needed, nodes, 0)

    def decide(self) -> None:
        """A leader's claim follows what its database is set to."""
        if self.facts.settings.synchronous_mode is not SynchronousMode.OFF \
                or self.consensus.state is not NodeState.LEADER or self.consensus.steps_down \
                or not self.database.runs_as_primary or self._setting is None:
            return
        wanted = self._wanted()
        if wanted == (self.claim.needed, self.claim.nodes):
            return
        if self._is_caught(*wanted):
            self._publish(wanted[0], wanted[1], self.claim.version + 1)
            return
        both = joined(self.claim, *wanted)
        if both != (self.claim.needed, self.claim.nodes):
            self._publish(both[0], both[1], self.claim.version + 1)

    def _wanted(self) -> Tuple[int, Tuple[int, ...]]:
        return (0, ()) if self._setting is None else self._setting[:2]

    # -- what the modes need (R66 to R69) ------------------------------------------------------

    @property
    def setting(self) -> Optional[Setting]:
        """What commits wait for, as the newest check or order has shown; None: not known."""
        return self._setting

    def was_set(self, setting: Optional[Setting]) -> None:
        """An order to set it ended; None: nobody knows how."""
        self._setting, self._since_lsn = setting, None

    def make(self, needed: int, nodes: Iterable[int]) -> None:
        """A new claim of this leader, newer than all that it knows."""
        self._publish(needed, tuple(sorted(nodes)), self.claim.version + 1)

    def _publish(self, needed: int, nodes: Tuple[int, ...], version: int) -> None:
        # Half votes and force may have made one in a higher term than that of this leader.
        term = max(self.consensus.term, self.claim.term)
        self.claim = Claim(term, version, needed, nodes)
        if nodes == (self.facts.own,):
            self.out.report('INFO', 'synchronous', 'claims that it alone has all that it '
                            'acknowledges: nobody else is promoted who has less')
        elif nodes:
            self.out.report('INFO', 'synchronous', 'claims that %d of %s confirm a commit' % (
                needed, ', '.join(self.facts.name_of(place) for place in nodes)))

    def _is_caught(self, needed: int, nodes: Tuple[int, ...]) -> bool:
        """Whether as many of them as confirm a commit have all that was there before.

        Where none is to confirm any more, whoever might be promoted has to have it.
        """
        if self._since_lsn is None:
            return False
        standbys = [row for row in self.consensus.members.in_touch()
                    if row.database is DatabaseState.STANDBY
                    and row.timeline == self.database.timeline]
        having = {row.sender for row in standbys if row.lsn >= self._since_lsn}
        if not needed:
            return bool(standbys) and len(having) == len(standbys)
        return len(having & set(nodes)) >= needed
