"""Confluence: what several indicators over several timeframes say together, each with its weight and its reason.

A vote goes from -1 (bearish) to 1 (bullish); docs/reference/analytics.md has the formula of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from libs.analytics.inputs import Figures, Want, want
from libs.contracts import TIMEFRAMES
from libs.contracts.analytics import ConfluenceInsight, Direction, Reason
from libs.core.errors import Refused
from libs.indicators.columns import Floats

#: Another formula or default is another version: stored rows of the old one are computed again.
VERSION = "1"
Weight = Annotated[float, Meta(ge=0.0, le=100.0)]


class ConfluenceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much each vote and timeframe weighs, and how much agreement makes a direction.

    Timeframes not longer than the bars' own are left out, but for the bars' own.
    """

    indicators: dict[str, Weight] = msgspec.field(
        default_factory=lambda: {
            "trend": 2.0, "supertrend": 1.0, "directional": 1.0, "macd": 1.0, "rsi": 1.0, "slope": 1.0, "vwap": 1.0
        }
    )  # fmt: skip
    timeframes: dict[str, Weight] = msgspec.field(default_factory=lambda: {"1m": 1.0, "5m": 2.0, "15m": 3.0})
    direction_min: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.3
    #: With less of the weight known there is no direction.
    known_min: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5

    def __post_init__(self) -> None:
        unknown = [name for name in self.indicators if name not in VOTES]
        if unknown:
            raise ValueError(f"no vote {', '.join(unknown)}; there are {', '.join(VOTES)}")
        strange = [name for name in self.timeframes if name not in TIMEFRAMES]
        if strange:
            raise ValueError(f"no timeframe {', '.join(strange)}; there are {', '.join(TIMEFRAMES)}")


def _share(part: Floats, whole: Floats) -> Floats:
    """Part of the whole within -1 and 1; its sign where the whole is nothing."""
    ratio = np.where(whole > 0.0, part / np.where(whole > 0.0, whole, 1.0), np.sign(part))
    clipped: Floats = np.where(np.isnan(part) | np.isnan(whole), np.nan, np.clip(ratio, -1.0, 1.0))
    return clipped


#: Name: what it says of the figures of its timeframe, by their names without the timeframe.
VOTES: dict[str, Callable[[Callable[[str], Floats]], Floats]] = {
    "trend": lambda f: _share(f("fast") - f("slow"), f("atr")),
    "supertrend": lambda f: f("supertrend.direction"),
    "directional": lambda f: _share(f("adx.plus_di") - f("adx.minus_di"), f("adx.plus_di") + f("adx.minus_di")),
    "macd": lambda f: _share(f("macd.histogram"), 0.25 * f("atr")),
    "rsi": lambda f: _share(f("rsi") - 50.0, np.full_like(f("rsi"), 20.0)),
    "slope": lambda f: _share(f("slope"), 0.25 * f("atr")),
    "vwap": lambda f: _share(f("close") - f("vwap"), 2.0 * f("atr")),
}
#: Only on the bars' own timeframe: the session has one average price.
_OWN_ONLY = {"vwap"}


class Ballot(NamedTuple):
    """One vote to be counted: key of the figures, indicator, timeframe, weight."""

    indicator: str
    timeframe: str
    weight: float
    is_own: bool


class ConfluenceColumns(NamedTuple):
    """Score, share of the weight that is known, and the votes behind them, NaN where not known."""

    score: Floats
    known: Floats
    votes: tuple[Floats, ...]


