"""The stores' lists, and candles."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from libs.core.errors import Refused
from services.api.context import Context
from services.api.reading import ADMIN_VIEWS, VIEWS, Rows, Wanted, read

Text = Annotated[str | None, Parameter(max_length=200)]
Moment = Annotated[int | None, Parameter(ge=0, le=2**53)]
Limit = Annotated[int, Parameter(ge=1, le=1000)]
_TIMEFRAME = "^(1m|5m|15m|1h|4h|1d)$"


def _make(name: str) -> HTTPRouteHandler:
    view, role = VIEWS[name], "admin" if name in ADMIN_VIEWS else "viewer"
    path = "/api/" + name.replace("_", "-")

    @get(path, role=role, sync_to_thread=True, name=name, operation_id=f"list_{name}")
    def rows(
        context: Context, filter_by: Text = None, equals: Text = None, from_us: Moment = None, to_us: Moment = None,
        limit: Limit = 100, offset: Annotated[int, Parameter(ge=0, le=10_000_000)] = 0,
    ) -> Rows:  # fmt: skip
        if (filter_by is None) != (equals is None):
            raise Refused("filter_by and equals go together, e.g. filter_by=symbol&equals=RELIANCE")
        filters = {filter_by: equals} if filter_by is not None and equals is not None else {}
        bounded = min(limit, context.settings.api.rows_max)
        return read(context.db, view, Wanted(filters, from_us, to_us, bounded, offset))

    return rows


@get("/api/candles", role="viewer", sync_to_thread=True)
def candles(
    context: Context,
    symbol: Annotated[str, Parameter(min_length=1, max_length=64)],
    timeframe: Annotated[str, Parameter(pattern=_TIMEFRAME)] = "1m",
    exchange: Annotated[str, Parameter(max_length=32)] = "",
    before_us: Moment = None,
    limit: Annotated[int, Parameter(ge=1, le=10_000)] = 500,
) -> dict[str, Any]:
    """Give the newest candles before a moment, oldest first; history and today as one."""
    count = min(limit, context.settings.api.candles_max)
    table = context.market.last_candles(
        symbol, exchange or context.settings.data.exchange, timeframe, count, before=before_us, output="arrow"
    )
    columns = {name: table.column(name) for name in ("open", "high", "low", "close", "volume")}
    times = table.column("timestamp").cast("int64").to_pylist()
    values = [column.to_pylist() for column in columns.values()]
    return {
        "symbol": symbol, "timeframe": timeframe, "columns": ["timestamp_us", *columns],
        "rows": [list(row) for row in zip(times, *values, strict=True)],
    }  # fmt: skip


@get("/api/quotes", role="viewer", sync_to_thread=False)
def quotes(context: Context) -> dict[str, Any]:
    """Give the newest candle heard of every symbol since the api started."""
    latest = list(context.watch.latest.values())
    return {"rows": [news.payload for news in latest if news.topic.startswith("candle.")]}


HANDLERS = [*(_make(name) for name in VIEWS), candles, quotes]
