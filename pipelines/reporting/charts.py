"""Numbers to inline SVG: bars, columns, lines. Pure functions; no script, no fonts, no colours of their own.

Every shape is placed in percent of the drawing's box and every label in pixels beside it, so a chart fills a phone's
width and a desktop's with text of the same size. Colours come from the page's style sheet by class, so that one
drawing serves light and dark.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Coordinates inside the stretched drawing of a line; two decimals of a percent are finer than a pixel.
SCALE = 10_000
#: A line is drawn with at most this many points: more than the pixels of a phone, fewer than would weigh on the page.
LINE_POINTS = 600


@dataclass(frozen=True)
class Series:
    """One line or cloud of points.

    Attributes:
        name: for the legend and the tooltip.
        style: class of the style sheet: ``raw``, ``line``, ``second``; ``points`` draws dots instead of a line.
        points: (x, y), ascending in x.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``.

    >>> ticks(0, 1000)
    [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs((high - low) / step - count))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_label(value: float) -> str:
    """A tick as short as it reads: 0, 0.25, 500, 20k, 1.5M, 6e-4.

    >>> [tick_label(value) for value in (0.0, 0.25, 500.0, 20_000.0, 1_500_000.0, 0.0006)]
    ['0', '0.25', '500', '20k', '1.5M', '6e-4']
    """
    if value and abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / (1e3 if name == 'k' else unit):.6g}{name}"
    return f"{value:.6g}"


def smoothed(points: Sequence[tuple[float, float]], half_window: int) -> list[tuple[float, float]]:
    """Mean of y over up to ``half_window`` points on either side: a running mean that does not lag behind a fall.

    >>> smoothed([(1, 6.0), (2, 3.0), (3, 0.0)], 1)
    [(1, 6.0), (2, 3.0), (3, 1.5)]
    """
    sums = [0.0, *itertools.accumulate(y for _, y in points)]
    out = []
    for index, (x, _) in enumerate(points):
        before, after = min(half_window, index), min(half_window, len(points) - 1 - index)
        # Losses fall steeply at first: a window that reached further right than left would draw them too low.
        after = min(after, before) if before < half_window else after
        out.append((x, (sums[index + after + 1] - sums[index - before]) / (before + after + 1)))
    return out