class Confluence:
    """The rule at one timeframe of bars."""

    def __init__(self, settings: ConfluenceSettings, timeframe: str) -> None:
        self.settings = settings
        own = TIMEFRAMES[timeframe]
        longer = {name: weight for name, weight in settings.timeframes.items() if TIMEFRAMES[name] > own}
        weights = {timeframe: settings.timeframes.get(timeframe, 1.0), **longer}
        self.ballots = tuple(
            Ballot(indicator, name, weight * by_time, name == timeframe)
            for name, by_time in sorted(weights.items(), key=lambda pair: TIMEFRAMES[pair[0]])
            for indicator, weight in settings.indicators.items()
            if weight * by_time > 0.0 and (name == timeframe or indicator not in _OWN_ONLY)
        )
        if not self.ballots:
            raise Refused("confluence: at least one weight must be above 0")
        self._weights = sum(ballot.weight for ballot in self.ballots)

    @property
    def wants(self) -> tuple[Want, ...]:
        """The figures it reads."""
        found = {ballot.timeframe: ballot.is_own for ballot in self.ballots}
        return tuple(each for name, is_own in found.items() for each in _wants(name, is_own=is_own))

    def __call__(self, figures: Figures) -> ConfluenceColumns:
        """Count the votes."""
        votes = tuple(VOTES[each.indicator](_reader(figures, each)) for each in self.ballots)
        total, known = np.zeros_like(votes[0]), np.zeros_like(votes[0])
        for ballot, vote in zip(self.ballots, votes, strict=True):
            said = np.isfinite(vote)
            total = total + np.where(said, ballot.weight * vote, 0.0)
            known = known + np.where(said, ballot.weight, 0.0)
        score = np.where(known > 0.0, total / np.where(known > 0.0, known, 1.0), 0.0)
        return ConfluenceColumns(np.clip(score, -1.0, 1.0), np.minimum(known / self._weights, 1.0), votes)

    def row(self, columns: ConfluenceColumns, at: int, **identity: Any) -> ConfluenceInsight | None:
        """Say one row as a message; None while nothing is known."""
        known, score = columns.known.item(at), columns.score.item(at)
        if known <= 0.0:
            return None
        direction = Direction.NEUTRAL
        if known >= self.settings.known_min and abs(score) >= self.settings.direction_min:
            direction = Direction.BULLISH if score > 0.0 else Direction.BEARISH
        return ConfluenceInsight(
            direction=direction,
            score=score,
            confidence=known,
            reasons=self._reasons([column.item(at) for column in columns.votes], known * self._weights),
            version=VERSION,
            **identity,
        )

    def _reasons(self, votes: list[float], known: float) -> tuple[Reason, ...]:
        reasons = [
            Reason(ballot.indicator, ballot.timeframe, vote, ballot.weight, ballot.weight * vote / known)
            for ballot, vote in zip(self.ballots, votes, strict=True)
            if vote == vote  # noqa: PLR0124 - known: not NaN
        ]
        return tuple(sorted(reasons, key=lambda reason: -abs(reason.share)))


def _wants(timeframe: str, *, is_own: bool) -> list[Want]:
    where, held = ("", "") if is_own else (f"{timeframe}.", timeframe)
    wants = [
        want(f"{where}fast", "ema", held, period=9),
        want(f"{where}slow", "ema", held, period=21),
        want(f"{where}atr", "atr", held, period=14),
        want(f"{where}supertrend", "supertrend", held, period=10, multiplier=3.0),
        want(f"{where}adx", "adx", held, period=14),
        want(f"{where}macd", "macd", held),
        want(f"{where}rsi", "rsi", held, period=14),
        want(f"{where}slope", "linear_regression_slope", held, period=14),
    ]
    return [*wants, want("vwap", "vwap")] if is_own else wants


def _reader(figures: Figures, ballot: Ballot) -> Callable[[str], Floats]:
    where = "" if ballot.is_own else f"{ballot.timeframe}."
    return lambda name: figures[where + name]


def settings_of(given: Mapping[str, Any]) -> ConfluenceSettings:
    """Read settings from the config store, refusing what is not understood."""
    try:
        return msgspec.convert(given, ConfluenceSettings, strict=False)
    except msgspec.ValidationError as e:
        raise Refused(f"confluence settings {dict(given)}: {e}") from e
