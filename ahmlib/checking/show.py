"""The values of all parameters, and where each comes from."""

from typing import TYPE_CHECKING, List, NamedTuple

from ahmlib.config import loader
from ahmlib.config.defaults import initial
from ahmlib.config.sample import default_text
from ahmlib.config.schema import PARAMETERS, Derived

if TYPE_CHECKING:
    from ahmlib.config.loader import Config


class Value(NamedTuple):
    """One parameter: its value as it may be shown, and its source."""

    name: str
    value: str
    source: str


def values(config: 'Config') -> List[Value]:
    """All parameters, in the order of the sample file."""
    return [Value(row.name, loader.shown(config, row.name), _source(config, row.attribute))
            for row in PARAMETERS]


def _source(config: 'Config', name: str) -> str:
    if name in config.given:
        return '%s:%d' % (config.path, config.line_of(name))
    row = next(row for row in PARAMETERS if row.attribute == name)
    if isinstance(row.default, Derived) and getattr(config, name) != initial(row):
        return 'default: %s' % default_text(row)
    return 'default'
