"""The market: candles with their indicators, ticks, quotes, and what there is of each day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import Parameter

from libs.core.clock import US_PER_SECOND
from libs.core.errors import Refused
from libs.dbaccess.backup import list_copies
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.coverage import coverage as read_coverage
from libs.indicators import registry
from services.api.context import Context
from services.api.tags import tagged

Symbol = Annotated[str, Parameter(min_length=1, max_length=64)]
Moment = Annotated[int | None, Parameter(ge=0, le=2**53)]
Exchange = Annotated[str, Parameter(max_length=32)]
Timeframe = Annotated[str, Parameter(pattern="^(1m|5m|15m|1h|4h|1d)$")]
_PRICES = ("open", "high", "low", "close", "volume")
#: Averages that remember everything need many bars to forget where they began; a session's own, the whole session.
_SESSION_BARS = 400
_INDICATORS_MAX = 6
_DAYS_MAX = 100


@get("/api/candles", role="viewer", sync_to_thread=True)
def candles(
    request: Request[Any, Any, Any], context: Context, symbol: Symbol, timeframe: Timeframe = "1m",
    exchange: Exchange = "", before_us: Moment = None, limit: Annotated[int, Parameter(ge=1, le=10_000)] = 500,
    indicators: Annotated[str, Parameter(max_length=300)] = "",
) -> Response[bytes]:  # fmt: skip
    """Give the newest candles before a moment, oldest first; history and today as one, with indicators if named.

    `indicators` is names with parameters, such as `sma:period=20,bollinger`; each output is one more column.
    """
    wanted = [_indicator(text) for text in indicators.split(",") if text]
    if len(wanted) > _INDICATORS_MAX:
        raise Refused(f"{len(wanted)} indicators: expected at most {_INDICATORS_MAX}")
    count = min(limit, context.settings.api.candles_max)
    warm = min(2000, max((max(_SESSION_BARS, 5 * each.bars_needed) for _, each in wanted), default=0))
    table = context.market.last_candles(
        symbol, exchange or context.settings.data.exchange, timeframe, count + warm, before=before_us, output="arrow"
    )
    times = table.column("timestamp").cast("int64").to_pylist()
    rows = [list(row) for row in zip(times, *(table.column(name).to_pylist() for name in _PRICES), strict=True)]
    columns = ["timestamp_us", *_PRICES]
    for text, indicator in wanted:
        columns += [text if len(indicator.outputs) == 1 else f"{text}.{name}" for name in indicator.outputs]
        _follow(indicator, rows)
    found = {"symbol": symbol, "timeframe": timeframe, "columns": columns, "rows": rows[-count:]}
    return tagged(request, msgspec.json.encode(found))


def _indicator(text: str) -> tuple[str, Any]:
    name, _, given = text.strip().partition(":")
    parameters: dict[str, float] = {}
    for pair in given.split(";") if given else ():
        key, _, value = pair.partition("=")
        try:
            parameters[key.strip()] = float(value) if "." in value else int(value)
        except ValueError:
            raise Refused(f"indicator {text!r}: expected name:key=number;key=number, found {pair!r}") from None
    return text.strip(), registry.create(name.strip(), **parameters)


def _follow(indicator: Any, rows: list[list[Any]]) -> None:
    """Add an indicator's outputs to the rows; what is not known yet is null."""
    names, single = indicator.outputs, indicator.inputs[0] if len(indicator.inputs) == 1 else ""
    for row in rows:
        bar = SimpleNamespace(timestamp_us=row[0], **dict(zip(_PRICES, row[1:6], strict=True)))
        indicator.update(getattr(bar, single) if single else bar)
        values = [getattr(indicator, name) for name in names]
        row += [None if value != value else value for value in values]  # noqa: PLR0124  # NaN alone differs from itself


