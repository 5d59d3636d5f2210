"""Strategies run over bars, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from libs.contracts import OHLCVBar, SignalEvent
from libs.core.clock import trading_date
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from tests.kit.regimes import minutes


def instance(strategy: str, symbols: Iterable[str], **fields: Any) -> StrategyInstance:
    return StrategyInstance(strategy=strategy, symbols=tuple(symbols), **fields)


def run(host: StrategyHost, bars: Sequence[OHLCVBar]) -> list[SignalEvent]:
    """Feed the bars minute by minute; a fault of any strategy fails the test."""
    signals = [signal for minute in minutes(bars) for signal in host.on_bars(minute)]
    faults = host.take_faults()

    assert not faults, faults
    return signals


def split_days(bars: Sequence[OHLCVBar]) -> tuple[list[OHLCVBar], list[OHLCVBar]]:
    """The days before the last one, and the last one."""
    last = trading_date(bars[-1].timestamp_us)
    return (
        [bar for bar in bars if trading_date(bar.timestamp_us) < last],
        [bar for bar in bars if trading_date(bar.timestamp_us) == last],
    )
