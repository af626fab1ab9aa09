"""The newest failover or switchover as a picture: a lane a node, a bar a step, a mark an event.

Where the steps of one event stand is known from one clock.  What other nodes say of the same time
is placed by their own clocks, so it is as far off as those are apart.
"""

from typing import List, Optional, Sequence, Tuple

from ahmlib.ipc.protocol import Message
from ahmlib.simulation import shapes
from ahmlib.simulation.shapes import AXIS, LANE, LEFT, LINE, MARGIN, TOP, WIDTH
from ahmlib.utilities.event_sources import moment

DRAWN = ('failover', 'switchover', 'forced promotion')
#: The colours of steps, in turn, so that neighbours differ; none of them says that all is well.
TURNS = ('outage', 'lane', 'window')
#: Before its first step and after its end: what else belongs to it.
AROUND_SECONDS = 2.0
EVENTS_MAX = 40


def newest(events: Sequence[Message]) -> Optional[Message]:
    """The newest one in these events; None where there is none."""
    found = [event for event in events if event['kind'] in DRAWN and event['steps']]
    return found[-1] if found else None


def picture(told: Message, events: Sequence[Message]) -> str:
    """The picture of this one as SVG, with what else happened meanwhile."""
    begin = moment(told['steps'][0]['at']) - AROUND_SECONDS / 2
    end = moment(told['at']) + AROUND_SECONDS
    shown = [event for event in events if begin <= moment(event['at']) <= end]
    lanes = [told['node']] + sorted({event['node'] for event in shown} - {told['node']})
    most, bottom = end - begin, TOP + LANE * len(lanes)
    parts = shapes.linear_axis(most, bottom)
    for number, name in enumerate(lanes):
        y = TOP + LANE * (number + 0.5)
        parts += [shapes.line(LEFT, y, WIDTH - MARGIN, y),
                  shapes.label(MARGIN, y + 4, name, width=LEFT - MARGIN - 10)]
    for event in shown:
        if event['steps'] and (event is told or event['kind'] in ('step down', 'switch over')):
            parts += _steps(event, begin, most, TOP + LANE * (lanes.index(event['node']) + 0.5))
    parts += _marks(shown, lanes, begin, most)
    listed, height = _listed(told, shown, begin, bottom + AXIS)
    total = sum(step['took'] for step in told['steps'])
    return shapes.picture(height + MARGIN, '%s: %s' % (told['kind'], told['text']), (
        'term %d, %.3f s since the last sign of life of the old primary (%s), which is at %g s' % (
            told['term'], total, told['steps'][0]['at'], AROUND_SECONDS / 2),), parts + listed)


def _colour(number: int) -> str:
    """That of the step with this number."""
    return TURNS[number % len(TURNS)]


def _steps(event: Message, begin: float, most: float, y: float) -> List[str]:
    """A bar for each step, with its name and its seconds under the pointer."""
    parts = []
    for number, step in enumerate(event['steps']):
        at = moment(step['at']) - begin
        x = shapes.x_of(at, most)
        parts.append(shapes.bar(x, y - 8, shapes.x_of(at + step['took'], most) - x, 16,
                                _colour(number),
                                '%s: %.3f s' % (step['name'], step['took'])))
    return parts


def _marks(shown: Sequence[Message], lanes: Sequence[str], begin: float,
           most: float) -> List[str]:
    return [shapes.bar(shapes.x_of(moment(event['at']) - begin, most),
                       TOP + LANE * (lanes.index(event['node']) + 0.5) - 12, 1.5, 24, 'event',
                       '%s: %s' % (event['kind'], event['text'])) for event in shown]


def _listed(told: Message, shown: Sequence[Message], begin: float,
            y: float) -> Tuple[List[str], float]:
    """The steps with their durations, then what happened; and where that ends."""
    rows = [(moment(step['at']) - begin, '%.3f s' % step['took'], step['name'])
            for step in told['steps']]
    rows += [(moment(event['at']) - begin, event['node'], '%s: %s' % (event['kind'], event['text']))
             for event in shown[:EVENTS_MAX]]
    parts = []
    for number, (at, what, text) in enumerate(rows):
        y += LINE
        if number < len(told['steps']):         # the colour of its bar
            parts.append(shapes.bar(MARGIN, y - 9, 10, 10, _colour(number), text))
        parts += [shapes.label(MARGIN + 60, y, '%.3f s' % at, 'end', 10),
                  shapes.label(MARGIN + 80, y, what, size=10, width=LEFT - MARGIN - 90),
                  shapes.label(LEFT, y, text, size=10, width=WIDTH - LEFT - MARGIN)]
    if len(shown) > EVENTS_MAX:
        y += LINE
        parts.append(shapes.label(LEFT, y, 'and %d more' % (len(shown) - EVENTS_MAX), size=10))
    return parts, y