@get("/api/ticks", role="viewer", sync_to_thread=True)
def ticks(
    context: Context, symbol: Symbol, exchange: Exchange = "", before_us: Moment = None,
    seconds: Annotated[int, Parameter(ge=1, le=3600)] = 300, limit: Annotated[int, Parameter(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:  # fmt: skip
    """Give the newest ticks of the seconds before a moment, oldest first; by default of the newest candle."""
    exchange = exchange or context.settings.data.exchange
    end_us = before_us
    if end_us is None:
        last = context.market.last_candles(symbol, exchange, "1m", 1, output="arrow").column("timestamp")
        # The candle that is being made begins a minute after the newest one, and lasts another.
        end_us = last.cast("int64").to_pylist()[0] + 120 * US_PER_SECOND if len(last) else context.clock.now_us()
    start_us = max(0, end_us - seconds * US_PER_SECOND)
    table = context.market.get_ticks(symbol, exchange, start_us, end_us, output="arrow")
    table = table.slice(max(0, table.num_rows - limit))
    names = ["price", "volume", "bid", "ask", "volume_day", "seq"]
    times = table.column("timestamp").cast("int64").to_pylist()
    rows = zip(times, *(table.column(name).to_pylist() for name in names), strict=True)
    return {"symbol": symbol, "columns": ["timestamp_us", *names], "rows": [list(row) for row in rows]}


@get("/api/quotes", role="viewer", sync_to_thread=True)
def quotes(context: Context) -> dict[str, Any]:
    """Give the newest candle heard of every symbol since the api started, with its day so far and the close before."""
    latest = {each["symbol"]: each for each in context.watch.newest("candle")}
    days = context.days.of(list(latest), context.watch.market_us())
    return {"rows": [{**row, **days.get(symbol, {})} for symbol, row in latest.items()]}


@get("/api/indicators", role="viewer", sync_to_thread=True)
def indicators() -> dict[str, Any]:
    """List what may be computed beside candles, with parameters and ranges."""
    found = [registry.describe(name) for name in registry.INDICATORS]
    return {"rows": [each._asdict() | {"parameters": [p._asdict() for p in each.parameters]} for each in found]}


@get("/api/coverage", role="viewer", sync_to_thread=True)
def coverage(
    context: Context, exchange: Exchange = "", start: date | None = None, end: date | None = None
) -> dict[str, Any]:
    """Say for each trading day which minutes there are, by origin, and which are missing."""
    exchange = exchange or context.settings.data.exchange
    calendar = load_calendar(context.settings.data_root, exchange)
    last = end or calendar.previous_session(context.watch.market_us()).date
    first = start or last - timedelta(days=30)
    if not 0 <= (last - first).days < _DAYS_MAX:
        raise Refused(f"{first} to {last}: expected 1 to {_DAYS_MAX} days, the first one first")
    # Counting is dear: a day of which nothing is there is not counted.
    there = set(context.market.coverage(exchange, "1m", first, last + timedelta(days=1)).found)
    rows: list[dict[str, Any]] = []
    for day in calendar.trading_days(first, last):
        if day not in there:
            rows.append({"trading_date": day.isoformat(), "symbols": 0, "present_percent": 0.0})
            continue
        for counted in read_coverage(context.db, exchange, day, day):
            row = msgspec.to_builtins(counted)
            del row["certificates"]
            rows.append({**row, "present_percent": round(counted.present_percent, 3)})
    return {"exchange": exchange, "rows": rows}


@get("/api/backups", role="viewer", sync_to_thread=True)
def backups(context: Context) -> dict[str, Any]:
    """List the copies of the stores, the newest first; they are not opened, `fleet backups --verify` does."""
    root = context.db.layout.root
    copies = list_copies(context.db.layout.backups, context.settings.sqlite)
    rows = [{**msgspec.to_builtins(each), "path": Path(each.path).relative_to(root).as_posix()} for each in copies]
    return {"rows": sorted(rows, key=lambda row: -row["made_at_us"])}


HANDLERS = [candles, ticks, quotes, indicators, coverage, backups]
