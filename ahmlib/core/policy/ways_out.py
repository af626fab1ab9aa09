"""Which command ends a state in which the cluster waits for a person.

What AHM refuses to do by itself it has reasons for; at 3 a.m. these are half of what is needed.
So wherever no node leads, and none will by itself, the status and the refusals of the commands name
the one that goes on from here, and the node on which to run it.
"""

from typing import List, Optional

from ..beacon import Beacon, Due
from ..consensus.consensus import Consensus
from ..facts import Facts
from ..states import DatabaseState
from .candidate import Candidate
from .election import View, best, why_not_eligible
from .place import PrimaryPlace
from .record import primaries


def way_out(facts: Facts, consensus: Consensus, place: PrimaryPlace, candidate: Candidate) -> str:
    """What an operator has to do so that somebody leads; '' where somebody does, or soon may."""
    if consensus.leads or consensus.leader_row() is not None:
        return ''
    rows, view = consensus.contact_rows(), candidate.view()
    if not consensus.members.has_majority():
        return _without_majority(facts, rows)
    holder = candidate.paused.pause.holder
    if candidate.paused.on and holder not in [row.sender for row in primaries(rows)]:
        return _paused(facts, rows, holder)
    second = [row for row in primaries(rows) if not row.rightful]
    if second:
        return 'stop the database of %s: it is a primary, and not the one on record' % (
            second[0].name)
    able = best([row for row in rows if not why_not_eligible(row, view)], view)
    if able is None:
        return _nobody_may(facts, rows, view)
    if not any(row.followed for row in rows):
        return 'run %s: no AHM has seen a leader since its start, so nobody is promoted by itself' \
            % _promote(facts, able)
    if consensus.contest.due is Due.FENCER and place.suspect is not None:
        return 'start the AHM of %s ("ahm start" there), whose database answers, or stop that ' \
            'database' % facts.name_of(place.suspect)
    return ''


def _paused(facts: Facts, rows: List[Beacon], holder: Optional[int]) -> str:
    """In a pause nobody but its holder leads: by its primary, or asked to."""
    name = facts.name_of(holder)
    row = next((row for row in rows if row.sender == holder), None)
    asks = ', or run %s' % _promote(facts, row) \
        if row is not None and row.database is DatabaseState.STANDBY else ''
    able = _most([each for each in rows if each.sender != holder])
    gone = '' if able is None else '; if it is gone for good: run %s' % _promote(
        facts, able, ' --force')
    return 'the cluster is paused, and only %s may lead: start its AHM, and its database as the ' \
        'primary that it was%s%s' % (name, asks, gone)


def _without_majority(facts: Facts, rows: List[Beacon]) -> str:
    """The others may be cut off, so starting them comes first."""
    heard = {row.sender for row in rows}
    missing = [facts.name_of(place) for place in facts.settings.order if place not in heard]
    able = _most(rows)
    gone = '' if able is None else '; only if so many of these hosts are gone for good that ' \
        'there will be no majority: run %s' % _promote(facts, able, ' --force')
    return 'start the AHM of %s, or mend the network to it%s' % (' or '.join(missing), gone)


def _nobody_may(facts: Facts, rows: List[Beacon], view: View) -> str:
    resumed = [row for row in rows if row.maintenance
               and not why_not_eligible(row._replace(maintenance=False), view)]
    if resumed:
        return 'run "ahm_resume_cluster --node=%s": it is in maintenance' % resumed[0].name
    able = _most(rows)
    if able is None:
        return 'start the database of the node that had the newest data, as a standby, then ask ' \
            'for the status again'
    return 'run %s: it has the most data of those that are left; what it lacks of the old ' \
        'primary is lost' % _promote(facts, able, ' --force')


def _most(rows: List[Beacon]) -> Optional[Beacon]:
    """Who has the most data, whatever is held against it; its server has answered."""
    able = [row for row in rows
            if not (row.witness or row.maintenance) and row.lsn and row.system_id
            and (row.out or row.database in (DatabaseState.STANDBY, DatabaseState.PRIMARY))]
    return max(able, key=lambda row: (row.timeline, row.lsn, -row.priority), default=None)


def _promote(facts: Facts, row: Beacon, force: str = '') -> str:
    return '"ahm_promote_node%s" on %s (%s)' % (force, row.name, facts.settings.host(row.sender))
