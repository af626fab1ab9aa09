"""Pictures of simulated faults, as SVG written by hand: no library is needed to make or see them.

`timeline` shows one run: a lane a node, a mark an event (its text appears under the pointer), and a
bar while clients could not write.  `distribution` shows many: a histogram of the write outages for
each kind of fault, all on one scale.
"""

from typing import List, Sequence
from xml.sax.saxutils import escape, quoteattr

from .report import Group, grouped
from .scenario import CLIENTS, TWO_PRIMARIES, Outcome

WIDTH, LEFT, RIGHT, TOP = 960, 210, 30, 50
LANE, BOTTOM = 44, 50
BARS = 40
COLOURS = {'FAULT': '#c0392b', 'outage': '#e8a49c', 'event': '#2c5f8a', 'split': '#8e44ad',
           'lane': '#cccccc', 'text': '#222222'}


def _text(x: float, y: float, text: str, anchor: str = 'start', size: int = 12) -> str:
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s</text>' % (
        x, y, anchor, size, COLOURS['text'], escape(text))


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (
        x1, y1, x2, y2, COLOURS['lane'])


def _bar(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    return '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill=%s><title>%s</title></rect>' % (
        x, y, max(width, 1.0), height, quoteattr(COLOURS[colour]), escape(title))


def _picture(height: float, title: str, parts: Sequence[str]) -> str:
    return '\n'.join(['<?xml version="1.0" encoding="UTF-8"?>',
                      '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                      'font-family="sans-serif">' % (WIDTH, height),
                      '<rect width="100%" height="100%" fill="#ffffff"/>',
                      _text(20, 28, title, size=15), *parts, '</svg>', ''])


def _tick_seconds(most: float) -> float:
    """A round distance between ticks, of which at most ten fit."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if most <= 10 * step * factor:
                return step * factor
        step *= 10


def _scale(most: float, bottom: float) -> List[str]:
    """The axis of seconds below the picture."""
    step, parts, number = _tick_seconds(most), [], 0
    while number * step <= most:
        x = _x(number * step, most)
        parts += [_line(x, TOP, x, bottom), _text(x, bottom + 18, '%g s' % (number * step),
                                                  'middle')]
        number += 1
    return parts


def _x(seconds: float, most: float) -> float:
    return LEFT + max(seconds, 0.0) / most * (WIDTH - LEFT - RIGHT)


def timeline(outcome: Outcome, names: Sequence[str]) -> str:
    """The picture of one run; `names`: its nodes in the order of their lanes."""
    most = max(outcome.watched, 1.0)
    lanes = list(names) + [CLIENTS]
    bottom = TOP + LANE * len(lanes)
    parts = _scale(most, bottom)
    for number, name in enumerate(lanes):
        y = TOP + LANE * (number + 0.5)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y), _text(20, y + 4, name)]
    parts += _outage_bar(outcome, most, TOP + LANE * (len(lanes) - 1))
    for event in outcome.timeline:
        if event.node in lanes:
            parts.append(_mark(event, most, TOP + LANE * (lanes.index(event.node) + 0.5)))
    return _picture(bottom + BOTTOM, outcome.fault, parts)


def _outage_bar(outcome: Outcome, most: float, y: float) -> List[str]:
    if outcome.outage_from is None:
        return []
    outage = outcome.write_outage_seconds
    end = outcome.watched if outage is None else outcome.outage_from + outage
    begin_x, end_x = _x(outcome.outage_from, most), _x(end, most)
    label = 'no writes: %.2f s%s' % (end - outcome.outage_from,
                                     ' and no end' if outage is None else '')
    return [_bar(begin_x, y + 10, end_x - begin_x, LANE - 20, 'outage', label)]


def _mark(event, most: float, y: float) -> str:
    fault, split = event.text.startswith('FAULT'), TWO_PRIMARIES in event.text
    colour = COLOURS['FAULT' if fault else 'split' if split else 'event']
    return '<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"><title>%s</title></circle>' % (
        _x(event.seconds, most), y, 7 if fault or split else 4, colour,
        escape('%.3f s: %s' % (event.seconds, event.text)))


def distribution(outcomes: Sequence[Outcome]) -> str:
    """The picture of many runs: how long clients could not write, for each kind of fault."""
    groups = grouped(outcomes)
    ended = [outcome.write_outage_seconds or 0.0 for outcome in outcomes]
    most = max(ended + [1.0])
    bottom = TOP + LANE * len(groups)
    parts = _scale(most, bottom)
    for number, group in enumerate(groups):
        parts += _histogram(group, most, TOP + LANE * number)
    return _picture(bottom + BOTTOM, 'Write outages of %d runs' % len(outcomes), parts)


def _histogram(group: Group, most: float, y: float) -> List[str]:
    counts = [0] * BARS
    for outcome in group.outcomes:
        if outcome.write_outage_seconds is not None:
            counts[min(int(outcome.write_outage_seconds / most * BARS), BARS - 1)] += 1
    label = '%s, %s' % (group.fault, group.struck)
    endless = ', %d without end' % group.endless if group.endless else ''
    parts = [_text(20, y + 18, label), _text(20, y + 33, '%d runs%s' % (len(group.outcomes),
                                                                       endless), size=10)]
    width = (WIDTH - LEFT - RIGHT) / BARS
    for place, count in enumerate(counts):
        if count:
            height = (LANE - 8) * count / max(counts)
            title = '%d of %.4g to %.4g s' % (count, most * place / BARS,
                                              most * (place + 1) / BARS)
            parts.append(_bar(LEFT + place * width, y + LANE - height, width - 1, height, 'event',
                              title))
    return parts + [_line(LEFT, y + LANE, WIDTH - RIGHT, y + LANE)]
