"""Market data, DuckDB: closed days of history and the live buffer have the same tables.

A file is one exchange's (one day's ticks, one day's candles of one timeframe, today's live buffer), so no table has an
exchange column. Ticks have no key: it would cost six times the speed and refuse two ticks in one instant; `seq` is
their identity. Candles of the live buffer have one; closed days have none and are proved unique before they close.
"""

from __future__ import annotations

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

_CANDLES = """
CREATE TABLE candles (
    -- One candle of one symbol.
    symbol VARCHAR NOT NULL,  -- the exchange's trading symbol
    timeframe VARCHAR NOT NULL CHECK (timeframe IN ('1m', '5m', '15m', '1h', '4h', '1d')),  -- its length
    timestamp TIMESTAMPTZ NOT NULL,  -- start of the interval
    open DOUBLE NOT NULL CHECK (isfinite(open)),  -- first price
    high DOUBLE NOT NULL CHECK (isfinite(high)),  -- highest price
    low DOUBLE NOT NULL CHECK (isfinite(low)),  -- lowest price
    close DOUBLE NOT NULL CHECK (isfinite(close)),  -- last price
    volume BIGINT NOT NULL CHECK (volume >= 0),  -- traded in the interval
    origin VARCHAR NOT NULL DEFAULT 'live' CHECK (origin IN ('live', 'backfill', 'synthetic', 'import')),  -- from where
    seq BIGINT,  -- position it was published with in the stream of candles, NULL if it never was
    CHECK (low <= least(open, close) AND high >= greatest(open, close)){key}
)
"""
CANDLES_CLOSED = _CANDLES.format(key="")
CANDLES_LIVE = _CANDLES.format(key=",\n    PRIMARY KEY (symbol, timeframe, timestamp)")

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
