"""A sweep as one HTML file that stands alone: the heat map, the best points, and what luck alone would show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from libs.trading.deflation import DeflatedSharpe
from services.backtest.page import page, section, table
from services.backtest.sweep.judge import Verdict, heat_map, ranked
from services.backtest.sweep.point import PointResult
from services.backtest.sweep.results import SweepResults

_SHOWN = ("sharpe", "return_ratio", "drawdown_max_ratio", "trades", "win_rate", "profit_factor")
_ROWS_MAX = 30


def render_sweep(results: SweepResults, verdict: Verdict) -> str:
    """Give the report of a sweep, also of one that is not over."""
    head, metric = results.head, verdict.metric
    request = head.request
    axes = list(head.spec.get("axes", {}))
    title = f"Sweep of {head.strategy} on {', '.join(request['symbols'])}"
    forms = ", ".join(f"{count} {form}" for form, count in sorted(verdict.forms.items()))
    opening = (
        f"<h1>{escape(title)}</h1><p>{request['start']} to {request['end']}, {escape(request['timeframe'])}. "
        f"{verdict.points} of {head.spec.get('points', verdict.points)} points finished, {verdict.failed} failed, "
        f"{head.refused} the strategy does not take. Run as: {escape(forms) or 'nothing yet'}.</p>"
    )
    return page(
        title,
        [
            opening,
            section(f"{metric.replace('_', ' ').capitalize()} by parameters", _map(results.all, axes, metric)),
            section("How much of the best is luck", luck(verdict)),
            section(f"Best {_ROWS_MAX} points", best_table(results.all, axes, metric)),
            section("What does not work", failures(results.all)),
        ],
    )


def luck(verdict: Verdict) -> str:
    """Say what the deflated Sharpe ratio says."""
    if verdict.strict is None or verdict.trials_alike is None:
        return "<p>Too little to judge: no point has returns that differ from day to day.</p>"
    rows = [_deflated("every point a trial", verdict.strict), _deflated("alike counted as one", verdict.trials_alike)]
    headings = (
        "",
        "Trials",
        "Sharpe a year",
        "Luck alone would show",
        "Probability of skill",
        "Had it been the only one",
    )
    likely = "more than luck" if verdict.strict.probability >= 0.95 else "likely luck"
    return f"<p>The best point's Sharpe ratio is <b>{likely}</b>: below 95 % it may be chance.</p>" + table(
        headings, rows
    )


def _deflated(name: str, found: DeflatedSharpe) -> tuple[str, ...]:
    year = math.sqrt(252)
    return (
        name, f"{found.trials_effective:.1f}", f"{found.sharpe * year:.2f}", f"{found.sharpe_expected * year:.2f}",
        f"{found.probability:.1%}", f"{found.probability_single:.1%}",
    )  # fmt: skip


def best_table(results: Sequence[PointResult], axes: Sequence[str], metric: str) -> str:
    """Tabulate the best points."""
    shown = list(dict.fromkeys([metric, *_SHOWN]))
    rows = [
        (*(str(result.parameters[name]) for name in axes), *(_number(result.figures.get(name)) for name in shown),
         result.form)
        for result in ranked(results, metric)[:_ROWS_MAX]
    ]  # fmt: skip
    return table((*axes, *(name.replace("_", " ") for name in shown), "form"), rows)


def failures(results: Sequence[PointResult]) -> str:
    """Tabulate points that broke, or whose strategy did."""
    rows = [(str(result.parameters), result.state, result.error) for result in results if result.error]
    return table(("Parameters", "State", "Error"), rows[:_ROWS_MAX]) if rows else "<p>Every point ran through.</p>"


def _map(results: Sequence[PointResult], axes: Sequence[str], metric: str) -> str:
    if not axes or not results:
        return "<p>Nothing to draw.</p>"
    across, down = axes[0], axes[1] if len(axes) > 1 else ""
    columns, rows, cells = heat_map(results, across, down, metric)
    known = [value for cell in cells.values() if math.isfinite(value := cell.figure(metric))]
    reach = max(map(abs, known), default=0.0) or 1.0
    lines = []
    for row in rows:
        line = "".join(_cell(cells.get((column, row)), metric, reach) for column in columns)
        lines.append(f"<tr><th>{escape(str(row)) if down else ''}</th>{line}</tr>")
    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns)
    rest = f"; of {', '.join(axes[2:])} the best" if len(axes) > 2 else ""
    corner = f"{escape(down)} ↓ {escape(across)} →"
    return (
        f"<p>{escape(across)} across{f', {escape(down)} down' if down else ''}{escape(rest)}. Green is above zero, red "
        f'below; the stronger, the further. An island of green is luck, a plain of it is not.</p><div class="wide">'
        f'<table class="heat"><tr><th>{corner}</th>{head}</tr>{"".join(lines)}</table></div>'
    )


def _cell(result: PointResult | None, metric: str, reach: float) -> str:
    if result is None:
        return "<td></td>"
    value = result.figure(metric)
    if not math.isfinite(value):
        return '<td class="none">-</td>'
    strength = min(abs(value) / reach, 1.0)
    side = "gain" if value >= 0 else "loss"
    hint = f"{result.parameters}: {result.figures.get('trades') or 0:.0f} trades, {result.form}"
    return f'<td class="{side}" style="--strength:{strength:.0%}" title="{escape(hint)}">{_number(value)}</td>'


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
