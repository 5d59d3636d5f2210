"""One run of the strategies: warmed up from history, then minute by minute, each minute stored before it is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from libs.contracts import MinuteClosed, OHLCVBar, SignalEvent
from libs.core.clock import Clock, day_start_us, trading_date
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.settings import Settings
from libs.trading.strategy_host import Budget, StrategyFault, StrategyHost, StrategyInstance, Withheld
from services.scanner.history import bars_of
from services.scanner.minutes import Minute, Minutes
from services.scanner.suspensions import Suspensions


class Runner:
    """The strategy host over the bus's minutes. A minute is taken when all its bars are there.

    A run begins at a day's first bar. What an earlier process did of the day is done again and comes to nothing new,
    for signals have the ids they had.
    """

    def __init__(
        self,
        manager: DatabaseManager,
        settings: Settings,
        clock: Clock,
        instances: tuple[StrategyInstance, ...],
        *,
        sessions: Callable[[date], Any],
        earlier: Callable[[int], list[SignalEvent]],
        suspensions: Suspensions,
    ) -> None:
        self.bars = 0
        self.minutes = self.minutes_incomplete = 0
        self._manager = manager
        self._exchange = settings.data.exchange
        self._earlier = earlier
        self._waiting = Minutes()
        self._began = False
        budget = Budget(
            per_bar_ms=settings.strategies.time_budget_per_bar_ms,
            overruns_max=settings.strategies.overruns_in_a_row_max,
        )
        self.host = StrategyHost(instances, sessions=sessions, clock=clock, budget=budget)
        self._suspensions = suspensions
        self._withhold(suspensions.begin(self.host.identities()))
        self._faults: list[StrategyFault] = []
        self._note_faults()

    @property
    def is_waiting(self) -> bool:
        """Whether a minute was closed and lacks bars."""
        return self._waiting.is_waiting

    def add(self, item: OHLCVBar | MinuteClosed) -> None:
        """Keep a bar until its minute is closed, and a closing until all of its bars are there."""
        if not self._began:
            self._begin(item.timestamp_us)
        self._waiting.add(item)
        self.bars += isinstance(item, OHLCVBar)

    def take(self, *, incomplete: bool = False) -> Minute | None:
        """Give the next minute that is whole; with `incomplete`, the next one as it is."""
        return self._waiting.take(incomplete=incomplete)

    def run(self, minute: Minute) -> list[SignalEvent]:
        """Run the strategies over all bars that closed with the minute, in the one order there is."""
        self.minutes += 1
        self.minutes_incomplete += minute.missing > 0
        signals = self.host.on_bars(minute.bars)
        self._note_faults()
        return signals

    def take_faults(self) -> list[StrategyFault]:
        """Give what went wrong since the last call; it is stored already."""
        taken, self._faults = self._faults, []
        return taken

    def lift(self, instance: str, symbol: str) -> list[tuple[str, str]]:
        """Let a suspended instance run again; give where."""
        lifted = self._suspensions.lift(instance, symbol)
        self._withhold(lifted)
        return list(lifted)

    def _note_faults(self) -> None:
        faults = self.host.take_faults()
        if faults:
            self._withhold(self._suspensions.note(faults))
            self._faults += faults

    def _withhold(self, suspended: dict[tuple[str, str], tuple[Withheld, ...]]) -> None:
        for (instance, symbol), windows in suspended.items():
            self.host.withhold(instance, symbol, windows)

    def _begin(self, timestamp_us: int) -> None:
        """Warm up with the last bars before the day, however old they are: a backtest takes the same ones."""
        self._began = True
        today = trading_date(timestamp_us)
        needed = self.host.warmup_needed()
        with MarketDataQuery(self._manager) as query:
            for (exchange, symbol, timeframe), count in sorted(needed.items()):
                if count:
                    candles = query.last_candles(symbol, exchange, timeframe, count, before=today, output="arrow")
                    self.host.warm_up(bars_of(candles, exchange))
        self.host.adopt(self._earlier(day_start_us(today)))
