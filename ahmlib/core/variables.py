"""What the operator's commands are told in their environment (README.md)."""

from typing import Tuple

from .facts import Facts
from .policy.place import PrimaryPlace


def hook_variables(facts: Facts, place: PrimaryPlace, term: int, event: str,
                   new: int) -> Tuple[Tuple[str, str], ...]:
    """The variables of a command run at this occasion; `new` is the place of the new primary."""
    settings, old = facts.settings, place.suspect
    if old == new:
        # With two nodes and half votes a primary that comes back alone fences the other one.
        alone = settings.half_votes and settings.size == 2 and event == 'PRE_PROMOTION'
        old = 1 - facts.own if alone else place.replaced
    return (('AHM_EVENT', event), ('AHM_NODE_NAME', settings.name),
            ('AHM_NODE_HOST', settings.host(facts.own)),
            ('AHM_OLD_PRIMARY_NAME', '' if old is None else facts.name_of(old)),
            ('AHM_OLD_PRIMARY_HOST', '' if old is None else settings.host(old)),
            ('AHM_NEW_PRIMARY_NAME', facts.name_of(new)),
            ('AHM_NEW_PRIMARY_HOST', settings.host(new)),
            ('AHM_DB_PORT', str(settings.db_port)),
            ('AHM_DB_DATA_DIR', settings.db_data_dir),
            ('AHM_VIRTUAL_IP', settings.vip), ('AHM_TERM', str(term)))
