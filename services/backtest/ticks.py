"""Captured ticks of closed days for fills: read where an order or a position is, one symbol and day at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from libs.contracts.market import Tick
from libs.core.clock import US_PER_DAY, day_start_us, to_datetime, trading_date
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.dbaccess.queries.catalogue import archived_parts
from libs.indicators.columns import session_days
from services.backtest.data import RunData

if TYPE_CHECKING:
    import pyarrow as pa

_NAMES = ("price", "volume", "bid", "ask", "volume_day")
_SHOWN_MAX = 5


class ClosedTicks:
    """Ticks of the day a run is on; a context, for it holds days open."""

    def __init__(self, db: DatabaseManager, exchange: str) -> None:
        self._query = MarketDataQuery(db, closed_days_only=True)
        self._exchange = exchange
        self._day: date | None = None
        self._of: dict[str, tuple[NDArray[np.int64], pa.Table]] = {}
        self._digest = blake2b(digest_size=16)
        #: So long after its end the ingestor closes a bar: nobody can have decided on it sooner.
        self.grace_us = db.settings.ingestor.grace_ms * 1000

    @property
    def fingerprint(self) -> str:
        """Give the hash of every tick that was read."""
        return self._digest.hexdigest()

    def between(self, symbol: str, start_us: int, end_us: int) -> Iterator[Tick]:
        """Give a symbol's ticks from start up to end."""
        day = trading_date(start_us)
        if day != self._day:
            self._day, self._of = day, {}
        if symbol not in self._of:
            self._of[symbol] = self._read(symbol, day)
        stamps, table = self._of[symbol]
        first, last = np.searchsorted(stamps, (start_us, end_us)).tolist()
        columns = table.slice(first, last - first).to_pydict()
        rows = zip(stamps[first:last].tolist(), *(columns[name] for name in _NAMES), strict=True)
        for at_us, price, volume, bid, ask, volume_day in rows:
            yield Tick(symbol, at_us, price, volume, bid, ask, volume_day, exchange=self._exchange)

    def close(self) -> None:
        """Close the days."""
        self._query.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, symbol: str, day: date) -> tuple[NDArray[np.int64], pa.Table]:
        import pyarrow as pa  # a run that fills on bars needs none of it

        start_us = day_start_us(day)
        table = self._query.get_ticks(
            symbol, self._exchange, to_datetime(start_us), to_datetime(start_us + US_PER_DAY), output="arrow"
        )
        stamps = np.asarray(table.column("timestamp").cast(pa.int64()), dtype=np.int64)
        self._digest.update(f"{symbol}:{day}:{len(stamps)};".encode())
        self._digest.update(stamps.tobytes())
        for name in _NAMES:
            self._digest.update(np.asarray(table.column(name).cast(pa.float64()), dtype=np.float64).tobytes())
        return stamps, table.select(list(_NAMES))


def require_ticks(db: DatabaseManager, exchange: str, data: RunData) -> None:
    """Refuse a run some of whose days have no ticks: its orders would never fill there."""
    numbers = np.unique(np.concatenate([session_days(each.timestamps) for each in data.columns]))
    stamps = np.concatenate([each.timestamps for each in data.columns])
    days = sorted({trading_date(int(stamp)) for stamp in stamps[np.unique(session_days(stamps), return_index=True)[1]]})
    missing = [
        day.isoformat()
        for day in days
        if not db.layout.day(exchange, "ticks", None, day).exists()
        and not archived_parts(db.layout, exchange, "ticks", None, day)
    ]
    if missing:
        more = f" and {len(missing) - _SHOWN_MAX} more" if len(missing) > _SHOWN_MAX else ""
        raise Refused(
            f"fill 'next_tick' needs captured ticks of all {len(numbers)} days; there are none of "
            f"{', '.join(missing[:_SHOWN_MAX])}{more}. 'next_bar_open' needs candles only"
        )
