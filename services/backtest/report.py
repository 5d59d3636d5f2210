"""A run as one HTML file that stands alone: charts are SVG in the page, nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import Any

import msgspec
import numpy as np

from libs.core.clock import IST, to_datetime, to_us
from libs.dbaccess import DatabaseManager, MarketDataQuery, StoreMissing
from libs.indicators.columns import day_ends
from services.backtest import reading
from services.backtest.charts import candle_chart, histogram, line_chart
from services.backtest.page import page, section, table

ROLLING_DAYS = 63
#: Fewer days of a window than this say nothing.
_ROLLING_DAYS_MIN = 10
#: What a person reads, the figure's name in the file, how it is spelled.
_SHOWN = (
    ("Return", "return_ratio", "percent"), ("Return a year", "cagr", "percent"),
    ("Volatility a year", "volatility", "percent"), ("Sharpe", "sharpe", "number"), ("Sortino", "sortino", "number"),
    ("Calmar", "calmar", "number"), ("Deepest drawdown", "drawdown_max_ratio", "percent"),
    ("Deepest drawdown, evenings only", "drawdown_max_daily_ratio", "percent"),
    ("Longest drawdown, days", "drawdown_days_max", "count"), ("Time in the market", "exposure", "percent"),
    ("Turnover, times the cash", "turnover_ratio", "number"), ("Trades", "trades", "count"),
    ("Won", "win_rate", "percent"), ("Profit factor", "profit_factor", "number"),
    ("Bars held, on average", "bars_held_average", "number"), ("Charges, share of profit", "fees_share", "percent"),
)  # fmt: skip
CANDLES_MAX = 300
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def render(db: DatabaseManager, run_id: str) -> str:
    """Give the whole report of a run."""
    found = reading.describe(db, run_id)
    run, metrics = found["run"], found["metrics"]
    fills = reading.trades(db, run_id)
    with db.backtest_reader(run_id) as connection:
        rows = connection.execute(
            "SELECT epoch_us(timestamp), equity_paise, exposure_paise, drawdown_paise FROM equity_curve ORDER BY 1"
        ).fetchall()
    curve = np.array(rows, dtype=np.int64).reshape(-1, 4)
    title = f"{run['strategy']} on {', '.join(run['symbols'])}"
    head = (
        f"<h1>{escape(title)}</h1><p>{escape(run_id)}: {escape(run['state'])} {escape(run['error'])}<br>"
        f"{run['date_from']} to {run['date_to']}, {run['bars']:,} bars of {escape(run['timeframe'])}</p>"
    )
    body = [
        head,
        section("Figures", _figures(metrics)),
        *_curves(curve, run["cash_paise"]),
        section("Months", _months(metrics.get("", {}))),
        section("Trades, rupees before charges", _distribution(fills)),
        *(section(f"Trades on {symbol}", _candles(db, run, symbol, fills)) for symbol in run["symbols"][:3]),
        section("By symbol", _by_symbol(metrics, run["symbols"])),
        section("Signals", table(("", "Signals"), [
            (reading.spell_decision(each), f"{each['signals']:,}") for each in found["decisions"]])),
        section("Costs", _costs(metrics.get("", {}))),
        section("Data quality", _quality(run, found["log"])),
        section("Parameters", _parameters(run)),
        section("Log", table(
            ("Level", "Event", "Detail"),
            [(row["level"], row["event"], row["detail_json"]) for row in found["log"]], kind="words",
        )),
    ]  # fmt: skip
    return page(title, body)


def _curves(curve: Any, cash_paise: int) -> list[str]:
    if not len(curve):
        return []
    stamps = curve[:, 0].tolist()
    spell = _date if _date(stamps[0]) != _date(stamps[-1]) else _minute
    labels = [spell(stamp) for stamp in stamps]
    equity = curve[:, 1].astype(np.float64)
    picked = day_ends(curve[:, 0])
    closes = equity[picked]
    returns = closes / np.concatenate([[float(cash_paise)], closes[:-1]]) - 1.0
    days = [labels[row] for row in picked.tolist()]
    peak = np.maximum.accumulate(np.maximum(equity, cash_paise))
    return [
        section("Equity, rupees", line_chart(equity / 100, labels)),
        section("Drawdown", line_chart((equity - peak) / peak, labels, kind="area", percent=True)),
        _rolling(returns, days),
        section("Exposure, of equity", line_chart(curve[:, 2] / np.maximum(equity, 1), labels, percent=True)),
    ]


def _rolling(returns: Any, days: Sequence[str]) -> str:
    """Draw the Sharpe ratio of a quarter at a time; of a third of the run where it is shorter than two."""
    window = min(ROLLING_DAYS, len(returns) // 3)
    if window < _ROLLING_DAYS_MIN:
        text = f"<p>It takes {3 * _ROLLING_DAYS_MIN} days; there are {len(returns)}.</p>"
        return section("Rolling Sharpe", text)
    chart = line_chart(_rolling_sharpe(returns, window)[window - 1 :], days[window - 1 :])
    return section(f"Rolling Sharpe, {window} days", chart)


def _rolling_sharpe(returns: Any, days: int) -> Any:
    found = np.full(len(returns), np.nan)
    for end in range(days, len(returns) + 1):
        window = returns[end - days : end]
        deviation = window.std(ddof=1)
        if deviation > 0:
            found[end - 1] = window.mean() / deviation * np.sqrt(252)
    return found


def _figures(metrics: dict[str, dict[str, float | None]]) -> str:
    own, held = metrics.get("", {}), metrics.get("benchmark", {})
    spell = {"percent": _percent, "number": _number, "count": _count}
    rows = [(name, spell[how](own.get(key)), spell[how](held.get(key))) for name, key, how in _SHOWN]
    return table(("", "Run", "Buy and hold"), rows, is_html=True)


def _months(figures: dict[str, float | None]) -> str:
    months = {
        name.removeprefix("return_month_"): value for name, value in figures.items() if name.startswith("return_month_")
    }
    years = sorted({month[:4] for month in months})
    rows = [(year, *(_percent(months.get(f"{year}-{month:02d}")) for month in range(1, 13))) for year in years]
    return table(("", *_MONTHS), rows, is_html=True)


def _distribution(fills: Sequence[dict[str, Any]]) -> str:
    closed = [fill["profit_paise"] / 100 for fill in fills if fill["profit_paise"] is not None]
    return histogram(np.array(closed))


def _candles(db: DatabaseManager, run: dict[str, Any], symbol: str, fills: Sequence[dict[str, Any]]) -> str:
    """Draw the last stretch with trades, in as many bars as the page has room for."""
    own = [fill for fill in fills if fill["symbol"] == symbol]
    if not own:
        return "<p>No trades.</p>"
    end = own[-1]["timestamp"].astimezone(IST).date() + timedelta(days=1)
    try:
        with MarketDataQuery(db, closed_days_only=True) as query:
            frame = query.last_candles(symbol, run["exchange"], run["timeframe"], CANDLES_MAX, before=end)
    except StoreMissing:
        return "<p>The candles are not there any more.</p>"
    if frame.empty:
        return "<p>The candles are not there any more.</p>"
    stamps = [to_us(moment.to_pydatetime()) for moment in frame["timestamp"]]
    candles = list(zip(frame["open"], frame["high"], frame["low"], frame["close"], strict=True))
    marks = []
    for fill in own:
        place = int(np.searchsorted(stamps, to_us(fill["timestamp"]), side="right")) - 1
        if place >= 0:
            what = f"{fill['side']} {fill['quantity']} at {fill['price']}: {fill['reason']}"
            marks.append((place, float(fill["price"]), str(fill["side"]), escape(what)))
    return candle_chart(candles, [_minute(stamp) for stamp in stamps], marks)


def _by_symbol(metrics: dict[str, dict[str, float | None]], symbols: Iterable[str]) -> str:
    rows = []
    for symbol in symbols:
        own = metrics.get(symbol, {})
        profit = own.get("profit_trades_paise")
        rows.append(
            (escape(symbol), _count(own.get("trades")), _percent(own.get("win_rate")),
             _number(own.get("profit_factor")), "" if profit is None else f"{profit / 100:,.2f}")
        )  # fmt: skip
    return table(("", "Trades", "Won", "Profit factor", "Profit, rupees"), rows, is_html=True)


def _costs(own: dict[str, float | None]) -> str:
    fees, profit = own.get("fees_paise") or 0.0, own.get("profit_paise") or 0.0
    rows = [("Profit before charges, rupees", f"{(profit + fees) / 100:,.2f}"), ("Charges", f"{fees / 100:,.2f}"),
            ("Profit", f"{profit / 100:,.2f}")]  # fmt: skip
    return table(("", ""), rows)


def _quality(run: dict[str, Any], log: Sequence[dict[str, Any]]) -> str:
    data = run["data"]
    rows = [
        (each["symbol"], f"{each['bars']:,}", f"{each['bars_expected']:,}", each["days"], len(each["gaps"]))
        for each in data.get("symbols", [])
    ]
    missing = ", ".join(data.get("days_missing", [])) or "none"
    head = f"<p>Missing days: {escape(missing)}. Fingerprint {escape(run['data_fingerprint'])}.</p>"
    return head + table(("", "Bars", "Expected", "Days", "Gaps over 20 %"), rows) + _gaps(data, log)


def _gaps(data: dict[str, Any], log: Sequence[dict[str, Any]]) -> str:
    """Name the days that open as after a split, with what was held over them."""
    details = [msgspec.json.decode(row["detail_json"]) for row in log if row["event"] == "position.over_gap"]
    held = {(each["symbol"], each["day"]) for each in details}
    rows = [
        (each["symbol"], day, f"{ratio:+.2%}", "yes: its profit is doubtful" if (each["symbol"], day) in held else "no")
        for each in data.get("symbols", [])
        for day, ratio in each["gaps"]
    ]
    if not rows:
        return ""
    return "<p>A split or a bonus, likely:</p>" + table(("", "Day", "Opens at", "Held over it"), rows)


def _parameters(run: dict[str, Any]) -> str:
    """The parameters as a table; everything else that decided the run, folded away."""
    rows = [(name, "none" if value is None else str(value)) for name, value in run["parameters"].items()]
    settings = escape(_json(run["settings"]))
    return table(("", ""), rows) + f"<details><summary>All settings</summary><pre>{settings}</pre></details>"


def _percent(value: float | None) -> str:
    if value is None:
        return ""
    return f'<span class="minus">{value:.2%}</span>' if value < 0 else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _date(stamp_us: int) -> str:
    return _minute(stamp_us)[:10]


def _minute(stamp_us: int) -> str:
    return to_datetime(stamp_us).astimezone(IST).strftime("%Y-%m-%d %H:%M")


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1).decode()
