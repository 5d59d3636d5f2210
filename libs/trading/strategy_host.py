"""Runs strategies over bars: in one order, one apart from the other, with the same signals after any restart."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from libs.contracts import OHLCVBar, SignalEvent, SignalType
from libs.contracts.sessions import Session
from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.strategies import BaseStrategy, registry
from libs.strategies.context import regular_session
from libs.strategies.position import Position, after, touched
from libs.trading.signal_check import BadSignal, checked, signal_order
from libs.trading.strategy_slot import (
    Budget,
    FaultKind,
    Identity,
    Slot,
    StrategyFault,
    StrategyInstance,
    Withheld,
)

FAULTS_KEPT_MAX = 1000
_SUSPENDED = "strategy suspended"


class StrategyHost:
    """Hosts strategy instances: bars in, signals out.

    **One code path for start, restart and the next morning.** A day's state is a function of the last `warmup_bars`
    bars before the day, of the position earlier days' signals imply, and of the day's bars. So: `warm_up` with the
    bars before today, `adopt` earlier days' stored signals, then `on_bars` from the open on; what comes out again has
    the ids it had. With `daily_anchor=False` indicators run on through the nights; signals then depend on where the
    run began.

    **Order.** The bars of one minute go to `on_bars` together; strategies run by (instance, symbol), and signals come
    out by (bar, instance, symbol, kind, leg), exits first.

    **Faults.** A strategy that raises, or returns what is no signal, is suspended on that symbol for the rest of the
    day and its implied position is left by an exit signal; the others go on. With a `clock` and a `budget` one that is
    too slow for several bars in a row is suspended likewise; a backtest gives no clock, because time is not the same
    twice. `take_faults` says what happened. What was slow once need not be slow again, so whoever runs a day twice
    tells the second host of the first one's suspensions (`withhold`): from that bar on it leaves the same ones out.
    """

    def __init__(
        self,
        instances: Iterable[StrategyInstance],
        *,
        sessions: Callable[[date], Session | None] = regular_session,
        clock: Clock | None = None,
        budget: Budget | None = None,
        daily_anchor: bool = True,
        find: Callable[[str], type[BaseStrategy[Any]]] = registry.find,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._budget = budget or Budget()
        self._budget_ns = int(self._budget.per_bar_ms * 1e6)
        self._daily_anchor = daily_anchor
        self._faults: deque[StrategyFault] = deque(maxlen=FAULTS_KEPT_MAX)
        self._slots: dict[tuple[str, str], Slot] = {}
        self._by_symbol: dict[str, list[tuple[int, Slot]]] = {}
        #: Bars that came again, or late, and were left out.
        self.bars_repeated = 0
        self._find = find
        for spec in instances:
            self._add(spec)
        for rank, (_, slot) in enumerate(sorted(self._slots.items())):
            self._by_symbol.setdefault(slot.symbol, []).append((rank, slot))

    def on_bars(self, bars: Sequence[OHLCVBar]) -> list[SignalEvent]:
        """Take the bars that closed together; give the signals in order. A bar that was seen before is left out."""
        if len(bars) == 1:  # nothing to put in order: a symbol's strategies are kept so
            return self.on_bar(bars[0])
        work = [
            (bar.timestamp_us, rank, slot, bar)
            for bar in bars
            for rank, slot in self._by_symbol.get(bar.symbol, ())
            if slot.timeframe == bar.timeframe and slot.exchange == bar.exchange
        ]
        if len(work) > 1:
            work.sort(key=lambda item: item[:2])
        signals: list[SignalEvent] = []
        for _, _, slot, bar in work:
            self._run(slot, bar, signals)
        return signals

    def on_bar(self, bar: OHLCVBar) -> list[SignalEvent]:
        """Take one bar."""
        signals: list[SignalEvent] = []
        for _, slot in self._by_symbol.get(bar.symbol, ()):
            if slot.timeframe == bar.timeframe and slot.exchange == bar.exchange:
                self._run(slot, bar, signals)
        return signals

    def warm_up(self, bars: Iterable[OHLCVBar]) -> None:
        """Take bars from before the first day, in time order; each instance keeps as many as it needs."""
        for bar in bars:
            for _, slot in self._by_symbol.get(bar.symbol, ()):
                if (
                    slot.timeframe == bar.timeframe
                    and slot.exchange == bar.exchange
                    and bar.timestamp_us > slot.last_us
                ):
                    slot.history.append(bar)
                    slot.last_us = bar.timestamp_us

    def adopt(self, signals: Iterable[SignalEvent]) -> None:
        """Take the stored signals of earlier days, in their order: what is held overnight follows from them."""
        for signal in signals:
            slot = self._slots.get((signal.strategy_id, signal.symbol))
            if slot is not None:
                slot.hold(after(slot.position, signal))

    def warmup_needed(self) -> dict[tuple[str, str, str], int]:
        """Say how many bars before the day each (exchange, symbol, timeframe) wants."""
        needed: dict[tuple[str, str, str], int] = {}
        for slot in self._slots.values():
            key = (slot.exchange, slot.symbol, slot.timeframe)
            needed[key] = max(needed.get(key, 0), slot.warmup_bars)
        return needed

    def positions(self) -> dict[tuple[str, str], Position]:
        """Give the implied position of every (instance, symbol) that is not flat."""
        return {key: slot.position for key, slot in self._slots.items() if not slot.position.is_flat}

    def suspended(self) -> list[tuple[str, str]]:
        """List the (instance, symbol) that are left out."""
        return [key for key, slot in self._slots.items() if slot.suspended]

    def withhold(self, instance: str, symbol: str, suspensions: Iterable[Withheld]) -> None:
        """Keep one suspended as an earlier process did, or until a bar; days do not end it.

        In a suspension its position is left and it sees no bar. After it, it begins anew from its history, so that
        what it says depends on the bars and on the suspensions only.
        """
        slot = self._slots.get((instance, symbol))
        if slot is not None:
            slot.withheld = tuple(suspensions)

    def identities(self) -> dict[tuple[str, str], Identity]:
        """Say what every (instance, symbol) runs."""
        return {key: slot.identity for key, slot in self._slots.items()}

    def take_faults(self) -> list[StrategyFault]:
        """Give what went wrong since the last call, oldest first; a thousand are kept."""
        taken = list(self._faults)
        self._faults.clear()
        return taken

    def _add(self, spec: StrategyInstance) -> None:
        for symbol in spec.symbols:
            key = (spec.instance, symbol)
            if key in self._slots:
                twice = Refused(f"instance {spec.instance!r} is configured twice for {symbol}; name one of them")
                self._note(spec.instance, symbol, 0, FaultKind.CONFIGURATION, twice, suspended=False)
                continue
            try:
                self._slots[key] = Slot(spec, symbol, self._find(spec.strategy), self._sessions)
            except Exception as e:  # noqa: BLE001 - one broken strategy never stops the others
                self._note(spec.instance, symbol, 0, FaultKind.CONFIGURATION, e, suspended=True)

    def _run(self, slot: Slot, bar: OHLCVBar, signals: list[SignalEvent]) -> None:
        if bar.timestamp_us <= slot.last_us:
            self.bars_repeated += 1
            return
        slot.last_us = bar.timestamp_us
        clock = self._clock
        started_ns = clock.monotonic_ns() if clock else 0
        try:
            if bar.timestamp_us >= slot.day_end_us:
                slot.begin_day(bar.timestamp_us, daily_anchor=self._daily_anchor)
                # Warming up takes many bars' time, once a day.
                started_ns = clock.monotonic_ns() if clock else 0
            slot.seen += 1
            if slot.is_guarded and (reason := touched(slot.position, bar)):
                # The engine leaves at its stop; the implied position does by a signal, so that it can be rebuilt.
                self._leave(slot, bar, f"{reason} touched", signals)
            if slot.withheld:
                self._withhold(slot, bar, signals)
            if not slot.suspended:
                context = slot.context
                context.advance(bar)
                returned = slot.process(bar, context)
                if clock:
                    self._watch(slot, bar, clock.monotonic_ns() - started_ns, signals)
                if returned and slot.seen > slot.warmup_bars and not slot.suspended:
                    self._accept(slot, bar, returned, signals)
        except BadSignal as e:
            self._suspend(slot, bar, FaultKind.BAD_SIGNAL, e, signals)
        except Exception as e:  # noqa: BLE001 - whatever a strategy raises is its own fault, and nobody else's
            self._suspend(slot, bar, FaultKind.RAISED, e, signals)
        slot.history.append(bar)

    def _withhold(self, slot: Slot, bar: OHLCVBar, signals: list[SignalEvent]) -> None:
        if not slot.is_withheld(bar.timestamp_us):
            if slot.suspended:
                slot.begin_anew()
                slot.seen += 1  # this bar
            return
        slot.suspended = True
        if slot.position.direction:
            self._leave(slot, bar, _SUSPENDED, signals)

    def _accept(self, slot: Slot, bar: OHLCVBar, returned: object, signals: list[SignalEvent]) -> None:
        new = checked(returned, bar, slot.context)
        last = signals[-1].signal_id if signals else ""
        for signal in new:
            if signal.signal_id != last:  # the exit at the stop, and the strategy's own on the same bar, are one
                signals.append(signal)
                slot.hold(after(slot.position, signal))

    def _leave(self, slot: Slot, bar: OHLCVBar, reason: str, signals: list[SignalEvent]) -> None:
        kind = SignalType.EXIT_LONG if slot.position.is_long else SignalType.EXIT_SHORT
        exit_ = SignalEvent("", slot.instance, slot.symbol, bar.timestamp_us, kind, metadata={"reason": reason})
        self._accept(slot, bar, exit_, signals)

    def _watch(self, slot: Slot, bar: OHLCVBar, taken_ns: int, signals: list[SignalEvent]) -> None:
        if taken_ns <= self._budget_ns:
            slot.overruns = 0
            return
        slot.overruns += 1
        reason = TimeoutError(
            f"took {taken_ns / 1e6:.1f} ms for a bar; {self._budget.per_bar_ms:g} ms are allowed "
            f"({slot.overruns} of {self._budget.overruns_max} in a row)"
        )
        if slot.overruns >= self._budget.overruns_max:
            self._suspend(slot, bar, FaultKind.SLOW, reason, signals)
        else:
            self._note(slot.instance, slot.symbol, bar.timestamp_us, FaultKind.SLOW, reason, suspended=False)

    def _suspend(
        self, slot: Slot, bar: OHLCVBar, kind: FaultKind, error: Exception, signals: list[SignalEvent]
    ) -> None:
        slot.suspended = True
        self._note(slot.instance, slot.symbol, bar.timestamp_us, kind, error, suspended=True, source=slot.source)
        if slot.position.direction:
            self._leave(slot, bar, _SUSPENDED, signals)

    def _note(
        self, instance: str, symbol: str, timestamp_us: int, kind: FaultKind, error: Exception, *, suspended: bool,
        source: str = "",
    ) -> None:  # fmt: skip
        frames = traceback.extract_tb(error.__traceback__) if kind is FaultKind.RAISED else []
        # What it called may have raised: the author looks for the line of the strategy's own file.
        own = [frame for frame in frames if frame.filename == source] or frames
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
        reason = str(error) if kind is not FaultKind.RAISED else f"{type(error).__name__}: {error}"
        self._faults.append(
            StrategyFault(
                instance=instance, symbol=symbol, timestamp_us=timestamp_us,
                kind=kind, reason=reason, where=where, suspended=suspended,
            )
        )  # fmt: skip


__all__ = [
    "Budget", "FaultKind", "Identity", "StrategyFault", "StrategyHost", "StrategyInstance", "Withheld", "signal_order",
]  # fmt: skip
