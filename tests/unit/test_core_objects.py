"""No two parts of a node know each other: what one holds stands below it, and never the reverse.

Answers that are waited for, and the steps of a procedure, are functions; they come and go.
"""

from typing import Any, Dict, List, Set

from ahmlib.core.consensus.saved import Saved
from ahmlib.core.node import Node

from .rows import one_settings


def parts_of(value: Any) -> List[Any]:
    """The objects of the core that this value holds itself, or in its containers."""
    if isinstance(value, dict):
        return [part for item in value.values() for part in parts_of(item)]
    if isinstance(value, (list, set, frozenset, tuple)):
        return [part for item in value for part in parts_of(item)]
    inside = type(value).__module__.startswith('ahmlib.core.') and hasattr(value, '__dict__')
    return [value] if inside and not isinstance(value, int) else []


def graph() -> Dict[str, Set[str]]:
    """By class: the classes of what its object holds, beginning with the Node."""
    found: Dict[str, Set[str]] = {}
    ahead = [Node(one_settings(), Saved(), 4711, 100.0)]
    while ahead:
        one = ahead.pop()
        if type(one).__name__ in found:
            continue
        held = [part for value in vars(one).values() for part in parts_of(value)]
        found[type(one).__name__] = {type(part).__name__ for part in held}
        ahead += held
    return found


def reached(start: str, edges: Dict[str, Set[str]]) -> Set[str]:
    """All that is held by what this class holds."""
    ahead, seen = list(edges[start]), set()
    while ahead:
        one = ahead.pop()
        if one not in seen:
            seen.add(one)
            ahead += edges[one]
    return seen


def test_no_part_is_held_by_what_it_holds() -> None:
    edges = graph()
    assert {'Consensus', 'Candidate', 'Vip', 'Plan', 'Duties'} <= set(edges)
    assert [part for part in edges if part in reached(part, edges)] == []


def test_nobody_holds_the_node() -> None:
    assert all('Node' not in held for held in graph().values())
