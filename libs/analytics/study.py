"""All analytics of a symbol or a market in one go: over a range of bars, and live, minute by minute.

`analyse` and `LiveAnalytics` give the same rows: the live form after every bar what the other has at that bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from libs.analytics import features, patterns
from libs.analytics.bars import BarColumns, bar_columns
from libs.analytics.confluence import Confluence, ConfluenceSettings
from libs.analytics.features import FeatureSet
from libs.analytics.inputs import Figures, Probe, Sessions, Want, figures
from libs.analytics.patterns import PatternCache, PatternWatch
from libs.analytics.regime import Regime, RegimeSettings
from libs.contracts import OHLCVBar
from libs.contracts.analytics import ConfluenceInsight, FeatureSnapshot, PatternFound, RegimeReading
from libs.indicators.columns import Column, Floats, Integers


class AnalyticsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is computed, and how."""

    confluence: ConfluenceSettings = msgspec.field(default_factory=ConfluenceSettings)
    regime: RegimeSettings = msgspec.field(default_factory=RegimeSettings)
    feature_set: str = "core.v1"
    #: Also say of a bar that no pattern was found.
    patterns_none: bool = False


class Findings(NamedTuple):
    """Rows for the tables of the signals store, in time order, symbols as they came."""

    confluence: list[ConfluenceInsight]
    regime: list[RegimeReading]
    patterns: list[PatternFound]
    features: list[FeatureSnapshot]


class _Rules:
    """The rules of one timeframe, and the figures they read."""

    def __init__(self, settings: AnalyticsSettings, timeframe: str) -> None:
        self.settings = settings
        self.timeframe = timeframe
        self.confluence = Confluence(settings.confluence, timeframe)
        self.regime = Regime(settings.regime)
        self.features: FeatureSet = features.find(settings.feature_set)
        # Two rules may ask for one figure under one name; under one name it is the same figure.
        wanted = {each.key: each for each in (*self.confluence.wants, *self.regime.wants, *self.features.wants)}
        self.wants: tuple[Want, ...] = tuple(wanted.values())

    def say(
        self,
        known: Figures,
        strengths: Floats,
        identities: Iterable[tuple[int, dict[str, Any]]],
        before: Integers | None = None,
    ) -> tuple[Findings, Integers]:
        """Run every rule, and say the rows named by the identities."""
        found = Findings([], [], [], [])
        with np.errstate(all="ignore"):
            votes = self.confluence(known)
            regimes, sides = self.regime(known, before)
            named = self.features(known)
        for at, identity in identities:
            _add(found.confluence, self.confluence.row(votes, at, **identity))
            _add(found.regime, self.regime.row(regimes, at, **identity))
            _add(found.features, self.features.row(named, at, **identity))
            found.patterns.extend(
                patterns.pattern_rows(strengths, at, with_none=self.settings.patterns_none, **identity)
            )
        return found, sides


def analyse(
    bars: Iterable[OHLCVBar] | Mapping[str, Column],
    *,
    symbol: str,
    timeframe: str = "1m",
    exchange: str = "nse",
    sessions: Sessions,
    settings: AnalyticsSettings | None = None,
    since_us: int = 0,
    cache: PatternCache | None = None,
) -> Findings:
    """Compute everything about one symbol; rows of bars from `since_us` on, those before only warm up.

    `bars` are its bars in time order, or columns by name. `sessions` gives the trading hours of a date.
    """
    columns = bar_columns(bars)
    if not len(columns):
        return Findings([], [], [], [])
    rules = _Rules(settings or AnalyticsSettings(), timeframe)
    known = figures(columns, rules.wants, timeframe, sessions)
    first = int(np.searchsorted(columns.timestamp_us, since_us))
    identities = (
        (at, {"symbol": symbol, "timestamp_us": stamp, "exchange": exchange, "timeframe": timeframe})
        for at, stamp in enumerate(columns.timestamp_us[first:].tolist(), first)
    )
    strengths = _strengths(columns, (exchange, symbol, timeframe), cache)
    return rules.say(known, strengths, identities)[0]


class LiveAnalytics:
    """The streaming form over a whole market at one timeframe: give it every minute's bars, once."""

    def __init__(self, *, timeframe: str = "1m", sessions: Sessions, settings: AnalyticsSettings | None = None) -> None:
        self.timeframe = timeframe
        self._rules = _Rules(settings or AnalyticsSettings(), timeframe)
        self._sessions = sessions
        self._probes: dict[tuple[str, str], Probe] = {}
        self._sides: dict[tuple[str, str], Integers] = {}
        self._watch = PatternWatch()

    def update(self, bars: Iterable[OHLCVBar]) -> Findings:
        """Take the newest bars, at most one a symbol, all of this timeframe; give what is known of each now."""
        whole, strengths = self._watch.update(bars)
        if not whole:
            return Findings([], [], [], [])
        names = [(bar.exchange, bar.symbol) for bar in whole]
        known: list[dict[str, float]] = []
        for name, bar in zip(names, whole, strict=True):
            if name not in self._probes:
                self._probes[name] = Probe(self._rules.wants, self.timeframe, self._sessions)
                self._sides[name] = np.zeros(2, np.int64)
            known.append(self._probes[name].update(bar))
        table = {key: np.array([each[key] for each in known]) for key in known[0]}
        before = np.stack([self._sides[name] for name in names], axis=1)
        identities = (
            (at, {"symbol": bar.symbol, "timestamp_us": bar.timestamp_us, "exchange": bar.exchange,
                  "timeframe": self.timeframe})
            for at, bar in enumerate(whole)
        )  # fmt: skip
        found, sides = self._rules.say(table, strengths, identities, before)
        for at, name in enumerate(names):
            self._sides[name] = sides[:, at]
        return found


def _strengths(bars: BarColumns, key: tuple[str, str, str], cache: PatternCache | None) -> Floats:
    return patterns.detect(patterns.prices_of(bars)) if cache is None else cache.strengths(key, bars)


def _add(rows: list[Any], row: Any) -> None:
    if row is not None:
        rows.append(row)
