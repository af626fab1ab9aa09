"""Pictures of simulated faults, as SVG written by hand: no library is needed to make or see them.

`timeline` shows one run: a lane a node with a bar while clients wrote there, so a split is two bars
side by side; numbered marks, and below them what happened.  `distribution` shows many: for each
kind of fault how long clients could not write, all on one logarithmic scale, because outages of
some seconds and of minutes stand beside each other.  Longer texts appear under the pointer.
"""

import math
import textwrap
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple
from xml.sax.saxutils import escape

from ahmlib.simulation import shapes
from ahmlib.simulation.report import Group, grouped, verdict_text, window_of_group
from ahmlib.simulation.scenario import CLIENTS, OUTAGE_LEAST, TWO_PRIMARIES, Event, Outcome
from ahmlib.simulation.shapes import (
    AXIS,
    CHARACTER,
    COLOURS,
    LANE,
    LEFT,
    LINE,
    MARGIN,
    RIGHT,
    TOP,
    WIDTH,
)

BARS = 48
#: How many lines of what happened stand below the lanes, and how many of them one event takes.
LINES_MAX, EVENT_LINES = 200, 2
#: Marks of one lane that are closer than this, in pixels, share one.
CLOSE = 18


class Mark(NamedTuple):
    """Events of one lane that are too close to each other for marks of their own."""
    x: float
    lane: int
    events: Tuple[Event, ...]

    def has(self, text: str) -> bool:
        """Whether one of its events says this."""
        return any(text in event.text for event in self.events)


# -- one run -----------------------------------------------------------------------------------

def timeline(outcome: Outcome, names: Sequence[str]) -> str:
    """The picture of one run; `names`: its nodes in the order of their lanes."""
    lanes = list(names) + [CLIENTS]
    most = _shown_seconds(outcome)
    bottom = TOP + LANE * len(lanes)
    parts = shapes.linear_axis(most, bottom)
    for number, name in enumerate(lanes):
        y = _lane_y(number)
        parts += [shapes.line(LEFT, y, WIDTH - MARGIN, y),
                  shapes.label(MARGIN, y + 4, name, width=LEFT - MARGIN - 10)]
    parts += _served_bars(outcome, lanes, most) + _client_bars(outcome, most, len(names))
    events = [event for event in outcome.timeline if event.node in lanes]
    marks = _marks(events, lanes, most)
    for number, mark in enumerate(marks, 1):
        parts += _draw_mark(mark, number)
    parts += shapes.legend(bottom + 44, [('served', 'clients write here'), ('outage', 'no writes'),
                                   ('split', TWO_PRIMARIES), ('fault', 'fault')])
    listed, height = _event_list(events, marks, bottom + AXIS + LINE)
    said = verdict_text(outcome)
    return shapes.picture(height + MARGIN, '%s (seed %d)' % (outcome.fault, outcome.seed),
                    ['; '.join(said[:3]), '; '.join(said[3:])], parts + listed)


def _shown_seconds(outcome: Outcome) -> float:
    """How much of the run is shown: until shortly after the last event."""
    last = max([event.seconds for event in outcome.timeline] or [0.0])
    return max(min(1.15 * last, outcome.watched), 1.0)


def _lane_y(number: int) -> float:
    return TOP + LANE * (number + 0.5)


def _served_bars(outcome: Outcome, lanes: Sequence[str], most: float) -> List[str]:
    parts = []
    for served in outcome.served:
        y, begin = _lane_y(lanes.index(served.node)), shapes.x_of(served.since, most)
        parts.append(shapes.bar(begin, y - 8, shapes.x_of(served.until, most) - begin, 16, 'served',
                          'clients write on %s: %.2f to %.2f s' % served))
    return parts


