"""A run without its minutes: what plain orders do to an account that no limit holds back, straight from the wishes.

For sweeps, where the loop's care for every order costs a hundred times what is asked. It knows market orders for a
fixed quantity or value, filled whole at the next open, and the square-off; whatever else a run may ask for is refused
(`NotOutright`), and limits are left to the caller, who looks afterwards whether one could have come into play.
What it says is trusted only where it was equal to the loop on a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from libs.contracts.orders import OrderType, Side
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, trading_date
from libs.core.money import UNITS_PER_RUPEE
from libs.orders.fills import FillSettings, Resting, slipped
from libs.orders.instrument import Instrument
from libs.orders.model import Product
from libs.settings.risk import Risk
from libs.trading.columns import Columns
from libs.trading.exits import NEVER_US, ExitRules
from libs.trading.plan import Plan
from libs.trading.replay import days_of
from libs.trading.sizing import FixedQuantity, FixedValue, size
from libs.trading.vector_host import Lane, NotOutright, VectorHost


class Deal(NamedTuple):
    """One fill. `phase` 0 at the open, 1 the square-off; `signed` is bought above 0."""

    minute_us: int
    phase: int
    symbol: str
    signed: int
    price: float


class Asked(NamedTuple):
    """One order that was sent, filled or not. `units`: the last price then, in ten-thousandths."""

    at_us: int
    symbol: str
    is_entry: bool
    quantity: int
    units: int


class Book(NamedTuple):
    """What the account did: fills in the loop's order, and every order."""

    deals: list[Deal]
    asked: list[Asked]


class Terms(NamedTuple):
    """What a run is traded on."""

    plan: Plan
    fills: FillSettings
    risk: Risk
    instruments: dict[str, Instrument]
    session_of: Callable[[date], Session | None]
    bar_us: int


def check_plain(plan: Plan, fills: FillSettings) -> None:
    """Refuse what cannot be worked out so."""
    if not isinstance(plan.sizing, (FixedQuantity, FixedValue)):
        raise NotOutright(f"a size of {type(plan.sizing).__name__} follows the account")
    if plan.exits != ExitRules(square_off=plan.exits.square_off):
        raise NotOutright("the account has exits of its own")
    if fills.participation_percent_max < 100:
        raise NotOutright("orders may fill in part")


def trade_outright(columns: Sequence[Columns], host: VectorHost, terms: Terms) -> Book:
    """Work out every symbol by itself, and put the fills into the order the loop has them."""
    check_plain(terms.plan, terms.fills)
    book = Book([], [])
    for each in columns:
        if len(each) > 1 and int(np.diff(each.timestamps).min()) < terms.bar_us:
            raise NotOutright(f"bars of {each.symbol} overlap")
        account = _Account(each.symbol, terms, book)
        row = 0
        for (day,) in days_of([each]):
            account.run_day(host.lane(day, row))
            row += len(day)
    book.deals.sort(key=lambda deal: deal[:3])
    book.asked.sort(key=lambda order: order[:2])
    return book


