"""What the scanner reads out of bars: insights, never advice on how much. Fields are those of the signals store."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.contracts.base import Event, Message


class Direction(StrEnum):
    """Where something points. `NONE`: it was looked for and is not there."""

    BULLISH = "bullish"
    BEARISH = "bearish"
    NEUTRAL = "neutral"
    NONE = "none"


class MarketRegime(StrEnum):
    """The kind of market. `UNKNOWN`: too few bars to say."""

    TREND_UP = "trend_up"
    TREND_DOWN = "trend_down"
    RANGE = "range"
    VOLATILE = "volatile"
    UNKNOWN = "unknown"


class Reason(Message, frozen=True):
    """One indicator's vote from -1 (bearish) to 1, and the share of the score it made: vote times weight over all."""

    indicator: str
    timeframe: str
    vote: float
    weight: float
    share: float


class ConfluenceInsight(Event, frozen=True, tag="confluence"):
    """What indicators over several timeframes agree on at one bar; the strongest reason first.

    `score` is the weighted mean of the votes, `confidence` how much of the weight had data.
    """

    symbol: str
    timestamp_us: int
    direction: Direction
    score: float
    confidence: float
    reasons: tuple[Reason, ...] = ()
    exchange: str = "nse"
    timeframe: str = "1m"
    version: str = ""


class RegimeReading(Event, frozen=True, tag="regime"):
    """What kind of market a symbol is in at one bar, and the figures that say so."""

    symbol: str
    timestamp_us: int
    regime: MarketRegime
    confidence: float
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    exchange: str = "nse"
    timeframe: str = "1m"
    version: str = ""


class PatternFound(Event, frozen=True, tag="pattern"):
    """A candlestick pattern that ends with one bar; `strength` is how clear it is, 0 to 1."""

    symbol: str
    timestamp_us: int
    pattern: str
    direction: Direction
    strength: float
    exchange: str = "nse"
    timeframe: str = "1m"
    version: str = ""


class ScanPick(Message, frozen=True):
    """A symbol a scan picked out; 1 is the strongest. `features` are the figures behind it."""

    symbol: str
    rank: int
    score: float
    confidence: float
    features: dict[str, float] = msgspec.field(default_factory=dict)


class ScanResult(Event, frozen=True, tag="scan"):
    """What a scan picked out of a watchlist, or of the whole market, at one bar; the strongest first.

    `fresh` are the symbols it picked for the first time that day: what is worth an alert.
    """

    scan_id: str
    timestamp_us: int
    picks: tuple[ScanPick, ...] = ()
    exchange: str = "nse"
    timeframe: str = "1m"
    watchlist: str = ""
    fresh: tuple[str, ...] = ()


class FeatureSnapshot(Event, frozen=True, tag="features"):
    """The named figures a decision could see at one bar; one that is not known yet is left out.

    `feature_set` is the set's name and version: the same name always means the same formulas.
    """

    symbol: str
    timestamp_us: int
    feature_set: str
    features: dict[str, float]
    exchange: str = "nse"
    timeframe: str = "1m"
