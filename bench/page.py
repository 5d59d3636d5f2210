"""The table as a page: one file that opens offline, a bar a ratio, on a scale where twice and half are as far apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.curves import drawn
from bench.table import Measure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
       color: #1c2430; background: #fbfbfa }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d9dde2; vertical-align: middle }
td.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.met { color: #11693b } .missed { color: #a3281d; font-weight: 600 }
svg { display: block } .growth { display: flex; flex-wrap: wrap; gap: 1.5rem }
figure { margin: 0; width: 22rem } figure svg { width: 100% } figure text { font-size: 12px; fill: currentColor }
.line { fill: none; stroke: #2b6cb0; stroke-width: 2 } .linear { stroke: #8a94a3; stroke-dasharray: 4 4 }
 .ours { fill: #2b6cb0 } .worse { fill: #b7791f } .axis { stroke: #8a94a3 }
@media (prefers-color-scheme: dark) {
  body { color: #e4e8ee; background: #14181e } th, td { border-color: #2d3540 }
  .line { stroke: #6aa9e9 }
  .met { color: #6fce97 } .missed { color: #f2938a } .ours { fill: #6aa9e9 } .worse { fill: #dfa54a }
}
"""
_WIDTH, _HEIGHT, _DECADES = 220, 14, 2


def page(rows: Sequence[Measure], machine: str) -> str:
    """Give the whole page."""
    head = "".join(f"<th scope='col'>{name}</th>" for name in (
        "Measured", "Ours", "Bare part or peer", "Ratio", "Better than the other →", "Goal", ""))  # fmt: skip
    body = "\n".join(map(_row, rows))
    missed = sum(row.met is False for row in rows)
    goals = sum(row.met is not None for row in rows)
    curves = "\n".join(drawn(row.curve) for row in rows if row.curve)
    growth = (
        "<h2>Growth</h2><p>Dashed: where the curve would be if every unit cost what the first size's units do.</p>"
        f"<div class='growth'>{curves}</div>"
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>tradefleet bench</title>"
        f"<style>{_STYLE}</style><h1>tradefleet bench</h1>"
        f"<p>{escape(machine)}. Each pair ran interleaved on the same data; absolute times move with the machine, "
        f"ratios are what counts. {goals - missed} of {goals} goals met.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>{growth if curves else ''}</html>\n"
    )


def _row(row: Measure) -> str:
    verdict = {True: "<span class='met'>met</span>", False: "<span class='missed'>missed</span>", None: ""}[row.met]
    ratio = f"{row.ratio:.2f}x" if row.ratio else ""
    bar = "" if row.curve else _bar(row.ratio)  # a curve's ratio is of itself
    return (
        f"<tr><td>{escape(row.what)}</td><td class='figure'>{escape(row.ours)}</td>"
        f"<td class='figure'>{escape(row.other)}</td><td class='figure'>{ratio}</td><td>{bar}</td>"
        f"<td>{escape(row.goal)}</td><td>{verdict}</td></tr>"
    )


def _bar(ratio: float | None) -> str:
    """Draw a ratio from 1/100 to 100 around the middle, which is 1."""
    if not ratio or ratio <= 0:
        return ""
    middle = _WIDTH / 2
    length = max(-1.0, min(1.0, math.log10(ratio) / _DECADES)) * middle
    left, name = (middle, "ours") if length >= 0 else (middle + length, "worse")
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='{ratio:.2f} times'>"
        f"<rect class='{name}' x='{left:.1f}' y='2' width='{abs(length):.1f}' height='{_HEIGHT - 4}'/>"
        f"<line class='axis' x1='{middle}' x2='{middle}' y1='0' y2='{_HEIGHT}'/></svg>"
    )