class _Account:
    """One strategy in one symbol: what its signals imply, what is held, and what waits for the next bar."""

    def __init__(self, symbol: str, terms: Terms, book: Book) -> None:
        self._symbol, self._terms, self._book = symbol, terms, book
        self._instrument = terms.instruments[symbol]
        self._implied = self._held = 0
        self._waiting: list[int] = []
        self._waiting_row = 0

    def run_day(self, lane: Lane) -> None:
        """Visit the bars on which something can happen, as `VectorHost.decide` and the loop do."""
        day = _Day(lane, self._terms)
        squares_from = day.squares_from
        for row in day.rows:
            if self._waiting:
                self._fill(day)
            if self._held and row >= squares_from:
                self._square_off(day, row)
            self._decide(day, row)
        if self._waiting:
            self._fill(day)

    def _decide(self, day: _Day, row: int) -> None:
        implied, side = self._implied, 0
        if row < day.closing:
            side = day.side[row]
        if row >= day.closing or (side < 0 and not day.allows_short):
            if implied:
                self._implied = 0
                self._leave(day, row, implied)
        elif side:
            if side != implied:
                self._implied = side
                if implied:
                    self._leave(day, row, implied)
                self._enter(day, row, side)
        elif implied and day.leaves(row, implied):
            self._implied = 0
            self._leave(day, row, implied)

    def _leave(self, day: _Day, row: int, direction: int) -> None:
        if self._held * direction > 0:
            self._ask(day, row, -self._held, is_entry=False)

    def _enter(self, day: _Day, row: int, direction: int) -> None:
        if self._held * direction > 0:
            return
        if self._held and not self._waiting:  # the strategy thinks it is flat: the entry closes what is there
            self._ask(day, row, -self._held, is_entry=False)
        if direction < 0 and self._terms.plan.product is Product.DELIVERY:
            return  # shares cannot be sold short for delivery
        close = day.closes[row]
        quantity = size(self._terms.plan.sizing, price=close, equity_paise=1, lot=self._instrument.lot_size)
        if quantity:
            self._ask(day, row, direction * quantity, is_entry=True)

    def _ask(self, day: _Day, row: int, signed: int, *, is_entry: bool) -> None:
        now_us = day.stamps[row] + self._terms.bar_us
        if not day.is_open(now_us) or (is_entry and now_us >= day.last_entry_us):
            return
        self._waiting.append(signed)
        self._waiting_row = row
        units = round(day.closes[row] * UNITS_PER_RUPEE)
        self._book.asked.append(Asked(now_us, self._symbol, is_entry, abs(signed), units))

    def _fill(self, day: _Day) -> None:
        row = self._waiting_row + 1
        waiting, self._waiting = self._waiting, []
        if row >= len(day.stamps):
            return  # the day ended first
        for signed in waiting:
            self._deal(day, row, signed, 0)
        if self._held and row >= day.squares_from:
            self._square_off(day, row)

    def _square_off(self, day: _Day, row: int) -> None:
        at_us = day.stamps[row]
        if not day.is_open(at_us):
            raise NotOutright(f"{self._symbol} is to be squared off at {at_us}, when the market is closed")
        units = round(day.closes[row] * UNITS_PER_RUPEE)
        self._book.asked.append(Asked(at_us, self._symbol, is_entry=False, quantity=abs(self._held), units=units))
        self._deal(day, row, -self._held, 1)

    def _deal(self, day: _Day, row: int, signed: int, phase: int) -> None:
        tick_size = self._instrument.tick_size
        price = _price(day.opens[row], signed > 0, tick_size, self._terms.fills)
        self._held += signed
        self._book.deals.append(Deal(day.stamps[row], phase, self._symbol, signed, price))


class _Day:
    """One symbol's day as plain lists, with the hours that count."""

    def __init__(self, lane: Lane, terms: Terms) -> None:
        bars = lane.bars
        session = terms.session_of(trading_date(bars.timestamps.item(0)))
        self._spans = session.spans if session else ()
        self.stamps, self.opens, self.closes = bars.timestamps.tolist(), bars.open.tolist(), bars.close.tolist()
        self.last_entry_us = session.close_us - terms.risk.last_entry_before_close_min * US_PER_MINUTE if session else 0
        square_off_us = NEVER_US
        if session and terms.plan.exits.square_off:
            square_off_us = session.close_us - terms.risk.square_off_before_close_min * US_PER_MINUTE
        self.squares_from = int(bars.timestamps.searchsorted(square_off_us))
        self.allows_short = bool(lane.slot.strategy.parameters.allow_short)
        sides, self._leave_long, self._leave_short = lane.wanted()
        self.closing = lane.closing
        happens = sides != 0
        for flags in (self._leave_long, self._leave_short):
            if flags is not None:
                happens = happens | flags
        for row in (self.closing, self.squares_from):
            if row < len(happens):
                happens[row] = True
        self.rows: list[int] = np.flatnonzero(happens).tolist()
        self.side: list[int] = sides.tolist()

    def is_open(self, at_us: int) -> bool:
        """Whether orders are taken."""
        return any(start <= at_us < end for start, end in self._spans)

    def leaves(self, row: int, direction: int) -> bool:
        """Whether a position in a direction is left."""
        flags = self._leave_long if direction > 0 else self._leave_short
        return flags is not None and bool(flags[row])


def _price(price: float, is_buy: bool, tick_size: float, fills: FillSettings) -> float:  # noqa: FBT001
    resting = Resting(
        order_id="", symbol="", side=Side.BUY if is_buy else Side.SELL, order_type=OrderType.MARKET, quantity=1,
        tick_size=tick_size,
    )  # fmt: skip
    return slipped(resting, price, fills)


__all__ = ["Asked", "Book", "Deal", "NotOutright", "Terms", "check_plain", "trade_outright"]
