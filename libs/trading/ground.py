"""One symbol's bars, and what a day's hours allow on each: worked out once for all runs over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from libs.contracts.orders import OrderType, Side
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, trading_date
from libs.core.errors import Refused
from libs.core.money import UNITS_PER_RUPEE
from libs.indicators.columns import Floats, Integers, session_days
from libs.orders.fills import FillSettings, Resting, slipped
from libs.orders.instrument import Instrument
from libs.settings.risk import Risk
from libs.strategies.wishes import Flags
from libs.trading.columns import Columns
from libs.trading.exits import NEVER_US
from libs.trading.plan import Plan


class NotOutright(Refused):
    """The run asks for more than plain orders; the loop can do it."""


class Terms(NamedTuple):
    """What a run is traded on."""

    plan: Plan
    fills: FillSettings
    risk: Risk
    instruments: dict[str, Instrument]
    session_of: Callable[[date], Session | None]
    bar_us: int


class Closing(NamedTuple):
    """When a strategy is out because the session ends: the first such bar of every day, and all of them."""

    rows: Integers
    flags: Flags


class Ground:
    """Flags and prices by row of one symbol's bars. Orders are sent at a bar's close, and fill at the next open."""

    def __init__(self, bars: Columns, terms: Terms) -> None:
        stamps = bars.timestamps
        if len(bars) > 1 and int(np.diff(stamps).min()) < terms.bar_us:
            raise NotOutright(f"bars of {bars.symbol} overlap")
        self.bars = bars
        self.instrument = terms.instruments[bars.symbol]
        self.units = np.rint(bars.close * UNITS_PER_RUPEE).astype(np.int64)
        edges = np.flatnonzero(np.diff(session_days(stamps))) + 1
        #: The first row of every day, and behind them the number of rows.
        self.day_rows = np.concatenate([[0], edges, [len(stamps)]])
        self._bar_us = terms.bar_us
        self._sessions = [terms.session_of(trading_date(stamps.item(row))) for row in self.day_rows[:-1].tolist()]
        #: Whether the market takes orders as the bar begins, and as it ends; whether entries are still made then.
        self.opens = self._is_open(stamps)
        self.takes = self._is_open(stamps + terms.bar_us)
        last_us = self._before_close(terms.risk.last_entry_before_close_min, without=0)
        self.enters = self.takes & (stamps + terms.bar_us < last_us)
        #: Whether a bar of the same day follows.
        self.goes_on = np.ones(len(stamps), dtype=np.bool_)
        self.goes_on[self.day_rows[1:] - 1] = False
        #: The bars at whose open every position goes.
        self.squares = Closing(np.empty(0, np.int64), np.zeros(len(stamps), dtype=np.bool_))
        if terms.plan.exits.square_off:
            squares = self._closing(self._before_close(terms.risk.square_off_before_close_min, without=NEVER_US))
            self.squares = Closing(np.union1d(squares.rows, self._mornings_after(squares.flags)), squares.flags)
        # What is looked up of a row lies side by side: it comes from far away, and so comes once.
        self._told = np.empty((len(stamps), 2), dtype=np.int64)
        self._told[:, 0], self._told[:, 1] = stamps, self.units
        self._fills = terms.fills
        #: What sales fill at, and behind that what purchases do.
        self._prices = np.tile(self._plain_prices(), 2)
        self._closings: dict[int, Closing] = {}

    def closing(self, minutes: int) -> Closing:
        """Give the bars so near to the close that a strategy stays out; 0 minutes: none."""
        if minutes not in self._closings:
            last_us = np.full(len(self.bars), NEVER_US)
            if minutes:
                last_us = self._before_close(minutes, without=NEVER_US) - self._bar_us
            self._closings[minutes] = self._closing(last_us)
        return self._closings[minutes]

    def at(self, rows: Integers) -> tuple[Integers, Integers]:
        """Give the instants at which rows begin, and their closes in ten-thousandths."""
        found = self._told.take(rows, axis=0)
        return found[:, 0], found[:, 1]

    def prices(self, rows: Integers, buys: Flags) -> Floats:
        """Give what market orders to buy and to sell fill at, at the open of rows, as `slipped` says."""
        places = rows + len(self.bars) * buys
        found = self._prices.take(places)
        for at in np.flatnonzero(np.isnan(found)).tolist():
            row, side = int(rows[at]), Side.BUY if buys[at] else Side.SELL
            resting = Resting(
                order_id="", symbol="", side=side, order_type=OrderType.MARKET, quantity=1,
                tick_size=self.instrument.tick_size,
            )  # fmt: skip
            found[at] = self._prices[places[at]] = slipped(resting, self.bars.open.item(row), self._fills)
        return found

    def _plain_prices(self) -> Floats:
        """Give the opens that are prices to fill at as they are, and NaN for the others: most are, and cost nothing."""
        opens = self.bars.open
        tick_units = round(self.instrument.tick_size * UNITS_PER_RUPEE)
        if self._fills.slippage_ticks or self._fills.slippage_basis_points or tick_units < 1:
            return np.full(len(opens), np.nan)
        units = np.rint(opens * UNITS_PER_RUPEE)
        is_plain = (units / UNITS_PER_RUPEE == opens) & (units % tick_units == 0) & (units > 0)
        return np.where(is_plain, opens, np.nan)

    def _is_open(self, at_us: Integers) -> Flags:
        """Tell of every row whether its session is open at an instant."""
        flags = np.zeros(len(at_us), dtype=np.bool_)
        for turn in range(max((len(each.spans) for each in self._sessions if each), default=0)):
            spans = [each.spans[turn] if each and len(each.spans) > turn else (0, 0) for each in self._sessions]
            start, end = (self._by_row(edge) for edge in zip(*spans, strict=True))
            flags |= (start <= at_us) & (at_us < end)
        return flags

    def _before_close(self, minutes: int, *, without: int) -> Integers:
        """Give of every row the instant so long before its session's close; `without` where there is no session."""
        return self._by_row([each.close_us - minutes * US_PER_MINUTE if each else without for each in self._sessions])

    def _by_row(self, of_days: Sequence[int]) -> Integers:
        return np.repeat(np.array(of_days, dtype=np.int64), np.diff(self.day_rows))

    def _mornings_after(self, flags: Flags) -> Integers:
        """Give the first bars behind days that had no bar any more by their square-off."""
        ends = self.day_rows[1:-1]
        mornings: Integers = ends[~flags[ends - 1]]
        return mornings

    def _closing(self, from_us: Integers) -> Closing:
        flags = self.bars.timestamps >= from_us
        if not flags.any():
            return Closing(np.empty(0, np.int64), flags)
        firsts = np.flatnonzero(np.diff(flags, prepend=False) & flags)
        # A day that is closed from its first bar on follows one that was, too.
        starts = self.day_rows[:-1]
        return Closing(np.union1d(firsts, starts[flags[starts]]), flags)
