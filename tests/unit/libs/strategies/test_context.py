"""The context gives a strategy what is known at the end of its bar, and nothing later."""

from __future__ import annotations

import random

import pytest

from libs.contracts import SignalType
from libs.contracts.signals import signal_id
from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.indicators import registry as indicators
from libs.strategies import StrategyContext
from libs.strategies.indicator_set import HISTORY_BARS_MAX
from tests.kit.regimes import market

BARS = market(("ALFA",), days=2, seed=4)


def test_indicator_includes_the_current_bar():
    context = StrategyContext(symbol="ALFA")
    average = context.indicator("sma", period=3)
    for bar in BARS[:5]:
        context.advance(bar)

    assert average.value == pytest.approx(sum(bar.close for bar in BARS[2:5]) / 3)
    assert context.indicator("sma", period=3) is average
    assert context.indicator("sma", period=4) is not average


def test_indicator_may_read_another_column():
    context = StrategyContext(symbol="ALFA")
    highest = context.indicator("highest", source="high", period=4)
    for bar in BARS[:9]:
        context.advance(bar)

    assert highest.value == max(bar.high for bar in BARS[5:9])


def test_indicator_asked_for_late_knows_the_bars_at_hand():
    early, late = StrategyContext(symbol="ALFA"), StrategyContext(symbol="ALFA")
    average = early.indicator("ema", period=20)
    for bar in BARS[:100]:
        early.advance(bar)
        late.advance(bar)

    assert late.indicator("ema", period=20).value == average.value


def test_longer_timeframe_shows_complete_bars_only():
    """At 09:28 the 15-minute bar is not there; with the bar of 09:29 it is."""
    bars = market(("ALFA",), days=1, seed=4, missing=0.0)
    context = StrategyContext(symbol="ALFA")
    higher = context.higher("15m")
    last = context.indicator("highest", timeframe="15m", source="high", period=1)
    for at, bar in enumerate(bars[:60]):
        context.advance(bar)
        complete = (at + 1) // 15
        if complete == 0:
            assert higher.bar is None
            continue
        first = (complete - 1) * 15
        group = bars[first : first + 15]

        assert higher.bar.timestamp_us == group[0].timestamp_us
        assert higher.bar.high == max(bar.high for bar in group) == last.value
        assert higher.bar.close == group[-1].close
        assert len(higher.bars(10)) == min(complete, 10)


def test_timeframe_must_be_longer():
    with pytest.raises(Refused, match="timeframe '5m' is not longer than '5m'"):
        StrategyContext(timeframe="5m").higher("5m")


def test_session_times_are_those_of_the_bar():
    context = StrategyContext(symbol="ALFA")
    context.advance(BARS[0])
    assert context.minutes_since_open == 1
    assert context.minutes_to_close == 374
    assert context.now_us == BARS[0].timestamp_us + US_PER_MINUTE
    assert not context.closes_within(15)
    last = [bar for bar in BARS if bar.timestamp_us < BARS[0].timestamp_us + 375 * US_PER_MINUTE][-1]
    context.advance(last)

    assert context.closes_within(15)
    assert not context.closes_within(0)


def test_history_is_bounded():
    context = StrategyContext(symbol="ALFA")
    for bar in BARS:
        context.advance(bar)

    assert len(BARS) > HISTORY_BARS_MAX
    assert context.bars(3) == BARS[-3:]
    assert len(context.bars(HISTORY_BARS_MAX)) == HISTORY_BARS_MAX
    with pytest.raises(Refused, match="the context keeps 500"):
        context.bars(HISTORY_BARS_MAX + 1)


def test_chance_is_the_same_in_every_replay():
    def draws(symbol):
        context = StrategyContext(symbol=symbol, strategy_id="dice")
        context.advance(BARS[0])
        return [context.random.random() for _ in range(5)]

    random.seed(1)
    assert draws("ALFA") == draws("ALFA") != draws("BETA")


def test_reversal_is_an_exit_and_an_entry():
    context = StrategyContext(symbol="ALFA", strategy_id="s")
    context.advance(BARS[0])
    (enter,) = context.go_long(stop=5.0)
    from libs.strategies.position import FLAT, after

    context.position = after(FLAT, enter)

    assert context.go_long() == []
    assert [signal.signal_type.value for signal in context.go_short()] == ["exit_long", "enter_short"]
    assert context.position.stop == 5.0


def test_signals_are_named_as_everybody_names_them():
    """The context hashes the first parts once; the name is the one `signal_id` gives."""
    context = StrategyContext(symbol="ALFA", strategy_id="s", timeframe="5m", parameters='{"a":1}')
    context.advance(BARS[0])
    signal = context.enter_short(leg=2)

    assert signal.signal_id == signal_id(
        instance="s",
        parameters='{"a":1}',
        symbol="ALFA",
        timeframe="5m",
        bar_us=BARS[0].timestamp_us,
        signal_type=SignalType.ENTER_SHORT,
        leg=2,
    )


def test_signal_before_the_first_bar_is_refused():
    with pytest.raises(Refused, match="before its first bar"):
        StrategyContext(strategy_id="s").enter_long()


def test_indicators_are_the_registered_ones():
    with pytest.raises(Refused, match="no indicator 'magic'"):
        StrategyContext().indicator("magic")
    for name in indicators.INDICATORS:
        StrategyContext().indicator(name)
