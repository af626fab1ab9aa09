"""All parts of a node, for those whose task is to read many: the row, the status, procedures.

Each part knows those that stand above it here, and none below: so no two know each other.
"""

from typing import NamedTuple

from .consensus.consensus import Consensus
from .facts import Facts
from .out import Out
from .policy.agreement import Namesake
from .policy.boot import Boot
from .policy.candidate import Candidate
from .policy.checks import Checks
from .policy.claims import Claims
from .policy.database import LocalDatabase
from .policy.duties import Duties
from .policy.ending import ClusterEnd
from .policy.evidence import Investigation
from .policy.force import Force
from .policy.foreign import Foreign
from .policy.history import History
from .policy.intents import Intents
from .policy.isolation import Isolation
from .policy.leaving import Leaving
from .policy.maintenance import Maintenance
from .policy.operator import Operator
from .policy.pause import Paused
from .policy.place import PrimaryPlace
from .policy.promotion import Promotion
from .policy.rehearsals import Rehearsals
from .policy.repoint import Repoint
from .policy.standby import StandbyWatch
from .policy.synchronous import Synchronous
from .policy.troubles import Troubles
from .policy.vip import Vip


class Parts(NamedTuple):
    """One node, taken apart."""
    facts: Facts
    out: Out
    consensus: Consensus
    database: LocalDatabase
    paused: Paused
    place: PrimaryPlace
    foreign: Foreign
    namesake: Namesake
    claims: Claims
    intents: Intents
    force: Force
    checks: Checks
    synchronous: Synchronous
    investigation: Investigation
    standby: StandbyWatch
    isolation: Isolation
    vip: Vip
    rehearsals: Rehearsals
    candidate: Candidate
    promotion: Promotion
    shutdown: ClusterEnd
    maintenance: Maintenance
    operator: Operator
    duties: Duties
    repoint: Repoint
    leaving: Leaving
    boot: Boot
    troubles: Troubles
    history: History
