"""One strategy instance on one symbol: its object, its context, its history, its implied position."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.contracts import TIMEFRAMES, OHLCVBar
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, day_start_us, trading_date
from libs.core.errors import Refused
from libs.strategies import BaseStrategy, StrategyContext
from libs.strategies.interface import parameters_of, parameters_text
from libs.strategies.position import FLAT, Position

WARMUP_BARS_MAX = 5000


class StrategyInstance(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy as configured. Its `name` is the `strategy_id` of its signals; the strategy's own id by default."""

    strategy: str
    symbols: tuple[str, ...]
    name: str = ""
    timeframe: str = "1m"
    exchange: str = "nse"
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def instance(self) -> str:
        """The name of its signals."""
        return self.name or self.strategy


class FaultKind(StrEnum):
    """What a strategy did."""

    CONFIGURATION = "configuration"
    RAISED = "raised"
    BAD_SIGNAL = "bad_signal"
    SLOW = "slow"


class StrategyFault(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy did something wrong. `where` is file and line in the strategy, where there is one."""

    instance: str
    symbol: str
    timestamp_us: int
    kind: FaultKind
    reason: str
    where: str = ""
    #: It is left out for the rest of the day; where the suspension is kept (`withhold`), until it is lifted.
    suspended: bool = False


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Time a strategy may take for a bar; so many bars in a row above it suspend it."""

    per_bar_ms: Annotated[float, Meta(gt=0)] = 50.0
    overruns_max: Annotated[int, Meta(ge=1)] = 3


class Withheld(msgspec.Struct, frozen=True):
    """A suspension that outlives its process: from a bar on, until one or, with None, until it is lifted."""

    from_us: int
    until_us: int | None = None


class Identity(msgspec.Struct, frozen=True):
    """What an instance runs: a class of a file, a version, the bars and the parameters."""

    name: str
    version: str
    timeframe: str
    parameters: str
    source: str


class Slot:
    """State of one instance on one symbol, bounded: the history of its warm-up and what the strategy keeps."""

    def __init__(
        self,
        spec: StrategyInstance,
        symbol: str,
        kind: type[BaseStrategy[Any]],
        sessions: Callable[[date], Session | None],
    ) -> None:
        if spec.timeframe not in TIMEFRAMES:
            raise Refused(f"timeframe {spec.timeframe!r}; expected one of {', '.join(TIMEFRAMES)}")
        self.instance, self.symbol = spec.instance, symbol
        self.timeframe, self.exchange = spec.timeframe, spec.exchange
        self.version = str(kind.version)
        #: The file it is written in: a fault is looked for there.
        self.source = str(getattr(sys.modules.get(kind.__module__), "__file__", "") or "")
        self._kind, self._sessions = kind, sessions
        self._parameters = parameters_of(kind, spec.parameters)
        self.parameters = parameters_text(self._parameters)
        self.strategy = self._new_strategy()
        self.warmup_bars = int(self.strategy.warmup_bars)
        if not 0 <= self.warmup_bars <= WARMUP_BARS_MAX:
            raise Refused(f"warmup_bars is {self.warmup_bars}; expected 0 to {WARMUP_BARS_MAX}")
        self.history: deque[OHLCVBar] = deque(maxlen=self.warmup_bars)
        self.position: Position = FLAT
        #: Whether the position has a stop or a target to watch.
        self.is_guarded = False
        self.last_us = -1
        self.day_end_us = 0
        self.seen = 0
        self.overruns = 0
        self.suspended = False
        #: Suspensions of this day or still lasting, oldest first.
        self.withheld: tuple[Withheld, ...] = ()
        self.context = self._new_context()
        self.process: Callable[[OHLCVBar, StrategyContext], object] = self.strategy.process_bar

    def begin_day(self, timestamp_us: int, *, daily_anchor: bool) -> None:
        """Start the strategy anew from the bars before the day, as a restart would; or go on where it is."""
        first = self.day_end_us == 0
        self.day_end_us = day_start_us(trading_date(timestamp_us)) + US_PER_DAY
        if daily_anchor or first:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Make the strategy anew and show it the history."""
        self.suspended = False
        self.overruns = 0
        self.seen = len(self.history)
        self.strategy = self._new_strategy()
        self.process = self.strategy.process_bar
        self.context = context = self._new_context()
        context.is_warming = True
        self.strategy.start(context)
        for bar in self.history:
            context.advance(bar)
            self.process(bar, context)
        context.is_warming = False
        context.position = self.position

    @property
    def identity(self) -> Identity:
        """What runs here."""
        return Identity(self._kind.__qualname__, self.version, self.timeframe, self.parameters, self.source)

    def is_withheld(self, timestamp_us: int) -> bool:
        """Whether a bar lies in a suspension."""
        return any(
            each.from_us <= timestamp_us and (each.until_us is None or timestamp_us < each.until_us)
            for each in self.withheld
        )

    def hold(self, position: Position) -> None:
        """Take the position the signals up to now imply."""
        self.position = self.context.position = position
        self.is_guarded = position.stop is not None or position.target is not None

    def _new_strategy(self) -> BaseStrategy[Any]:
        # A user's strategy may have an __init__ of its own that takes nothing.
        return self._kind(self._parameters) if self._parameters.__struct_fields__ else self._kind()

    def _new_context(self) -> StrategyContext:
        return StrategyContext(
            symbol=self.symbol,
            strategy_id=self.instance,
            timeframe=self.timeframe,
            exchange=self.exchange,
            version=self.version,
            parameters=self.parameters,
            sessions=self._sessions,
        )
