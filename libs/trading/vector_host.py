"""Hosts strategies by their vectorised form: the signals of `StrategyHost`, decided only where there may be one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from libs.contracts import OHLCVBar, SignalEvent
from libs.contracts.market import TIMEFRAMES
from libs.core.clock import US_PER_MINUTE, trading_date
from libs.indicators.columns import Integers, Remembering
from libs.indicators.sides import Sides
from libs.strategies.intraday import IntradayStrategy
from libs.strategies.position import after, touched
from libs.strategies.wishes import BarColumns, Flags, Wishes, tells_nothing
from libs.trading.columns import Columns
from libs.trading.ground import NotOutright
from libs.trading.strategy_host import StrategyHost
from libs.trading.strategy_slot import Slot
from libs.trading.views import Views

#: Later than any bar of a day.
NEVER = 1 << 60


class Course(NamedTuple):
    """The bars of one symbol on which a strategy wishes a side, and where a long and a short would be left.

    `flat_minutes`: it is out so long before the close, whatever it wishes.
    """

    rows: Integers
    sides: Sides
    leave_long: Flags | None
    leave_short: Flags | None
    allow_short: bool
    flat_minutes: int


class Lane:
    """One symbol's day: what its strategy wishes, and the next bar on which something may come of it."""

    __slots__ = (
        "_at", "_count", "_leave_at", "_may_leave", "_places", "_touch_at", "_wishes", "bars", "closing",
        "sides", "slot", "start", "tells",
    )  # fmt: skip

    def __init__(self, slot: Slot, wishes: Wishes, bars: Columns, start: int, closing: int, skip: int) -> None:
        """Take a day's bars; `start` is the place of the first in the wishes, `skip` how many come too early."""
        self.slot = slot
        self.bars = bars
        self.start = start
        self._wishes = wishes
        #: Whether entries are told anything.
        self.tells = wishes.how is not tells_nothing
        self._may_leave = wishes.leave_long is not None or wishes.leave_short is not None
        #: The first bar on which the strategy is out because the session ends.
        self.closing = closing
        count = self._count = len(bars)
        sides = wishes.side[start : start + count]
        places = np.flatnonzero(sides)
        if skip or closing < count:
            places = places[(places < closing) & (places >= skip)]
        rows: list[int] = places.tolist()
        #: What is wished, where it is and counts.
        self.sides: dict[int, int] = dict(zip(rows, sides[places].tolist(), strict=True))
        self._places = [*rows, NEVER]
        self._at = 0
        self._touch_at = self._leave_at = NEVER

    def how(self, row: int) -> dict[str, Any]:
        """Give what the entry on a bar is told."""
        return self._wishes.how(self.start + row)

    def leaves(self, row: int, direction: int) -> bool:
        """Whether the position would be left on a bar."""
        flags = self._wishes.leave_long if direction > 0 else self._wishes.leave_short
        return bool(direction) and flags is not None and bool(flags[self.start + row])

    @property
    def leave_reason(self) -> str:
        """Why it would be left."""
        return self._wishes.leave_reason

    def next_row(self, row: int) -> int:
        """Give the next bar after a row on which the strategy may say something."""
        places, at = self._places, self._at
        while places[at] <= row:
            at += 1
        self._at = at
        found, slot = places[at], self.slot
        direction = slot.position.direction
        if direction:
            if row < self.closing < self._count:
                found = min(found, self.closing)
            if self._may_leave:
                found = min(found, self._next_leave(row, direction))
            if slot.is_guarded:
                found = min(found, self._next_touch(row))
        return found

    def moved(self) -> None:
        """Forget what was found for the position there was."""
        self._touch_at = self._leave_at = NEVER

    def _next_leave(self, row: int, direction: int) -> int:
        flags = self._wishes.leave_long if direction > 0 else self._wishes.leave_short
        if flags is None:
            return NEVER
        if self._leave_at == NEVER or self._leave_at <= row:
            self._leave_at = first_true(flags[self.start + row + 1 : self.start + len(self.bars)], row + 1)
        return self._leave_at

    def _next_touch(self, row: int) -> int:
        if self._touch_at == NEVER or self._touch_at <= row:
            position, bars = self.slot.position, self.bars
            self._touch_at = first_reached(bars, row + 1, position.direction > 0, position.stop, position.target)
        return self._touch_at


def _end_to_end(parts: Sequence[Any]) -> Any:
    """Join the days' flags; None where a strategy has none of them."""
    return parts[0] if len(parts) == 1 or parts[0] is None else np.concatenate(parts)


def _rows(columns: BarColumns, start: int, end: int) -> BarColumns:
    if isinstance(columns, Remembering):
        return columns.part(start, end)
    return {name: column[start:end] for name, column in columns.items()}


def first_true(flags: Any, offset: int) -> int:
    """Give the place of the first true flag, counted from an offset."""
    if not len(flags):
        return NEVER
    at = int(flags.argmax())
    return at + offset if flags[at] else NEVER


def first_reached(bars: Columns, row: int, is_long: bool, stop: float | None, target: float | None) -> int:  # noqa: FBT001
    """Give the first bar from a row on that reaches the stop or the target."""
    down, up = (stop, target) if is_long else (target, stop)
    found = NEVER
    if down is not None:
        found = first_true(bars.low[row:] <= down, row)
    if up is not None:
        found = min(found, first_true(bars.high[row:] >= up, row))
    return found