def thinned(points: Sequence[tuple[float, float]], limit: int = LINE_POINTS) -> list[tuple[float, float]]:
    """At most ``limit`` of the points, evenly spaced, the first and last among them."""
    if len(points) <= limit:
        return list(points)
    return [points[index * (len(points) - 1) // (limit - 1)] for index in range(limit)]


def share_bar(parts: Sequence[tuple[str, int, str]], label: str) -> Markup:
    """One bar cut by share. Parts are (name, number, style), left to right; without any number an empty bar."""
    total = sum(number for _, number, _ in parts)
    shapes, before = [], 0
    for name, number, style in parts:
        if number:
            shapes.append(_rect(before, number, total, style, f"{name}: {number:,}"))
        before += number
    return _svg("bar", label, shapes)


def span_bar(start: int, length: int, whole: int, style: str, label: str) -> Markup:
    """A bar from ``start`` over ``length`` of ``whole``: what a stage keeps, or where its losses lie beyond that."""
    return _svg("bar", label, [_rect(start, length, whole, style, label)] if length else [])


def pair_bar(before: int, after: int, whole: int, label: str) -> Markup:
    """Two thin bars, one above the other, as shares of one whole."""
    rect = Markup('<rect class="{}" y="{}" width="{:.3f}%" height="45%"><title>{}</title></rect>')
    sides = (("before", "0", before), ("after", "55%", after))
    return _svg("bar sides", label, [rect.format(s, y, 100 * n / max(1, whole), label) for s, y, n in sides if n])


def columns(labels: Sequence[str], groups: Sequence[tuple[str, str, Sequence[int]]], label: str) -> Markup:
    """Columns side by side: for each label one per group; groups are (name, style, numbers).

    Every n-th label is written where there are many, so that they do not collide on a phone.
    """
    top = _ceiling(max((max(numbers, default=0) for _, _, numbers in groups), default=0))
    slot = 100 / max(1, len(labels))
    shapes = [*_grid_y([tick for tick in ticks(0, top) if tick == int(tick)], 0, top)]
    for place, (name, style, numbers) in enumerate(groups):
        width = slot * 0.84 / len(groups)
        for index, number in enumerate(numbers):
            left, height = slot * (index + 0.08) + width * place, 100 * number / top
            shapes.append(
                Markup('<rect class="{}" x="{:.2f}%" y="{:.2f}%" width="{:.2f}%" height="{:.2f}%"><title>{}</title></rect>')
                .format(style, left, 100 - height, width * 0.94, height, f"{labels[index]}, {name}: {number:,}")
            )  # fmt: skip
    every = max(1, -(-len(labels) // 8))
    for index in range(0, len(labels), every):
        shapes.append(_label_x(slot * (index + 0.5), labels[index]))
    return _svg("chart", label, shapes)


def lines(series: Sequence[Series], label: str, from_zero: bool = False) -> Markup:
    """Lines and points over one pair of axes; values that are no finite numbers are left out."""
    clean = [Series(s.name, s.style, [p for p in s.points if math.isfinite(p[1])]) for s in series]
    xs = [x for one in clean for x, _ in one.points]
    ys = [y for one in clean for _, y in one.points]
    if not xs:
        return _svg("chart", label, [])
    low_x, high_x = min(xs), max(xs)
    low_y, high_y = (0.0 if from_zero else min(ys)), max(ys)
    margin = (high_y - low_y) * 0.04 or abs(high_y) * 0.05 or 1.0
    low_y, high_y = (low_y if from_zero else low_y - margin), high_y + margin
    shapes = _grid_y(ticks(low_y, high_y), low_y, high_y)
    shapes += [_label_x(_percent(tick, low_x, high_x), tick_label(tick)) for tick in ticks(low_x, high_x)]
    for one in clean:
        placed = [(_percent(x, low_x, high_x), 100 - _percent(y, low_y, high_y), x, y) for x, y in thinned(one.points)]
        shapes += _dots(one, placed) if one.style == "points" else [_polyline(one, placed)]
    return _svg("chart", label, shapes)


def _polyline(series: Series, placed: Sequence[tuple[float, float, float, float]]) -> Markup:
    """The line in a drawing of its own that is stretched to the box; the stroke keeps its width."""
    path = " ".join(f"{x * SCALE / 100:.0f},{y * SCALE / 100:.0f}" for x, y, _, _ in placed)
    return Markup(
        '<svg viewBox="0 0 {s} {s}" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">'
        '<polyline class="{style}" points="{path}" vector-effect="non-scaling-stroke"><title>{name}</title></polyline>'
        "</svg>"
    ).format(s=SCALE, style=series.style, path=path, name=series.name)


def _dots(series: Series, placed: Sequence[tuple[float, float, float, float]]) -> list[Markup]:
    dot = Markup('<circle class="points" cx="{:.2f}%" cy="{:.2f}%" r="3.5"><title>{}</title></circle>')
    return [dot.format(x, y, f"{series.name}, {tick_label(at)}: {value:.6g}") for x, y, at, value in placed]


def _rect(start: int, length: int, whole: int, style: str, title: str) -> Markup:
    rect = Markup('<rect class="{}" x="{:.3f}%" width="{:.3f}%" height="100%"><title>{}</title></rect>')
    return rect.format(style, 100 * start / max(1, whole), 100 * length / max(1, whole), title)


def _grid_y(values: Sequence[float], low: float, high: float) -> list[Markup]:
    line = Markup(
        '<line x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/><text class="y" x="-8" y="{y:.2f}%" dy=".32em">{}</text>'
    )
    return [line.format(tick_label(value), y=100 - _percent(value, low, high)) for value in values]


def _label_x(percent: float, text: str) -> Markup:
    return Markup('<text class="x" x="{:.2f}%" y="100%" dy="1.5em">{}</text>').format(percent, text)


def _percent(value: float, low: float, high: float) -> float:
    return 100 * (value - low) / (high - low) if high > low else 50.0


def _ceiling(value: int) -> float:
    """The axis' end: the next round tick above the highest column, 1 where all are zero."""
    if value <= 0:
        return 1.0
    step = (ticks(0, value)[1:2] or [float(value)])[0]
    return max(1.0, math.ceil(value / step) * step)


def _svg(style: str, label: str, shapes: Sequence[Markup]) -> Markup:
    body = Markup("").join(shapes)
    return Markup('<svg class="{}" role="img" aria-label="{}">{}</svg>').format(style, escape(label), body)
