"""Charts as SVG text: lines, areas, bars and candles, each with its scale. They need no script and no network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from libs.indicators.columns import Floats

WIDTH, HEIGHT, LEFT, FOOT = 920, 220, 80, 22
#: More points than this many cannot be told apart on the page.
POINTS_MAX = 1200
_TICKS = 6


def thinned(count: int) -> list[int]:
    """Choose the rows that are drawn, the last among them."""
    if count <= POINTS_MAX:
        return list(range(count))
    return sorted({*np.linspace(0, count - 1, POINTS_MAX).astype(int).tolist(), count - 1})


def line_chart(values: Floats, labels: Sequence[str], *, kind: str = "line", percent: bool = False) -> str:
    """Draw one series; `kind` area fills it down to zero. NaN leaves a gap."""
    rows = [row for row in thinned(len(values)) if np.isfinite(values[row])]
    if not rows:
        return "<p>Nothing to draw.</p>"
    shown = values[rows]
    low, high = _range(min(float(shown.min()), 0.0) if kind == "area" else float(shown.min()),
                       max(float(shown.max()), 0.0) if kind == "area" else float(shown.max()))  # fmt: skip
    points = [(_x(row, len(values)), _y(float(values[row]), low, high)) for row in rows]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    if kind == "area":
        base = _y(0.0, low, high)
        drawn = f'<polygon class="area" points="{points[0][0]:.1f},{base:.1f} {path} {points[-1][0]:.1f},{base:.1f}"/>'
    else:
        drawn = f'<polyline class="line" points="{path}"/>'
    return _svg(_axis(low, high, percent=percent) + _dates(labels) + drawn)


def histogram(values: Floats, bins: int = 31) -> str:
    """Draw how often values fall where; those below zero in the other colour."""
    if not len(values):
        return "<p>No trades.</p>"
    low, high = _range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))
    width = (high - low) / bins
    # Nothing is won and lost in one bar: one edge is 0.
    edges = width * np.arange(math.floor(low / width), math.ceil(high / width) + 1)
    counts, _ = np.histogram(values, bins=edges)
    most = float(counts.max())
    step = (WIDTH - LEFT) / len(counts)
    bars = []
    for number, count in enumerate(counts.tolist()):
        top = _y(count, 0.0, most)
        side = "down" if edges[number + 1] < width / 2 else "up"
        bars.append(
            f'<rect class="{side}" x="{LEFT + number * step:.1f}" y="{top:.1f}" width="{max(step - 1, 1):.1f}" '
            f'height="{_y(0, 0.0, most) - top:.1f}"><title>{edges[number]:,.0f} to {edges[number + 1]:,.0f}: '
            f"{count}</title></rect>"
        )
    labels = [f"{edge:,.0f}" for edge in edges]
    return _svg(_axis(0.0, most, whole=True) + _dates(labels) + "".join(bars))


def candle_chart(
    candles: Sequence[tuple[float, float, float, float]], labels: Sequence[str],
    marks: Sequence[tuple[int, float, str, str]],
) -> str:  # fmt: skip
    """Draw candles (open, high, low, close), and marks on them: place, price, `buy` or `sell`, what it was."""
    if not candles:
        return "<p>No candles.</p>"
    low, high = _range(min(candle[2] for candle in candles), max(candle[1] for candle in candles))
    count = len(candles)
    half = max((WIDTH - LEFT) / count * 0.35, 0.4)
    drawn = []
    for number, (open_, top, bottom, close) in enumerate(candles):
        x, side = _x(number, count), "up" if close >= open_ else "down"
        upper, lower = _y(max(open_, close), low, high), _y(min(open_, close), low, high)
        drawn.append(
            f'<line class="wick" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(top, low, high):.1f}" '
            f'y2="{_y(bottom, low, high):.1f}"/><rect class="{side}" x="{x - half:.1f}" y="{upper:.1f}" '
            f'width="{2 * half:.1f}" height="{max(lower - upper, 0.7):.1f}"/>'
        )
    for place, price, side, what in marks:
        x, y = _x(place, count), _y(price, low, high)
        away = 7 if side == "buy" else -7
        drawn.append(
            f'<polygon class="{side}" points="{x:.1f},{y:.1f} {x - 4:.1f},{y + away:.1f} {x + 4:.1f},{y + away:.1f}">'
            f"<title>{what}</title></polygon>"
        )
    return _svg(_axis(low, high) + _dates(labels) + "".join(drawn))


def _svg(inside: str) -> str:
    return f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{inside}</svg></div>'


def _range(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    spread = abs(high) * 0.01 or 0.01
    return low - spread, high + spread


def _x(number: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - 6) * (number / (count - 1) if count > 1 else 0.5)


def _y(value: float, low: float, high: float) -> float:
    return 6 + (HEIGHT - FOOT - 12) * (1 - (value - low) / ((high - low) or 1.0))


def _axis(low: float, high: float, *, percent: bool = False, whole: bool = False) -> str:
    parts = []
    shown = 100.0 if percent else 1.0
    step = _step(low, high, whole=whole)
    digits = next((n for n in range(8) if math.isclose(round(step * shown, n), step * shown)), 8)
    for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        value = number * step
        y = _y(value, low, high)
        text = f"{value * shown:,.{digits}f}{'%' if percent else ''}"
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    return "".join(parts)


def _step(low: float, high: float, *, whole: bool) -> float:
    """Give the round number by which a scale is marked."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n for n in (1.0, 2.0, 5.0, 10.0) if n * power >= rough) * power
    return max(step, 1.0) if whole else step


def _dates(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    places = sorted({0, len(labels) // 2, len(labels) - 1})
    anchors = ["start", "middle", "end"] if len(places) == 3 else ["start", "end"]
    return "".join(
        f'<text x="{_x(place, len(labels)):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{labels[place]}</text>'
        for place, anchor in zip(places, anchors, strict=False)
    )
