"""Prometheus' text format 0.0.4: families of samples, each with its help and its type."""

import math
from typing import Dict, Iterable, List, NamedTuple, Tuple, Union

KIND = 'text/plain; version=0.0.4; charset=utf-8'
GAUGE, COUNTER, HISTOGRAM = 'gauge', 'counter', 'histogram'

Number = Union[int, float, bool]
Labels = Dict[str, str]
Sample = Tuple[Labels, Number]


class Family(NamedTuple):
    """One metric: all its samples, of which there may be none."""

    name: str
    kind: str
    help: str
    samples: List[Sample]


def one(value: Number) -> List[Sample]:
    """The only sample of a metric without labels."""
    return [({}, value)]


def states(label: str, names: Iterable[str], now: str) -> List[Sample]:
    """An enumeration as one series a state, 1 for the one that is."""
    return [({label: name}, name == now) for name in names]


def histogram(name: str, text: str, bounds: Iterable[float], counts: List[int],
              total: float) -> str:
    """A histogram; `counts` has one more than there are bounds, for what is beyond."""
    lines, so_far = _head(name, HISTOGRAM, text), 0
    for bound, count in zip(list(bounds) + [math.inf], counts):
        so_far += count
        lines.append(_line(name + '_bucket', {'le': _number(bound)}, so_far))
    lines += [_line(name + '_sum', {}, total), _line(name + '_count', {}, so_far)]
    return ''.join(lines)


def render(families: Iterable[Family]) -> str:
    """The text of these families; one without samples is left out."""
    lines: List[str] = []
    for family in families:
        if family.samples:
            lines += _head(family.name, family.kind, family.help)
            lines += [_line(family.name, labels, value) for labels, value in family.samples]
    return ''.join(lines)


def _head(name: str, kind: str, text: str) -> List[str]:
    text = text.replace('\\', '\\\\').replace('\n', '\\n')
    return ['# HELP %s %s\n' % (name, text), '# TYPE %s %s\n' % (name, kind)]


def _line(name: str, labels: Labels, value: Number) -> str:
    inner = ','.join('%s="%s"' % (label, _escaped(text)) for label, text in labels.items())
    return '%s%s %s\n' % (name, '{%s}' % inner if inner else '', _number(value))


def _escaped(text: str) -> str:
    return text.replace('\\', '\\\\').replace('\n', '\\n').replace('"', '\\"')


def _number(value: Number) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return 'NaN' if math.isnan(value) else '+Inf' if value > 0 else '-Inf'
    return repr(int(value) if isinstance(value, bool) else value)