def _client_bars(outcome: Outcome, most: float, lane: int) -> List[str]:
    """When clients could not write, and when they wrote on two primaries."""
    found, written = [], 0.0        # until when they wrote, up to the stretch looked at
    for place, one in enumerate(outcome.served):
        found.append((written, one.since, 'outage', 'no writes: %.2f s' % (one.since - written)))
        for other in outcome.served[:place]:
            until = min(one.until, other.until)
            if one.node != other.node:
                found.append((one.since, until, 'split', TWO_PRIMARIES))
        written = max(written, one.until)
    found.append((written, outcome.watched, 'outage',
                  'no writes: %.2f s and no end' % (outcome.watched - written)))
    y = _lane_y(lane)
    return [shapes.bar(shapes.x_of(begin, most), y - 8,
                       shapes.x_of(end, most) - shapes.x_of(begin, most), 16, colour, text)
            for begin, end, colour, text in found
            if end - begin >= (OUTAGE_LEAST if colour == 'outage' else 0)]


def _marks(events: Sequence[Event], lanes: Sequence[str], most: float) -> List[Mark]:
    """One for each event, or for several that are close; in the order of their first events."""
    found: List[Mark] = []
    last: Dict[int, int] = {}       # by lane: where its last mark is in `found`
    for event in events:
        lane, x = lanes.index(event.node), shapes.x_of(event.seconds, most)
        place = last.get(lane)
        if place is not None and x - found[place].x < CLOSE:
            found[place] = found[place]._replace(events=found[place].events + (event,))
        else:
            last[lane] = len(found)
            found.append(Mark(x, lane, (event,)))
    return found


def _draw_mark(mark: Mark, number: int) -> List[str]:
    colour = 'fault' if mark.has('FAULT') else 'split' if mark.has(TWO_PRIMARIES) else 'event'
    title = '\n'.join('%.3f s: %s' % (event.seconds, event.text) for event in mark.events)
    y = _lane_y(mark.lane)
    return ['<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"><title>%s</title></circle>' % (
        mark.x, y, 4 if colour == 'event' else 6, COLOURS[colour], escape(title)),
        shapes.label(mark.x, y - 11, str(number), 'middle', 9, colour)]


def _event_list(events: Sequence[Event], marks: Sequence[Mark],
                y: float) -> Tuple[List[str], float]:
    """(what happened, each with the number of its mark, and where that ends)."""
    numbers = {id(event): number for number, mark in enumerate(marks, 1) for event in mark.events}
    width, lines = int((WIDTH - LEFT - MARGIN) / (CHARACTER * 10)), 0
    parts: List[str] = []
    for place, event in enumerate(events):
        if lines >= LINES_MAX:
            more = 'and %d more, in the printed timeline' % (len(events) - place)
            return parts + [shapes.label(LEFT, y + LINE, more, size=10, colour='faint')], y + LINE
        parts += [shapes.label(MARGIN + 20, y + LINE, str(numbers[id(event)]), 'end', 10, 'faint'),
                  shapes.label(MARGIN + 90, y + LINE, '%.3f s' % event.seconds, 'end', 10),
                  shapes.label(MARGIN + 100, y + LINE, event.node, size=10,
                               width=LEFT - MARGIN - 110)]
        for line in textwrap.wrap(event.text, width, break_on_hyphens=False,
                                  max_lines=EVENT_LINES, placeholder=' \u2026'):
            y, lines = y + LINE, lines + 1
            parts.append(shapes.label(LEFT, y, line, size=10,
                               colour='fault' if event.text.startswith('FAULT') else 'text'))
    return parts, y


# -- many runs ---------------------------------------------------------------------------------

