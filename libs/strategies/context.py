"""What a strategy may know: bars that are closed, indicators over them, the session, and its own position."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from datetime import date
from functools import cached_property
from typing import Any

from libs.contracts import TIMEFRAMES, OHLCVBar, SignalEvent, SignalType
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalNames
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us, trading_date
from libs.core.errors import Refused
from libs.indicators.base import Indicator
from libs.strategies.indicator_set import HISTORY_BARS_MAX, HigherTimeframe, IndicatorSet
from libs.strategies.position import FLAT, Position

#: More signals than a strategy may give on one bar.
_MADE_KEPT_MAX = 16
#: Looking a member up on its enum costs as much as a step of making a signal.
_ENTER_LONG, _EXIT_LONG = SignalType.ENTER_LONG, SignalType.EXIT_LONG
_ENTER_SHORT, _EXIT_SHORT = SignalType.ENTER_SHORT, SignalType.EXIT_SHORT
_OPEN_MINUTE, _CLOSE_MINUTE = 9 * 60 + 15, 15 * 60 + 30


def regular_session(day: date) -> Session:
    """The exchange's regular hours on any date: what a strategy sees when nobody gives it a calendar."""
    start = day_start_us(day)
    span = (start + _OPEN_MINUTE * US_PER_MINUTE, start + _CLOSE_MINUTE * US_PER_MINUTE)
    return Session("nse", day, (span,), span[0], assumed=True)


