"""What has to be the same on all nodes, or to fit: `ahm_check_config --cluster`."""

import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ahmlib.checking import gather, of_cluster, of_minors
from ahmlib.checking.finding import (
    ERROR,
    OK,
    WARNING,
    Finding,
    Rule,
    Verdict,
    of_rule,
    well,
)
from ahmlib.database.survey import Survey
from ahmlib.ipc import client

#: What utilities ask a daemon; anybody may who may ask for the status, as it changes nothing.
ASK = 'check'
#: Leases and promises of all nodes follow from these; the other times only from one's own.
OF_LEASE = ('beacon_message_interval_seconds', 'beacon_message_retry_count')
TIMES = ('health_check_period', 'max_consec_failures', 'db_connect_timeout',
         'promote_leader_timeout_seconds', 'wait_for_primary_timeout_seconds',
         'hook_timeout_seconds')
#: Whoever leads does as its own say.
POLICY = ('stop_isolated_primary', 'failover_lag_limit_bytes', 'use_pg_rewind')
SHARED = ('virtual_IP', 'db_port')
STANDBY_SETTINGS = next(rule for rule in of_cluster.RULES if rule.code == 'standby-settings')
MIXED = next(rule for rule in of_minors.RULES if rule.code == 'mixed-versions')


class Told(NamedTuple):
    """What a node said of itself; `reason` where it did not.

    What is told of it nevertheless is that of its files.
    """

    address: str
    reason: str = ''
    findings: Sequence[Finding] = ()
    about: Dict[str, Any] = {}
    survey: Optional[Survey] = None
    ahead_seconds: float = 0.0          # its clock, of the one here

    @property
    def name(self) -> str:
        """Its node_name; its address where that is not known."""
        return str(self.about.get('name', self.address))


def told(address: str, answer: Dict[str, Any], at: float) -> Told:
    """The Told of an answer that came at the instant `at` of the clock here."""
    if answer.get('ok') is not True:
        return Told(address, str(answer.get('reason') or 'it gave no reason'))
    try:
        check = answer['check']
        findings = [Finding(**{name: str(each[name]) for name in Finding._fields})
                    for each in check['findings']]
        survey = None if check['survey'] is None else gather.survey_of(check['survey'])
        about = dict(check['about'], parameters=dict(check['about']['parameters']))
        missing = {'name', 'ahm', 'cluster', 'witness', 'priority'} - set(about)
        if missing:
            return Told(address, 'its answer lacks %s' % ', '.join(sorted(missing)))
        return Told(address, '', findings, about, survey, float(check['clock']) - at)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Told(address, 'its answer is not understood (%s)' % type(error).__name__)


def answered(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """Who does not answer is not checked."""
    for each in nodes:
        yield Verdict(ERROR, each.address, each.reason, 'start AHM there, see listen_address and '
                      'ipc_port, or update it') if each.reason else well(each.address, each.name)


def _differing(nodes: Sequence[Told], names: Tuple[str, ...], level: str) -> Iterator[Verdict]:
    for name in names:
        values: Dict[str, List[str]] = {}
        for each in nodes:
            if name in each.about.get('parameters', {}):
                values.setdefault(str(each.about['parameters'][name]), []).append(each.name)
        if len(values) > 1:
            yield Verdict(level, name, '; '.join('%s at %s' % (value, ', '.join(where))
                                                 for value, where in values.items()),
                          'ahm_config.yml: the same %s on all nodes' % name)


def _of_about(nodes: Sequence[Told], name: str) -> Dict[Any, List[str]]:
    values: Dict[Any, List[str]] = {}
    for each in nodes:
        if each.about:
            values.setdefault(str(each.about[name]), []).append(each.name)
    return values


def same_cluster(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """Nodes of different lists count different majorities."""
    values = _of_about(nodes, 'cluster')
    if len(values) > 1:
        yield Verdict(ERROR, 'nodes.conf', 'not the same: %s' % ' | '.join(
            ', '.join(where) for where in values.values()), 'the same nodes.conf and '
            'failover_consensus_with_half_votes on all nodes')


def same_parameters(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """Times of the lease are promises to others."""
    yield from _differing(nodes, OF_LEASE + SHARED, ERROR)
    yield from _differing(nodes, TIMES + POLICY, WARNING)


def names(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """The one that starts later ends."""
    known = [each for each in nodes if each.about]
    for name in sorted({each.name for each in known}):
        where = [each.address for each in known if each.name == name]
        if len(where) > 1:
            yield Verdict(ERROR, 'node_name', '%s at %s' % (name, ', '.join(where)),
                          'ahm_config.yml: a node_name of its own for each')


def priorities(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """Which of two takes over is chance, as far as the operator can tell."""
    leading = [each for each in nodes if each.about and not each.about['witness']
               and each.about['priority']]
    for value, where in _of_about(leading, 'priority').items():
        if len(where) > 1:
            yield Verdict(WARNING, 'priority', '%s at %s' % (value, ', '.join(where)),
                          'ahm_config.yml: a priority of its own for each, the lowest first')


def versions(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """All nodes decide by the same program."""
    values = _of_about(nodes, 'ahm')
    if len(values) > 1:
        yield Verdict(WARNING, 'AHM', '; '.join('%s at %s' % (version, ', '.join(where))
                                                for version, where in values.items()),
                      'update AHM on all nodes')


def clocks(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """For who reads logs side by side."""
    for each in nodes:
        if each.about and not each.reason:
            yield well(each.name, '%+.3f s' % each.ahead_seconds)


def servers(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """One version everywhere."""
    yield from of_minors.of_versions([each.survey.version for each in nodes if each.survey])


def standbys(nodes: Sequence[Told]) -> Iterator[Verdict]:
    """Each standby and the primary, whether or not they let each other in."""
    primaries = [each.survey for each in nodes if each.survey and not each.survey.in_recovery]
    for each in nodes:
        if each.survey and each.survey.in_recovery and primaries:
            yield from of_cluster.compare(each.survey, each.name, primaries[0])


RULES = (
    Rule('unanswered', 'what is wrong there is not known, and it does not take part', (), answered),
    Rule('same-cluster', 'nodes of different lists, or of another quorum rule, count different '
         'majorities', (), same_cluster),
    Rule('same-parameters', 'a lease is a promise to the others, and whoever leads does as its own '
         'file says', (), same_parameters),
    Rule('node-names', 'of two nodes of one name the one that starts later ends', (), names),
    Rule('priorities', 'no priority says which of these is to take over first',
         (), priorities),
    Rule('ahm-versions', 'nodes of different versions may decide differently', (), versions),
    Rule('clocks', 'no decision rests on them; whoever compares logs of two hosts has to know',
         (), clocks),
)


def compare(nodes: Sequence[Told]) -> List[Finding]:
    """What all rules say of these nodes together; a Rule that finds nothing is well."""
    found = []
    for rule, judge in [(rule, rule.judge) for rule in RULES] + [
            (MIXED, servers), (STANDBY_SETTINGS, standbys)]:
        verdicts = list(judge(nodes)) or [Verdict(OK, '', 'nothing differs')]
        found += [of_rule(rule, verdict) for verdict in verdicts]
    return found


def ask(host: Optional[str], port: int, socket_dir: str, limit: float) -> Dict[str, Any]:
    """In a child: the answer of the daemon there; of this host's, where `host` is None."""
    try:
        answer = client.ask({'ask': ASK}, host, port, socket_dir, limit)
    except (client.NoDaemon, client.ProtocolError) as error:
        answer = {'ok': False, 'reason': str(error)}
    return {'answer': answer, 'at': time.time()}
