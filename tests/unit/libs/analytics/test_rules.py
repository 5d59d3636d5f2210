"""Confluence, regime and features against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from libs.analytics import features
from libs.analytics.confluence import Confluence, ConfluenceSettings, settings_of
from libs.analytics.inputs import want
from libs.analytics.regime import DOWN, RANGE, UNKNOWN, UP, VOLATILE, Regime, RegimeSettings
from libs.analytics.study import AnalyticsSettings, LiveAnalytics, analyse
from libs.contracts import OHLCVBar
from libs.contracts.analytics import Direction
from libs.core.errors import Refused
from libs.dbaccess.schema.signals import FORBIDDEN_KEYS, FORBIDDEN_PARTS
from libs.strategies.context import regular_session
from tests.kit.regimes import market

IDENTITY = {"symbol": "ALFA", "timestamp_us": 1}


def columns(**figures):
    return {name.replace("__", "."): np.array(values, dtype=float) for name, values in figures.items()}


def test_score_is_the_weighted_mean_and_the_reasons_add_up_to_it():
    """Trend 2 x +1 and RSI 1 x -0.5 make 0.5; what is not known weighs nothing, but lowers the confidence."""
    rule = Confluence(ConfluenceSettings(indicators={"trend": 2.0, "rsi": 1.0, "macd": 1.0}, timeframes={}), "1m")
    votes = rule(columns(fast=[110.0], slow=[100.0], atr=[5.0], rsi=[40.0], macd__histogram=[np.nan]))
    insight = rule.row(votes, 0, **IDENTITY)

    assert insight.score == pytest.approx((2.0 - 0.5) / 3.0)
    assert insight.confidence == pytest.approx(3.0 / 4.0)
    assert insight.direction is Direction.BULLISH
    assert [(reason.indicator, reason.vote) for reason in insight.reasons] == [("trend", 1.0), ("rsi", -0.5)]
    assert sum(reason.share for reason in insight.reasons) == pytest.approx(insight.score)


def test_longer_timeframes_vote_with_their_own_weight():
    settings = ConfluenceSettings(indicators={"rsi": 1.0, "vwap": 1.0}, timeframes={"1m": 1.0, "5m": 1.0, "15m": 3.0})
    rule = Confluence(settings, "5m")
    values = columns(rsi=[70.0], **{"15m.rsi": [30.0]}, vwap=[100.0], close=[100.0], atr=[1.0])

    # 1m is shorter than the bars; the session's average price votes once.
    assert [(each.indicator, each.timeframe) for each in rule.ballots] == [
        ("rsi", "5m"),
        ("vwap", "5m"),
        ("rsi", "15m"),
    ]
    assert rule(values).score.tolist() == [pytest.approx((1.0 + 0.0 - 3.0) / 5.0)]


def test_little_known_weight_has_no_direction():
    rule = Confluence(ConfluenceSettings(indicators={"rsi": 1.0, "macd": 3.0}, timeframes={}), "1m")
    votes = rule(columns(rsi=[90.0], macd__histogram=[np.nan], atr=[1.0]))

    assert rule.row(votes, 0, **IDENTITY).direction is Direction.NEUTRAL


def test_settings_are_refused_with_what_is_wrong():
    with pytest.raises(Refused, match="no vote moon"):
        settings_of({"indicators": {"moon": 1.0}})
    with pytest.raises(Refused, match="no timeframe 7m"):
        settings_of({"timeframes": {"7m": 1.0}})
    with pytest.raises(Refused, match="above 0"):
        Confluence(ConfluenceSettings(indicators={"rsi": 0.0}), "1m")


def regimes(adx, plus, minus, short, long, before=None):
    rule = Regime(RegimeSettings())
    given = columns(adx=adx, adx__plus_di=plus, adx__minus_di=minus, atr=short, atr_long=long)
    return rule(given, before)


def test_regimes_by_the_rules():
    """A trend begins at 25 and lasts until below 20; a range lasts until 25; a wide market is volatile whatever ADX."""
    read, _ = regimes(
        adx=[np.nan, 22, 25, 22, 19.9, 22, 30, 30, 30],
        plus=[np.nan, 30, 30, 30, 30, 30, 10, 10, 10],
        minus=[np.nan, 10, 10, 10, 10, 10, 30, 30, 10],
        short=[1, 1, 1, 1, 1, 1, 1, 1.8, 1],
        long=[1] * 9,
    )

    assert read.code.tolist() == [UNKNOWN, RANGE, UP, UP, RANGE, RANGE, DOWN, VOLATILE, DOWN]
    assert ((read.confidence >= 0.0) & (read.confidence <= 1.0)).all()
    assert read.confidence[0] == 0.0


def test_regime_of_a_market_that_stands_still_is_a_range():
    flat = [OHLCVBar("ALFA", "1m", each.timestamp_us, 5, 5, 5, 5, 1) for each in market(("ALFA",), missing=0.0)]
    rows = analyse(flat, symbol="ALFA", sessions=regular_session)

    assert {row.regime for row in rows.regime} == {"range"}
    assert {row.direction for row in rows.confluence} == {"neutral"}


def test_features_by_hand():
    bars = market(("ALFA",), seed=3, missing=0.0)
    last = analyse(bars, symbol="ALFA", sessions=regular_session).features[-1]
    closes = [bar.close for bar in bars]
    volumes = [bar.volume for bar in bars]

    assert last.feature_set == "core.v1"
    assert set(last.features) == set(features.find("core.v1").formulas)
    assert last.features["return_5"] == pytest.approx(closes[-1] / closes[-6] - 1.0)
    assert last.features["return_20"] == pytest.approx(closes[-1] / closes[-21] - 1.0)
    assert last.features["volume_ratio"] == pytest.approx(volumes[-1] / (sum(volumes[-20:]) / 20))
    highest, lowest = max(bar.high for bar in bars[-20:]), min(bar.low for bar in bars[-20:])
    assert last.features["range_place"] == pytest.approx((closes[-1] - lowest) / (highest - lowest))


def test_feature_that_is_not_known_is_left_out():
    first = analyse(market(("ALFA",))[:1], symbol="ALFA", sessions=regular_session).features[0]

    assert "return_1" not in first.features
    assert "close_in_bar" in first.features


def test_a_key_means_one_figure():
    """Figures are shared by name between the rules: one name with two meanings would silently be one of them."""
    seen = {}
    for each in (*Confluence(ConfluenceSettings(), "1m").wants, *Regime.wants, *features.find("core.v1").wants):
        assert seen.setdefault(each.key, each) == each


def test_no_insight_has_a_key_the_store_refuses():
    names = {"indicator", "timeframe", "vote", "weight", "share", *features.find("core.v1").formulas}
    spelled = {name.replace("_", "") for name in names}

    assert not spelled & set(FORBIDDEN_KEYS)
    assert not [name for name in spelled if any(part in name for part in FORBIDDEN_PARTS)]


def test_what_is_not_there_is_named():
    with pytest.raises(Refused, match=r"no feature set 'core.v9'.*core\.v1"):
        analyse(market(("ALFA",))[:2], symbol="ALFA", sessions=regular_session,
                settings=AnalyticsSettings(feature_set="core.v9"))  # fmt: skip
    with pytest.raises(Refused, match="lack close"):
        analyse({"timestamp_us": [1], "open": [1], "high": [1], "low": [1], "volume": [1]}, symbol="ALFA",
                sessions=regular_session)  # fmt: skip
    with pytest.raises(Refused, match="in time order"):
        analyse(market(("ALFA",))[:2][::-1], symbol="ALFA", sessions=regular_session)


def test_live_state_stays_bounded():
    """A symbol's state is as large after 300 bars as after 150, of which no indicator here remembers more."""
    live = LiveAnalytics(sessions=regular_session)
    bars = market(("ALFA",), missing=0.0)[:300]
    live.update(bars[:1])
    probe = live._probes["nse", "ALFA"]

    def weight():
        return sum(len(repr(held._indicator.__dict__)) for held in probe._own) // 100

    for bar in bars[1:150]:
        live.update([bar])
    before = weight()
    for bar in bars[150:]:
        live.update([bar])
    assert weight() <= before * 1.1
    assert live._watch._recent.shape[1] == 16


def test_want_reads_as_it_is_written():
    assert want("15m.fast", "ema", "15m", period=9).parameters == (("period", 9),)