class StrategyContext:
    """One strategy's view of one symbol.

    It holds nothing later than the end of the current bar. The host calls `advance`; strategies read.
    """

    def __init__(
        self,
        *,
        symbol: str = "",
        strategy_id: str = "",
        timeframe: str = "1m",
        exchange: str = "nse",
        version: str = "",
        parameters: str = "{}",
        sessions: Callable[[date], Session | None] = regular_session,
    ) -> None:
        self.symbol = symbol
        self.strategy_id = strategy_id
        self.timeframe = timeframe
        self.exchange = exchange
        self.version = version
        #: The current bar; None in `start`.
        self.bar: OHLCVBar | None = None
        #: What the strategy's own signals imply; never the account.
        self.position: Position = FLAT
        #: True while earlier bars are replayed: signals are dropped, the position is flat.
        self.is_warming = False
        #: How its signals are named; the host names with it, too.
        self.names = SignalNames(instance=strategy_id, parameters=parameters, symbol=symbol, timeframe=timeframe)
        self._sessions = sessions
        self._made: deque[SignalEvent] = deque(maxlen=_MADE_KEPT_MAX)
        self._indicators = IndicatorSet()
        self._update_indicators = self._indicators.update
        self._higher: dict[str, HigherTimeframe] = {}
        self._day_end_us = 0
        self._session: Session | None = None
        self._open_us = self._close_us = 0
        self._bar_us = 0 if timeframe == "1d" else TIMEFRAMES[timeframe] * US_PER_MINUTE

    def advance(self, bar: OHLCVBar) -> None:
        """Take the next closed bar: indicators and longer timeframes include it from here on."""
        self.bar = bar
        if bar.timestamp_us >= self._day_end_us:
            self._new_day(bar.timestamp_us)
        self._update_indicators(bar)
        if self._higher:
            for higher in self._higher.values():
                higher.add(bar)

    def indicator(self, name: str, *, timeframe: str = "", source: str = "close", **parameters: Any) -> Indicator:
        """Give an indicator that is updated before each `process_bar`; the same one when asked again.

        Best asked for in `start`. Asked for later it is fed the bars at hand, 500 at most.
        """
        if timeframe and timeframe != self.timeframe:
            return self.higher(timeframe).indicator(name, source=source, **parameters)
        return self._indicators.get(name, source, parameters)

    def higher(self, timeframe: str) -> HigherTimeframe:
        """Give a longer timeframe built from these bars; only its complete bars are seen."""
        held = self._higher.get(timeframe)
        if held is None:
            if TIMEFRAMES.get(timeframe, 0) <= TIMEFRAMES[self.timeframe]:
                raise Refused(f"timeframe {timeframe!r} is not longer than {self.timeframe!r}")
            held = self._higher[timeframe] = HigherTimeframe(timeframe, self._sessions)
            for bar in self._indicators.recent:
                held.add(bar)
        return held

    def bars(self, count: int) -> list[OHLCVBar]:
        """The last closed bars, the current one included, oldest first; 500 at most."""
        if count > HISTORY_BARS_MAX:
            raise Refused(f"{count} bars asked for; the context keeps {HISTORY_BARS_MAX}")
        return list(self._indicators.recent)[-count:] if count > 0 else []

    @property
    def session(self) -> Session | None:
        """Today's trading hours; None on a date the calendar says is closed."""
        return self._session

    @property
    def now_us(self) -> int:
        """The end of the current bar: the instant it is decided at."""
        if self.bar is None:
            return 0
        return self.bar.timestamp_us + self._bar_us if self._bar_us else self._close_us

    @property
    def minutes_since_open(self) -> float:
        """Minutes of the session that are over."""
        return (self.now_us - self._open_us) / US_PER_MINUTE

    @property
    def minutes_to_close(self) -> float:
        """Minutes of the session that are left."""
        return (self._close_us - self.now_us) / US_PER_MINUTE

    def closes_within(self, minutes: int) -> bool:
        """Whether so many minutes, or fewer, are left of an intraday session; never for 0 minutes or day bars."""
        left_us = self._close_us - self.bar.timestamp_us - self._bar_us if self.bar else 0
        return minutes > 0 and self._bar_us > 0 and left_us <= minutes * US_PER_MINUTE

    @cached_property
    def random(self) -> random.Random:
        """Chance with a seed of its own: the same in every replay of the day."""
        day = trading_date(self.bar.timestamp_us) if self.bar else ""
        return random.Random(f"{self.strategy_id}|{self.exchange}|{self.symbol}|{day}")  # noqa: S311 - not a secret

    def enter_long(
        self,
        *,
        confidence: float = 1.0,
        stop: float | None = None,
        target: float | None = None,
        leg: int = 0,
        **metadata: Any,
    ) -> SignalEvent:
        """Say: buy. `stop` and `target` are prices."""
        return self._signal(_ENTER_LONG, confidence, stop, target, leg, metadata)

    def enter_short(
        self,
        *,
        confidence: float = 1.0,
        stop: float | None = None,
        target: float | None = None,
        leg: int = 0,
        **metadata: Any,
    ) -> SignalEvent:
        """Say: sell short."""
        return self._signal(_ENTER_SHORT, confidence, stop, target, leg, metadata)

    def exit_long(self, *, confidence: float = 1.0, leg: int = 0, **metadata: Any) -> SignalEvent:
        """Say: leave the long position."""
        return self._signal(_EXIT_LONG, confidence, None, None, leg, metadata)

    def exit_short(self, *, confidence: float = 1.0, leg: int = 0, **metadata: Any) -> SignalEvent:
        """Say: leave the short position."""
        return self._signal(_EXIT_SHORT, confidence, None, None, leg, metadata)

    def go_long(self, **how: Any) -> list[SignalEvent]:
        """Be long: nothing when it is, an exit first when short. Takes what `enter_long` takes."""
        direction = self.position.direction
        if direction > 0:
            return []
        return [*self.go_flat("reversal"), self.enter_long(**how)] if direction else [self.enter_long(**how)]

    def go_short(self, **how: Any) -> list[SignalEvent]:
        """Be short: nothing when it is, an exit first when long. Takes what `enter_short` takes."""
        direction = self.position.direction
        if direction < 0:
            return []
        return [*self.go_flat("reversal"), self.enter_short(**how)] if direction else [self.enter_short(**how)]

    def go_flat(self, reason: str = "") -> list[SignalEvent]:
        """Be flat: nothing when it is."""
        direction = self.position.direction
        if not direction:
            return []
        kind = _EXIT_LONG if direction > 0 else _EXIT_SHORT
        return [self._signal(kind, 1.0, None, None, 0, {"reason": reason})]

    def made_here(self, signal: SignalEvent) -> bool:
        """Whether this context made the signal on the current bar: then its identity is true, and frozen."""
        if self.bar is None or signal.timestamp_us != self.bar.timestamp_us or not self._made:
            return False
        return signal is self._made[-1] or any(signal is made for made in self._made)

    def _signal(
        self,
        kind: SignalType,
        confidence: float,
        stop: float | None,
        target: float | None,
        leg: int,
        metadata: dict[str, Any],
    ) -> SignalEvent:
        bar = self.bar
        if bar is None:
            raise Refused(f"strategy {self.strategy_id!r} signals before its first bar")
        # The price it was decided at: what the implied position is restored from.
        metadata["price"] = bar.close
        signal = SignalEvent(
            self.names.name(bar.timestamp_us, kind, leg),
            self.strategy_id,
            self.symbol,
            bar.timestamp_us,
            kind,
            confidence,
            metadata,
            exchange=self.exchange,
            timeframe=self.timeframe,
            stop=stop,
            target=target,
            leg=leg,
            strategy_version=self.version,
        )
        self._made.append(signal)
        return signal

    def _new_day(self, timestamp_us: int) -> None:
        day = trading_date(timestamp_us)
        self._day_end_us = day_start_us(day) + US_PER_DAY
        self._session = self._sessions(day)
        if self._session is not None:
            self._open_us, self._close_us = self._session.open_us, self._session.close_us
