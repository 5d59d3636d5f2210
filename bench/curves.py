"""A cost at several sizes, and its drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 220, 56, 12, 12, 40


@dataclass(frozen=True)
class Curve:
    """Seconds, or MiB, at each size."""

    what: str
    against: str
    unit: str
    sizes: Sequence[int]
    values: Sequence[float]

    @property
    def growth(self) -> float:
        """How much dearer a unit of work is at the largest size than at the smallest."""
        return (self.values[-1] / self.sizes[-1]) / (self.values[0] / self.sizes[0])


def drawn(curve: Curve) -> str:
    """Draw a curve, with a dashed line where it would be if every unit cost what the first size's do."""
    unit = curve.values[0] / curve.sizes[0]
    top = max(*curve.values, unit * curve.sizes[-1])
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(size: float, value: float) -> tuple[float, float]:
        across = _LEFT + (right - _LEFT) * size / curve.sizes[-1]
        return across, floor - (floor - _TOP) * value / top

    points = [at(size, value) for size, value in zip(curve.sizes, curve.values, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f"<circle class='ours' cx='{x:.1f}' cy='{y:.1f}' r='3'/>" for x, y in points)
    across, up = at(curve.sizes[-1], unit * curve.sizes[-1])
    sizes = "".join(
        f"<text x='{x:.1f}' y='{floor + 15}' text-anchor='{'end' if size == curve.sizes[-1] else 'middle'}'>"
        f"{_short(size)}</text>"
        for (x, _), size in zip(points, curve.sizes, strict=True)
        if size == curve.sizes[-1] or x + 40 < points[-1][0]
    )
    values = "".join(
        f"<text x='{_LEFT - 6}' y='{at(0, value)[1] + 4:.1f}' text-anchor='end'>{value:.3g}</text>"
        for value in (0.0, top / 2, top)
    )
    name = f"{curve.what} by {curve.against}"
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{escape(name, quote=True)}'>"
        f"<line class='axis' x1='{_LEFT}' x2='{right}' y1='{floor}' y2='{floor}'/>"
        f"<line class='axis' x1='{_LEFT}' x2='{_LEFT}' y1='{_TOP}' y2='{floor}'/>"
        f"<line class='linear' x1='{_LEFT}' y1='{floor}' x2='{across:.1f}' y2='{up:.1f}'/>"
        f"<polyline class='line' points='{line}'/>{dots}{sizes}{values}"
        f"<text x='{(right + _LEFT) / 2}' y='{_HEIGHT - 6}' text-anchor='middle'>{escape(curve.against)}</text></svg>"
        f"<figcaption>{escape(curve.what)}, {escape(curve.unit)}: {curve.growth:.2f}x a unit</figcaption></figure>"
    )


def _short(size: int) -> str:
    return f"{size / 1000:g} k" if size >= 10_000 else f"{size:,}"
