"""Market data, DuckDB: closed days of history and the live buffer have the same tables.

A file is one exchange's (one day's ticks, one day's candles of one timeframe, today's live buffer), so no table has an
exchange column. What is the same in all candles of an imported file stands in the table's definition, as generated
columns. Ticks have no key: it would cost six times the speed and refuse two ticks in one instant; `seq` is
their identity. Candles of the live buffer have one; closed days have none and are proved unique before they close.
"""

from __future__ import annotations

from collections.abc import Mapping

from libs.contracts.market import TIMEFRAMES, Origin
from libs.core.errors import Refused

#: Goes into `data/market_data/.schema_version`. Major: files of it cannot be read by older code.
VERSION = "1.0.0"

TICKS = """
CREATE TABLE ticks (
    -- A quote as the feed gave it. Two may share symbol and instant.
    symbol VARCHAR NOT NULL,  -- the exchange's trading symbol
    timestamp TIMESTAMPTZ NOT NULL,  -- the exchange's trade time
    price DOUBLE NOT NULL CHECK (isfinite(price)),  -- last traded price
    volume BIGINT NOT NULL CHECK (volume >= 0),  -- traded since the tick before; never the feed's last quantity
    bid DOUBLE,  -- best buying price, NULL when the feed gave none
    ask DOUBLE,  -- best selling price, NULL when the feed gave none
    volume_day BIGINT NOT NULL DEFAULT 0 CHECK (volume_day >= 0),  -- the exchange's figure since the day's start
    open_interest DOUBLE,  -- open contracts, NULL where there are none
    seq BIGINT NOT NULL  -- position in the ingestor's stream of ticks: the tick's identity
)
"""

#: What may be the same in every row of a closed file: its kind, what it may be, and how it is stored where it is not.
_MAYBE_SAME = {
    "timeframe": ("VARCHAR", tuple(TIMEFRAMES), "NOT NULL CHECK (timeframe IN {allowed})"),
    "origin": ("VARCHAR", tuple(each.value for each in Origin), "NOT NULL DEFAULT 'live' CHECK (origin IN {allowed})"),
    "seq": ("BIGINT", (None,), ""),
}
_CANDLES = """
CREATE TABLE candles (
    -- One candle of one symbol.
    symbol VARCHAR NOT NULL,  -- the exchange's trading symbol
    timeframe {timeframe},  -- its length
    timestamp TIMESTAMPTZ NOT NULL,  -- start of the interval
    open DOUBLE NOT NULL,  -- first price
    high DOUBLE NOT NULL,  -- highest price
    low DOUBLE NOT NULL,  -- lowest price
    close DOUBLE NOT NULL,  -- last price
    volume BIGINT NOT NULL CHECK (volume >= 0),  -- traded in the interval
    origin {origin},  -- from where
    seq {seq},  -- position it was published with in the stream of candles, NULL if it never was
    CHECK ({prices}){key}
)
"""
#: Without a function call a row, which would be a tenth of writing it. NaN is above infinity in DuckDB's order, so
#: what lies between a low that is above minus infinity and a high that is below infinity is a number.
_PRICES = (
    "low > '-infinity'::DOUBLE AND low <= open AND low <= close"
    " AND high >= open AND high >= close AND high < 'infinity'::DOUBLE"
)


def _candles(every_row: Mapping[str, str | None], key: str = "") -> str:
    columns = {}
    for name, (kind, allowed, stored) in _MAYBE_SAME.items():
        if name not in every_row:
            columns[name] = f"{kind} {stored.format(allowed=allowed)}".rstrip()
        elif (value := every_row[name]) in allowed:
            literal = "NULL" if value is None else f"'{value}'"
            columns[name] = f"{kind} GENERATED ALWAYS AS ({literal}::{kind}) VIRTUAL"
        else:
            raise Refused(f"{name} {value!r} in every candle: expected one of {', '.join(map(str, allowed))}")
    if unknown := every_row.keys() - columns.keys():
        raise Refused(f"{', '.join(sorted(unknown))} in every candle: expected of {', '.join(columns)}")
    return _CANDLES.format(**columns, prices=_PRICES, key=key)


def closed_candles(every_row: Mapping[str, str | None]) -> str:
    """Give the statement that makes a closed day's candles; what is the same in every row is no part of any.

    It stands in the table's definition instead and is read like any column: timeframe and origin, as texts in each
    row, would be a third of what writing the rows costs.
    """
    return _candles(every_row)


CANDLES_CLOSED = _candles({})
CANDLES_LIVE = _candles({}, key=",\n    PRIMARY KEY (symbol, timeframe, timestamp)")

META = """
CREATE TABLE meta (
    -- Up to which record of each journal stream this live file holds the rows; changes with them, in one transaction.
    stream VARCHAR PRIMARY KEY,  -- name of the stream
    seq BIGINT NOT NULL CHECK (seq >= 0)  -- its last record in this file; this, not max(seq), is the watermark
)
"""

#: The two files of the live buffer.
LIVE_TICKS: tuple[str, ...] = (TICKS, META)
LIVE_CANDLES: tuple[str, ...] = (CANDLES_LIVE, META)
