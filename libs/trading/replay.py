"""Bars of the past through the strategy host and the trading loop, day by day: what a backtest runs.

Nothing here is the backtest's own but the feeding: host, desk, gate and exits are the objects that run live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from libs.contracts.market import TIMEFRAMES, OHLCVBar
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE
from libs.indicators.columns import session_days
from libs.orders.direct import PlainOrder
from libs.trading.columns import Columns
from libs.trading.loop import LoopEvent, TradingLoop
from libs.trading.strategy_host import StrategyHost


class Recorder(Protocol):
    """Takes what the replay does, as it does it."""

    def on_signals(self, signals: Sequence[SignalEvent]) -> None:
        """Signals of one minute, before they are decided on."""
        ...

    def on_events(self, events: Sequence[LoopEvent]) -> None:
        """Decisions and news, in their order."""
        ...

    def on_plain(self, plain: PlainOrder) -> None:
        """The same as `on_events` with a `Placed`."""
        ...

    def on_plain_filled(self, plain: PlainOrder) -> None:
        """The same as `on_events` with the news of its trade."""
        ...

    def on_day(self, bars_done: int, at_us: int) -> None:
        """A day is over."""
        ...


def replay(
    columns: Sequence[Columns],
    host: StrategyHost,
    loop: TradingLoop,
    recorder: Recorder,
    *,
    timeframe: str,
    exchange: str,
    keep_going: Callable[[], bool] = lambda: True,
) -> int:
    """Run every minute of every day in order; give how many bars were run. `keep_going` is asked once a day."""
    bar_us = TIMEFRAMES[timeframe] * US_PER_MINUTE
    done = 0
    for day in days_of(columns):
        if not keep_going():
            break
        minutes = _minutes([part.bars(timeframe, exchange) for part in day])
        for minute_us, bars in minutes:
            events = loop.on_bars(minute_us, bars)
            if events:
                recorder.on_events(events)
            signals = host.on_bars(bars)
            if signals:
                recorder.on_signals(signals)
                recorder.on_events(loop.on_signals(minute_us + bar_us, signals))
            done += len(bars)
        loop.settle_prices()
        recorder.on_day(done, minutes[-1][0] + bar_us)
    return done


def days_of(columns: Sequence[Columns]) -> Iterator[list[Columns]]:
    """Cut the columns by trading date: one list a day, of the symbols that have bars on it."""
    found: dict[int, list[tuple[Columns, int, int]]] = {}
    for each in columns:
        if len(each):
            days = session_days(each.timestamps)
            starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist()]
            for start, end, day in zip(starts, [*starts[1:], len(each)], days[starts].tolist(), strict=True):
                found.setdefault(day, []).append((each, start, end))
    for day in sorted(found):
        yield [each.part(start, end) for each, start, end in found[day]]


def _minutes(series: list[list[OHLCVBar]]) -> list[tuple[int, list[OHLCVBar]]]:
    """Put the bars of several symbols that begin together into one list, symbols in their order."""
    if len(series) == 1:
        return [(bar.timestamp_us, [bar]) for bar in series[0]]
    minutes: dict[int, list[OHLCVBar]] = {}
    for bars in series:
        for bar in bars:
            minutes.setdefault(bar.timestamp_us, []).append(bar)
    return sorted(minutes.items())
