"""Shapes of pictures as SVG, written by hand: no library is needed to make or see them."""

from typing import List, Sequence, Tuple
from xml.sax.saxutils import escape, quoteattr

WIDTH, MARGIN, LEFT, RIGHT, TOP = 1100, 20, 240, 150, 90
LANE, AXIS, LINE = 44, 60, 16
#: How wide a character is at most on average, in font sizes.
CHARACTER = 0.58
COLOURS = {'fault': '#c0392b', 'outage': '#e8a49c', 'event': '#2c5f8a', 'split': '#8e44ad',
           'served': '#8fc7a0', 'window': '#ececec', 'lane': '#cccccc', 'text': '#222222',
           'faint': '#777777'}


def fit(text: str, width: float, size: int) -> str:
    """The text, or as much of its beginning as fits into so many pixels."""
    most = int(width / (CHARACTER * size))
    return text if len(text) <= most else text[:most - 1] + '\u2026'


def label(x: float, y: float, text: str, anchor: str = 'start', size: int = 12,
          colour: str = 'text', width: float = WIDTH) -> str:
    """A text; the whole of it under the pointer where it is cut."""
    shown = fit(text, width, size)
    title = '' if shown == text else '<title>%s</title>' % escape(text)
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s%s</text>' % (
        x, y, anchor, size, COLOURS[colour], escape(shown), title)


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line."""
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (
        x1, y1, x2, y2, COLOURS['lane'])


def bar(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    """A bar, with a title under the pointer."""
    return '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill=%s><title>%s</title></rect>' % (
        x, y, max(width, 1.0), height, quoteattr(COLOURS[colour]), escape(title))


def tick(x: float, bottom: float, seconds: float) -> List[str]:
    """A line through all lanes, with its seconds below."""
    return [line(x, TOP, x, bottom), label(x, bottom + 18, '%g s' % seconds, 'middle')]


def legend(y: float, items: Sequence[Tuple[str, str]]) -> List[str]:
    """A row of colours and what they mean."""
    parts, x = [], float(LEFT)
    for colour, text in items:
        parts += [bar(x, y - 10, 12, 12, colour, text), label(x + 18, y, text, size=11)]
        x += 18 + CHARACTER * 11 * len(text) + 20
    return parts


def picture(height: float, title: str, below: Sequence[str], parts: Sequence[str]) -> str:
    """The whole picture, with its title and the lines below that."""
    width = WIDTH - 2 * MARGIN
    return '\n'.join(['<?xml version="1.0" encoding="UTF-8"?>',
                      '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                      'viewBox="0 0 %d %d" font-family="sans-serif">' % (
                          WIDTH, height, WIDTH, height),
                      '<rect width="100%" height="100%" fill="#ffffff"/>',
                      label(MARGIN, 28, title, size=15, width=width),
                      *(label(MARGIN, 48 + LINE * place, line, colour='faint', width=width)
                        for place, line in enumerate(below)),
                      *parts, '</svg>', ''])


def x_of(seconds: float, most: float) -> float:
    """Where an instant is on a linear axis of so many seconds."""
    return LEFT + min(max(seconds, 0.0), most) / most * (WIDTH - LEFT - MARGIN)


def _tick_seconds(most: float) -> float:
    """A round distance between ticks, of which at most ten fit."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if most <= 10 * step * factor:
                return step * factor
        step *= 10


def linear_axis(most: float, bottom: float) -> List[str]:
    """Ticks of a linear axis, below lanes that end at `bottom`."""
    step, parts, number = _tick_seconds(most), [], 0
    while number * step <= most:
        parts += tick(x_of(number * step, most), bottom, number * step)
        number += 1
    return parts
