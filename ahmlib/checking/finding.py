"""What a rule says, and what a rule is."""

from typing import Callable, Iterable, NamedTuple, Tuple

#: How bad it is; UNKNOWN is what could not be asked, or was not answered.
LEVELS = OK, UNKNOWN, WARNING, ERROR = ('OK', 'UNKNOWN', 'WARNING', 'ERROR')


class Finding(NamedTuple):
    """One line of the outcome: the keys of --json.

    `code` stays the same for good.  `subject` is what it is about: a parameter, a setting, a node.
    `fix` is the line to change, and how; '' where there is nothing to do.
    """

    level: str
    code: str
    subject: str
    found: str
    why: str
    fix: str


class Verdict(NamedTuple):
    """What a rule says of one subject; its code and why it matters are the rule's."""

    level: str
    subject: str
    found: str
    fix: str = ''
    why: str = ''               # where it says more than the rule does


class Rule(NamedTuple):
    """`judge(config, *facts)` of the facts that are named in `needs`, none of which is unknown.

    It is a pure function.  No Verdict from it: the rule does not concern this node.
    """

    code: str
    why: str
    needs: Tuple[str, ...]
    judge: Callable[..., Iterable[Verdict]]
    of_database: bool = True    # whether it means nothing to a witness


class Unknown(NamedTuple):
    """In place of a fact: why it is not known."""

    reason: str


def well(subject: str, found: str) -> Verdict:
    """Nothing to do."""
    return Verdict(OK, subject, found)


def of_rule(rule: Rule, verdict: Verdict) -> Finding:
    """The Finding of what a rule says."""
    return Finding(verdict.level, rule.code, verdict.subject, verdict.found,
                   verdict.why or rule.why, verdict.fix)
