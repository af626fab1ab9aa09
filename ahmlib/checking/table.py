"""All rules, in the order in which they are told, and what they say of facts."""

from typing import Dict, Iterator, List, Tuple

from ahmlib.checking import (
    of_cluster,
    of_config,
    of_minors,
    of_nodes,
    of_rehearsals,
    of_server,
    of_service,
    of_slots,
    of_standby,
    of_start,
)
from ahmlib.checking.facts import Facts
from ahmlib.checking.finding import UNKNOWN, Finding, Rule, Unknown, Verdict, of_rule
from ahmlib.config import schema

RULES: Tuple[Rule, ...] = (
    of_start.RULES + of_server.RULES + of_minors.RULES + of_service.RULES + of_standby.RULES
    + of_slots.RULES + of_cluster.RULES + of_rehearsals.RULES)


def codes() -> Dict[str, str]:
    """{code: why it matters} of all there are, in order; ahm_check_config(1) lists the same."""
    found = dict(of_config.WHY)
    found.update((rule.code, rule.text) for rule in schema.RULES + schema.ADVICE)
    found.update((rule.code, rule.why) for rule in RULES + of_nodes.RULES)
    found['no-effect'] = 'this version reads the parameter, checks it, and does no more with it'
    return found


def judge(facts: Facts) -> List[Finding]:
    """What all rules say of these Facts."""
    is_witness = facts.config.is_witness
    found = [finding for rule in RULES if not (is_witness and rule.of_database)
             for finding in _of(rule, facts)]
    # A program that the rehearsal missed, too, is told once.
    missed = {finding.subject for finding in found
              if finding.subject and finding.code in of_rehearsals.TAKEOVERS}
    return [finding for finding in of_config.judge(facts.config, facts.another_user)
            if finding.code != of_config.PROGRAM or finding.subject not in missed] + found


def _of(rule: Rule, facts: Facts) -> Iterator[Finding]:
    needed = [getattr(facts, name) for name in rule.needs]
    unknown = [fact for fact in needed if isinstance(fact, Unknown)]
    if unknown:
        yield of_rule(rule, Verdict(UNKNOWN, '', 'not known: %s' % unknown[0].reason))
        return
    for verdict in rule.judge(facts.config, *needed):
        yield of_rule(rule, verdict)
