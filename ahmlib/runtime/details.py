"""What a child did and found, as one line for the log at DEBUG: how long it took, and all it said.

That is what support asks for when a check is slow or a command fails now and then, and what nobody
else wants to read.
"""

import enum
import re
from typing import Any


def line(effect: Any, event: Any, seconds: float) -> str:
    """'check database took 13 ms: verdict REACHABLE, timeline 3'; what is empty is left out."""
    name = re.sub('(?<=[a-z])(?=[A-Z])', ' ', type(effect).__name__).lower()
    said = ['%s %s' % (field, _text(value)) for field, value in zip(event._fields, event)
            if field != 'token' and value not in ('', (), None)]
    return '%s took %.0f ms: %s' % (name, seconds * 1000, ', '.join(said))


def _text(value: Any) -> Any:
    return value.name if isinstance(value, enum.Enum) else value
