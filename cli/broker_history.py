"""The broker's candles of past days, for commands: fetched within its limits, as tables of our own columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from libs.core.clock import Clock
    from libs.dbaccess import DatabaseManager
    from libs.settings import Settings
    from libs.upstox.history import History, PastCandle

#: Called with how many are done, how many there are, and of what.
Report = Callable[[int, int, str], None]


class BrokerCandles:
    """The broker's history, asked by symbol."""

    def __init__(self, history: History, keys: Mapping[str, str], clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._keys = keys

    def require_known(self, symbols: Collection[str]) -> None:
        """Raise Refused, naming them, for symbols the broker's instruments file has not."""
        from libs.core.errors import Refused

        if unknown := [symbol for symbol in symbols if symbol not in self._keys]:
            raise Refused(f"{', '.join(unknown)}: not in the broker's instruments file of {len(self._keys)} symbols")

    def known(self, symbols: Collection[str]) -> list[str]:
        """Give those the broker still lists: a closed day may hold one that is gone."""
        return sorted(symbol for symbol in symbols if symbol in self._keys)

    def of_days(self, symbol: str, timeframe: str, days: Sequence[date]) -> dict[date, list[PastCandle]]:
        """Give a symbol's candles of those days; today's complete ones too, which the broker keeps elsewhere."""
        from libs.core.clock import trading_date

        key, wanted = self._keys[symbol], set(days)
        found: dict[date, list[PastCandle]] = defaultdict(list)
        candles = self._history.candles(key, timeframe, days[0], days[-1])
        if timeframe == "1m" and days[-1] == trading_date(self._clock.now_us()):
            self._clock.sleep(self._history.wait_s())
            candles += self._history.today(key)
        for candle in candles:
            if (day := trading_date(candle.timestamp_us)) in wanted:
                found[day].append(candle)
        return found


@contextmanager
def broker_candles(settings: Settings, day: date) -> Iterator[BrokerCandles]:
    """Log on with the token of market data, and read the broker's instruments as of a day."""
    from libs.core.clock import SystemClock
    from libs.upstox.credentials import Scope
    from libs.upstox.history import History
    from libs.upstox.instrument_file import shares_and_indexes
    from libs.upstox.instruments import download
    from libs.upstox.session import BrokerSession

    session = BrokerSession.open(settings, Scope.MARKET_DATA)
    try:
        session.authorize()
        listed = shares_and_indexes(download(session, settings.data.exchange), settings.data.exchange, day)
        keys = {row.symbol: row.instrument_key for row in listed}
        clock = SystemClock()
        yield BrokerCandles(History(session, clock), keys, clock)
    finally:
        session.close()


def candle_table(by_symbol: Mapping[str, Sequence[PastCandle]], timeframe: str) -> pa.Table:
    """Give candles as the writers of history take them."""
    import pyarrow as pa

    rows = [(symbol, *candle) for symbol, candles in sorted(by_symbol.items()) for candle in candles]
    symbol, instants, opens, highs, lows, closes, volumes = zip(*rows, strict=True)
    count = len(rows)
    return pa.table(
        {
            "symbol": pa.array(symbol), "timeframe": pa.array([timeframe] * count),
            "timestamp": pa.array(instants, pa.int64()).cast(pa.timestamp("us", "UTC")), "open": pa.array(opens),
            "high": pa.array(highs), "low": pa.array(lows), "close": pa.array(closes), "volume": pa.array(volumes),
            "origin": pa.array(["backfill"] * count),
        }
    )  # fmt: skip


def compare_days(
    db: DatabaseManager, settings: Settings, days: Collection[date], symbols: Collection[str], report: Report
) -> dict[str, Any]:
    """Hold the closed 1m candles of days against the broker's, note it in their certificates, and sum it up.

    Without `symbols` all of a day's are asked for, one call each. A day without a closed file is passed over.
    """
    from libs.dbaccess.coverage import closed_symbols, compare_with_broker

    exchange = settings.data.exchange
    total = {"days": 0, "bars_compared": 0, "bars_differing": 0}
    if not days:
        return total
    names = {day: closed_symbols(db, exchange, day) for day in sorted(days)}
    with broker_candles(settings, max(days)) as broker:
        for day, held in names.items():
            wanted = broker.known(set(held) & set(symbols) if symbols else held)
            theirs = {}
            for place, symbol in enumerate(wanted):
                report(place, len(wanted), f"{symbol} {day}")
                if candles := broker.of_days(symbol, "1m", [day]).get(day):
                    theirs[symbol] = candles
            if theirs:
                found = compare_with_broker(db, exchange, day, candle_table(theirs, "1m"))
                total["days"] += 1
                total["bars_compared"] += sum(each.bars for each in found)
                total["bars_differing"] += sum(each.differing for each in found)
    return total