class VectorHost(StrategyHost):
    """A `StrategyHost` whose strategies all have a vectorised form."""

    def prepare(self, columns: Iterable[Columns], warm_up: Iterable[Columns], views: Views | None = None) -> bool:
        """Take all bars of the run; False when a strategy has no such form, or there is more than one.

        `views` keep them for further runs over the same bars.
        """
        self._before: dict[str, Columns] = {}
        self._bars: dict[str, BarColumns] = {}
        self._whole: dict[str, Wishes] = {}
        slots = {slot.symbol: slot for slot in self._slots.values()}
        for each in warm_up:
            if each.symbol in slots:  # what the host's own warm-up would keep
                kept = min(len(each), slots[each.symbol].warmup_bars)
                self._before[each.symbol] = each.part(len(each) - kept, len(each))
        if len(slots) != len(self._slots):
            return False
        for each in columns:
            slot = slots.get(each.symbol)
            if slot is None or not isinstance(slot.strategy, IntradayStrategy):
                return False
            before = self._before.get(each.symbol)
            if views is not None:
                bars: BarColumns = views.ending(each.symbol, len(each) + (len(before) if before is not None else 0))
            else:
                bars = (before.joined(each) if before is not None else each).by_name()
            self._bars[each.symbol] = bars
            wishes = slot.strategy.wishes(_rows(bars, 0, 1) if self._daily_anchor else bars)
            if wishes is None:
                return False
            if not self._daily_anchor:
                self._whole[each.symbol] = wishes
        self._of = slots
        return True

    def lane(self, day: Columns, first_row: int) -> Lane:
        """Begin a symbol's day, whose first bar is that row of the run."""
        slot = self._of[day.symbol]
        wishes, start, skip = self._wishes_from(slot, first_row, len(day))
        return Lane(slot, wishes, day, start, self._closing_row(slot, day), skip)

    def course(self, bars: Columns, day_rows: Integers) -> Course:
        """Give the wishes on all bars of the run at once; days begin at those rows. Refuse stops and targets."""
        slot = self._of[bars.symbol]
        if not self._daily_anchor:
            parts = [self._part(slot, 0, len(bars))]
        else:
            edges = day_rows.tolist()
            parts = [self._part(slot, row, end - row) for row, end in pairwise(edges)]
        parameters: Any = slot.strategy.parameters
        rows, sides, leave_long, leave_short = (_end_to_end(column) for column in zip(*parts, strict=True))
        return Course(
            rows, sides, leave_long, leave_short, parameters.allow_short, parameters.flat_before_close_minutes
        )

    def _part(self, slot: Slot, first_row: int, count: int) -> tuple[Integers, Sides, Flags | None, Flags | None]:
        wishes, start, skip = self._wishes_from(slot, first_row, count)
        places = wishes.wished(start + skip, start + count)
        if wishes.how is not tells_nothing:
            told = map(wishes.how, places.tolist())
            if any(how.get("stop") is not None or how.get("target") is not None for how in told):
                raise NotOutright("an entry of the strategy has a stop or a target")
        leave_long, leave_short = (
            flags[start : start + count] if flags is not None else None
            for flags in (wishes.leave_long, wishes.leave_short)
        )
        return places + (first_row - start), wishes.side[places], leave_long, leave_short

    def _wishes_from(self, slot: Slot, first_row: int, count: int) -> tuple[Wishes, int, int]:
        """Give wishes, the place in them of a row of the run, and how many bars from there on come too early."""
        before = len(self._before.get(slot.symbol, ()))
        row = first_row + before
        if self._daily_anchor:
            seen = min(row, slot.warmup_bars)
            wishes, start = self._wish(slot, _rows(self._bars[slot.symbol], row - seen, row + count)), seen
        else:
            seen = first_row + min(before, slot.warmup_bars)
            wishes, start = self._whole[slot.symbol], row
        return wishes, start, max(0, slot.warmup_bars - seen)

    def decide(self, lane: Lane, row: int, bar: OHLCVBar, signals: list[SignalEvent]) -> None:
        """Do on one bar what `on_bar` does."""
        slot = lane.slot
        before, context = slot.position, slot.context
        context.bar = bar
        is_ours = True
        if slot.is_guarded and (reason := touched(before, bar)):
            self._leave(slot, bar, f"{reason} touched", signals)
            is_ours = False  # its own exit on the same bar may be the very same signal
        returned: list[SignalEvent] = []
        if row >= lane.closing:
            returned = context.go_flat("session ends")
        elif side := lane.sides.get(row):
            strategy: Any = slot.strategy
            how = lane.how(row) if lane.tells else {}
            returned = strategy.go(side, context, **how)
            is_ours = is_ours and not how and type(strategy).go is IntradayStrategy.go
        elif lane.leaves(row, slot.position.direction):
            returned = context.go_flat(lane.leave_reason)
        if is_ours:  # the context made them, of nothing that could be wrong
            for signal in returned:
                signals.append(signal)
                slot.hold(after(slot.position, signal))
        elif returned:
            self._accept(slot, bar, returned, signals)
        if slot.position is not before:
            lane.moved()

    def _wish(self, slot: Slot, columns: BarColumns) -> Wishes:
        wishes = slot.strategy.wishes(columns)
        assert wishes is not None  # `prepare` asked
        return wishes

    def _closing_row(self, slot: Slot, day: Columns) -> int:
        """Give the first bar on which the strategy is flat because the session ends."""
        strategy: Any = slot.strategy
        minutes = strategy.parameters.flat_before_close_minutes
        session = self._sessions(trading_date(int(day.timestamps[0]))) if minutes else None
        if session is None:
            return NEVER
        last_us = session.close_us - minutes * US_PER_MINUTE - TIMEFRAMES[slot.timeframe] * US_PER_MINUTE
        return int(np.searchsorted(day.timestamps, last_us))
