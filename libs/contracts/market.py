"""Ticks and bars."""

from __future__ import annotations

from enum import StrEnum

from libs.contracts.base import Event

#: Length of each timeframe in minutes. A day bar covers the session, whatever its length.
TIMEFRAMES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}


class Origin(StrEnum):
    """Where a bar came from."""

    LIVE = "live"
    BACKFILL = "backfill"
    SYNTHETIC = "synthetic"
    IMPORT = "import"


class Tick(Event, frozen=True, tag="tick", gc=False):
    """One quote as the feed gave it.

    `timestamp_us` is the exchange's trade time. `volume` is what traded since the tick before, never negative;
    `volume_day` is the exchange's cumulative figure. `seq` is the tick's identity: two ticks may share an instant.
    """

    symbol: str
    timestamp_us: int
    price: float
    volume: int = 0
    bid: float | None = None
    ask: float | None = None
    volume_day: int = 0
    seq: int = 0
    exchange: str = "nse"
    received_us: int = 0
    open_interest: float | None = None


class OHLCVBar(Event, frozen=True, tag="bar"):
    """One candle, stamped with the start of its interval."""

    symbol: str
    timeframe: str
    timestamp_us: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    exchange: str = "nse"
    origin: Origin = Origin.LIVE
    seq: int = 0


class MinuteClosed(Event, frozen=True, tag="minute_closed"):
    """All bars that close with the minute beginning at `timestamp_us` are out; `count` says how many there were."""

    exchange: str
    timestamp_us: int
    count: int
    seq: int = 0


class FeedGap(Event, frozen=True, tag="feed_gap"):
    """A time in which the feed gave nothing although the session was open; published when it begins and when it ends.

    `timestamp_us` is the last life before it, `to_us` the first life after it, 0 while it lasts: exchange times.
    """

    exchange: str
    timestamp_us: int
    gap_id: str
    cause: str
    to_us: int = 0
    detail: str = ""
    recorded_at_us: int = 0
    seq: int = 0


class Backfilled(Event, frozen=True, tag="backfilled"):
    """What the broker's history gave for a gap of one symbol; `bars` are candles there were none of, origin `backfill`.

    Not sent as candles: they are of the past, and what decides minute by minute must not meet them out of order.
    `differing` counts published candles touched by the gap that the broker has otherwise; they stay as they are.
    `timestamp_us` and `to_us` bound what was asked for, the end excluded; `outcome` is `complete`, `partial`,
    `nothing` or `failed`.
    """

    exchange: str
    symbol: str
    timestamp_us: int
    to_us: int
    gap_id: str
    bars: list[OHLCVBar]
    outcome: str
    differing: int = 0
    detail: str = ""
    recorded_at_us: int = 0
    seq: int = 0


class SessionChanged(Event, frozen=True, tag="session_changed"):
    """The exchange's session of a date opened or closed; `event` is `open`, `close` or `eod`."""

    exchange: str
    timestamp_us: int
    event: str
    trading_date: str = ""
    seq: int = 0