class Scale(NamedTuple):
    """A logarithmic scale of seconds between two of its ticks."""
    ticks: Tuple[float, ...]

    def x(self, seconds: float) -> float:
        """Where so many seconds are."""
        least, most = self.ticks[0], self.ticks[-1]
        share = math.log(min(max(seconds, least), most) / least) / math.log(most / least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def place(self, seconds: float) -> int:
        """Which of the bars so many seconds belong to."""
        share = (self.x(seconds) - LEFT) / (WIDTH - LEFT - RIGHT)
        return min(int(share * BARS), BARS - 1)

    def seconds(self, place: float) -> float:
        """Where this bar begins, in seconds."""
        least, most = self.ticks[0], self.ticks[-1]
        return least * (most / least) ** (place / BARS)


def scale_for(values: Sequence[float]) -> Scale:
    """The scale for these outages, with round ticks around them."""
    least, most = min(values or [1.0]), max(values or [10.0])
    ticks = [factor * 10.0 ** power for power in range(-2, 7) for factor in (1, 2, 5)]
    first = max(place for place, tick in enumerate(ticks) if tick <= max(least, ticks[0]))
    last = min([place for place, tick in enumerate(ticks) if tick >= most] + [len(ticks) - 1])
    return Scale(tuple(ticks[min(first, last - 1):last + 1]))


def distribution(config: Any, outcomes: Sequence[Outcome]) -> str:
    """The picture of many runs: how long clients could not write, for each kind of fault."""
    groups = grouped(outcomes)
    windows = [window_of_group(config, group) for group in groups]
    scale = scale_for([value for group in groups for value in _lasted(group)]
                      + [bound for window in windows if window for bound in window if bound > 0])
    bottom = TOP + LANE * len(groups)
    parts = [_band(window, scale, TOP + LANE * number)
             for number, window in enumerate(windows) if window]
    for tick in scale.ticks:
        parts += shapes.tick(scale.x(tick), bottom, tick)
    for number, group in enumerate(groups):
        parts += _histogram(group, scale, TOP + LANE * number)
    parts += shapes.legend(bottom + 44, [('event', 'runs with an outage that long'),
                                   ('window', 'AHM says: until the takeover, where there is one')])
    return shapes.picture(bottom + AXIS, 'Write outages of %s' % _runs(len(outcomes)), (
        'How long clients could not write, on a logarithmic scale.',
        'The figure above a bar counts its runs; the highest bar of each row has the same height.'),
        parts)


def _runs(number: int) -> str:
    return '%d run%s' % (number, '' if number == 1 else 's')


def _lasted(group: Group) -> List[float]:
    """Its outages that lasted and ended."""
    return [outcome.write_outage_seconds for outcome in group.outcomes
            if outcome.write_outage_seconds]


def _band(window: Any, scale: Scale, y: float) -> str:
    begin = scale.x(window.least)
    return shapes.bar(begin, y, scale.x(window.most) - begin, LANE, 'window',
                'AHM says: %.4g to %.4g s until the takeover' % window)


def _histogram(group: Group, scale: Scale, y: float) -> List[str]:
    lasted, counts = _lasted(group), [0] * BARS
    for value in lasted:
        counts[scale.place(value)] += 1
    number = len(group.outcomes)
    without = number - len(lasted) - group.endless
    said = _runs(number) + (', %d without outage' % without if without else '')
    parts = [shapes.line(MARGIN, y + LANE, WIDTH - MARGIN, y + LANE),
             shapes.label(MARGIN, y + 18, '%s, %s' % (group.fault, group.struck),
                   width=LEFT - MARGIN - 10),
             shapes.label(MARGIN, y + 34, said, size=10, colour='faint', width=LEFT - MARGIN - 10)]
    notes = [('split', '%s: %d' % (TWO_PRIMARIES, group.split))] if group.split else []
    notes += [('fault', 'no end: %d' % group.endless)] if group.endless else []
    for place, (colour, text) in enumerate(notes):
        parts.append(shapes.label(WIDTH - MARGIN, y + 18 + LINE * place, text, 'end', 11, colour))
    width = (WIDTH - LEFT - RIGHT) / BARS
    for place, count in enumerate(counts):
        if count:
            height = (LANE - 16) * count / max(counts)
            x, title = LEFT + place * width, '%s of %.3g to %.3g s' % (
                _runs(count), scale.seconds(place), scale.seconds(place + 1))
            parts += [shapes.bar(x, y + LANE - height, width - 1, height, 'event', title),
                      shapes.label(x + width / 2, y + LANE - height - 3, str(count), 'middle', 9)]
    return parts
