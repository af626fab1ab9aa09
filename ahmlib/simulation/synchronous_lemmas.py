"""The lemmas that keep what was acknowledged (L18, L28, L29)."""

from itertools import combinations
from typing import TYPE_CHECKING, Any, Iterator, Optional, Set

from ahmlib.core import effects
from ahmlib.core.consensus.saved import Saved
from ahmlib.simulation.clients import Written
from ahmlib.simulation.lemma import Lemma, Violated, by_force, halves, leases
from ahmlib.simulation.synchronous import is_promised, is_set_by_ahm, newest_claims

if TYPE_CHECKING:
    from ahmlib.simulation.host import Host
    from ahmlib.simulation.world import World


def _is_spoken_of(world: 'World') -> bool:
    """Whether AHM alone sets what commits wait for, and no operator's word has replaced votes."""
    return is_set_by_ahm(world) and not world.tampered and not world.forced \
        and not world.claim_forgotten and not halves(world)


class NothingLost(Lemma):
    """With synchronous replication a promotion loses no acknowledged row."""
    number = 18
    watches = (effects.Promote,)

    def performed(self, host: 'Host', effect: effects.Promote) -> None:
        clients = self.world.clients
        synchronous = clients.synchronous or (
            is_set_by_ahm(self.world) and not self.world.claim_forgotten)
        if not synchronous or host.database is None or self.world.tampered \
                or by_force(self.world, host):
            return
        lost = clients.lost_by(host.settings.own, promised=True)
        if lost:
            raise Violated('%s is promoted without %d rows that were acknowledged' % (
                host.settings.name, lost))


class Covered(Lemma):
    """Every claim that may be the newest of some q voters covers the setting in force."""
    number = 28
    watches_steps = True

    def __init__(self, world: 'World') -> None:
        super().__init__(world)
        self.seen: Any = None       # what was found to hold last

    def step(self) -> None:
        world = self.world
        if not _is_spoken_of(world):
            return
        claims = newest_claims(world)
        primaries = [host for host in world.hosts
                     if host.database is not None and host.database.writable]
        picture = claims, [(host.settings.own, host.database.synchronous) for host in primaries]
        if picture == self.seen or not is_promised(world):
            return
        leading = leases(world)
        for host in primaries:
            if host.settings.own in leading:
                self._look(host, claims)
        self.seen = picture

    def _look(self, host: 'Host', claims: Any) -> None:
        needed, names = host.database.synchronous
        for claim in claims:
            for having in self._confirming(host, needed, names):
                if len(having & set(claim.nodes)) < claim.needed:
                    raise Violated('%s lets commits wait for %d of %s, and what %s confirm is not '
                                   'covered by the claim of %d of %s' % (
                                       host.settings.name, needed, names, sorted(having),
                                       claim.needed, claim.nodes))

    def _confirming(self, host: 'Host', needed: int, names: Any) -> Iterator[Set[int]]:
        """Who may be all that have a row that was acknowledged: the primary, and so many more."""
        listed = [other.settings.own for other in self.world.hosts
                  if other.settings.name in names and other is not host]
        for some in combinations(listed, needed):
            yield {host.settings.own, *some}


class Caught(Lemma):
    """As many nodes of every new claim as it says have all that was acknowledged."""
    number = 29
    watches_disks = True

    def saved(self, host: 'Host', saved: Saved) -> None:
        before, node = host.saved, host.node
        if node is None or not _is_spoken_of(self.world) or not is_promised(self.world) \
                or before is None or before.claim[:2] == saved.claim[:2] \
                or not node.consensus.leads:
            return
        row = self._newest(host)
        if row is None or not saved.claim.needed:
            return
        having = [place for place in saved.claim.nodes if self._has(place, row)]
        if len(having) < saved.claim.needed:
            raise Violated('%s claims that %d of %s have all, and of row %d have it: %s' % (
                host.settings.name, saved.claim.needed, saved.claim.nodes, row.lsn, having))

    def _newest(self, host: 'Host') -> Optional[Written]:
        """The newest promised row that this host has."""
        return next((row for row in reversed(self.world.clients.acknowledged)
                     if row.promised and host.database is not None
                     and host.database.contains(row.branch, row.lsn)), None)

    def _has(self, place: int, row: Written) -> bool:
        database = self.world.hosts[place].database
        return database is not None and database.contains(row.branch, row.lsn)
