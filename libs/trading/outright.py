"""A run without its minutes: what plain orders do to an account that no limit holds back, straight from the wishes.

For sweeps, where the loop's care for every order costs a hundred times what is asked. It knows market orders for a
fixed quantity or value, filled whole at the next open, and the square-off; whatever else a run may ask for is refused
(`NotOutright`), and limits are left to the caller, who looks afterwards whether one could have come into play.
What it says is trusted only where it was equal to the loop on a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from libs.contracts.orders import Side
from libs.core.money import PAISE_PER_RUPEE, UNITS_PER_PAISA
from libs.indicators.columns import Floats, Integers
from libs.orders.fills import FillSettings
from libs.orders.model import Product
from libs.trading.exits import ExitRules
from libs.trading.ground import Closing, Ground, NotOutright, Terms
from libs.trading.plan import Plan
from libs.trading.sizing import FixedQuantity, FixedValue
from libs.trading.vector_host import NEVER, Course, VectorHost

#: What stands for a square-off among the moves.
_SQUARE = 9
_LEAVE, _ENTER, _SQUARE_OFF = 0, 1, 2


class Book(NamedTuple):
    """What an account did, as columns in the loop's order: its fills, and every order it sent, filled or not.

    Symbols are places in the list of grounds. `signed` is bought above 0. The fills of one symbol open and close by
    turns. `asked_units`: the last price when an order was sent, in ten-thousandths.
    """

    symbol: Integers
    at_us: Integers
    signed: Integers
    prices: Floats
    asked_symbol: Integers
    asked_us: Integers
    asked_quantity: Integers
    asked_units: Integers
    is_entry: Integers


class _Moves(NamedTuple):
    """Where a strategy changes what its signals imply: the rows, and the directions before and after."""

    rows: Integers
    before: Integers
    after: Integers


def check_plain(plan: Plan, fills: FillSettings) -> None:
    """Refuse what cannot be worked out so."""
    if not isinstance(plan.sizing, (FixedQuantity, FixedValue)):
        raise NotOutright(f"a size of {type(plan.sizing).__name__} follows the account")
    if plan.exits != ExitRules(square_off=plan.exits.square_off):
        raise NotOutright("the account has exits of its own")
    if fills.participation_percent_max < 100:
        raise NotOutright("orders may fill in part")


def trade_outright(grounds: Sequence[Ground], host: VectorHost, terms: Terms) -> Book:
    """Work out every symbol by itself, and put fills and orders into the order the loop has them."""
    check_plain(terms.plan, terms.fills)
    filled, asked, prices = [], [], []
    for place, ground in enumerate(grounds):
        account = _Account(ground, terms)
        account.trade(_moves(host.course(ground.bars, ground.day_rows), ground))
        filled.append(account.filled(place))
        asked.append(account.asked(place))
        prices.append(account.prices(filled[-1]))
    fills, orders = np.concatenate(filled, axis=1), np.concatenate(asked, axis=1)
    price = np.concatenate(prices)
    if len(grounds) > 1:
        ranks = np.argsort(np.argsort([ground.bars.symbol for ground in grounds]))
        order = np.lexsort((ranks[fills[0]], fills[2], fills[1]))
        fills, price = fills[:, order], price[order]
        orders = orders[:, np.lexsort((ranks[orders[0]], orders[1]))]
    return Book(fills[0], fills[1], fills[3], price, *orders)


def _moves(course: Course, ground: Ground) -> _Moves:
    """Do what `VectorHost.decide` does, for all bars at once."""
    closing = ground.closing(course.flat_minutes)
    rows = np.flatnonzero(course.side)
    rows = rows[~closing.flags[rows]]
    sides = course.side[rows].astype(np.int64)
    if not course.allow_short:
        np.maximum(sides, 0, out=sides)
    if len(closing.rows):
        rows, sides = _merged(rows, sides, closing.rows, 0)
    if course.leave_long is not None or course.leave_short is not None:
        return _with_leaves(course, rows, sides)
    before = np.concatenate([[0], sides[:-1]])
    turned = before != sides
    return _Moves(rows[turned], before[turned], sides[turned])


def _with_leaves(course: Course, rows: Integers, sides: Integers) -> _Moves:
    """Add the bars on which a position is left, whichever comes first after it was taken."""
    leave_at = np.full(len(rows), NEVER)
    for side, flags in ((1, course.leave_long), (-1, course.leave_short)):
        if flags is not None:
            places = np.append(np.flatnonzero(flags), NEVER)
            own = sides == side
            leave_at[own] = places[np.searchsorted(places, rows[own], side="right")]
    moves: list[tuple[int, int, int]] = []
    implied, until = 0, NEVER
    for row, side, leave in zip(rows.tolist(), sides.tolist(), leave_at.tolist(), strict=True):
        if implied and until < row:
            moves.append((until, implied, 0))
            implied = 0
        if side != implied:
            moves.append((row, implied, side))
            implied = side
        until = leave
    if implied and until != NEVER:
        moves.append((until, implied, 0))
    return _Moves(*np.array(moves, dtype=np.int64).reshape(-1, 3).T)


def _merged(rows: Integers, values: Integers, further: Integers, value: int) -> tuple[Integers, Integers]:
    """Put further rows with one value among rows; they stand first where the rows are the same."""
    joined = np.concatenate([further, rows])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([np.full(len(further), value), values])[order]


class _Account:
    """One strategy in one symbol: what is held, and what it asks for."""

    def __init__(self, ground: Ground, terms: Terms) -> None:
        self._ground = ground
        self._terms = terms
        #: By fill: row, 1 for a square-off, quantity signed. By order: row, what it is, quantity.
        self._fills: list[tuple[int, int, int]] = []
        self._asked: list[tuple[int, int, int]] = []

    def trade(self, moves: _Moves) -> None:
        """Turn moves into orders, and orders into fills at the next open."""
        ground, rows = self._ground, moves.rows
        squares = ground.squares
        before, after = moves.before, moves.after
        if len(squares.rows):
            rows, after = _merged(moves.rows, after, squares.rows, _SQUARE)
            before = _merged(moves.rows, before, squares.rows, 0)[1]
        following = np.minimum(rows + 1, len(ground.bars) - 1)
        sells_first = self._terms.plan.product is not Product.DELIVERY
        held = 0
        for row, left, side, size, takes, enters, fills, is_late in zip(
            *(
                column.tolist()
                for column in (
                    rows, before, after, self._sizes(rows), ground.takes[rows], ground.enters[rows],
                    ground.goes_on[rows], squares.flags[following],
                )
            ),
            strict=True,
        ):  # fmt: skip
            if side == _SQUARE:
                held = self._square_off(row, held)
                continue
            was, leaving = held, False
            if takes and (held * left > 0 or (side and held * side < 0)):  # its own, or what an entry finds there
                leaving = True
                self._asked.append((row, _LEAVE, abs(held)))
                if fills:
                    self._fills.append((row + 1, 0, -held))
                    held = 0
            if side and was * side <= 0 and enters and size and (side > 0 or sells_first):
                self._asked.append((row, _ENTER, size))
                if fills:
                    self._fills.append((row + 1, 0, side * size))
                    held += side * size
            if held and is_late and fills and (leaving or held != was):
                held = self._square_off(row + 1, held)

    def _square_off(self, row: int, held: int) -> int:
        if held:
            if not self._ground.opens[row]:
                at_us, symbol = self._ground.bars.timestamps.item(row), self._ground.bars.symbol
                raise NotOutright(f"{symbol} is to be squared off at {at_us}, when the market is closed")
            self._asked.append((row, _SQUARE_OFF, abs(held)))
            self._fills.append((row, 1, -held))
        return 0

    def _sizes(self, rows: Integers) -> Integers:
        sizing, lot = self._terms.plan.sizing, self._ground.instrument.lot_size
        if isinstance(sizing, FixedQuantity):
            return np.full(len(rows), sizing.quantity // lot * lot)
        assert isinstance(sizing, FixedValue)  # `check_plain` asked
        units = np.maximum(self._ground.units[rows], 0)
        budget = sizing.rupees * PAISE_PER_RUPEE * UNITS_PER_PAISA
        return np.where(units > 0, budget // (np.maximum(units, 1) * lot) * lot, 0)

    def filled(self, place: int) -> Integers:
        """Give symbol, time, phase and signed quantity of every fill."""
        rows, phases, signed = np.array(self._fills, dtype=np.int64).reshape(-1, 3).T
        return np.stack([np.full(len(rows), place), self._ground.bars.timestamps[rows], phases, signed, rows])

    def prices(self, filled: Integers) -> Floats:
        """Give the price of every fill."""
        signed, rows = filled[3], filled[4]
        buys = signed > 0
        prices = np.empty(len(rows))
        prices[buys] = self._ground.prices(rows[buys], Side.BUY)
        prices[~buys] = self._ground.prices(rows[~buys], Side.SELL)
        return prices

    def asked(self, place: int) -> Integers:
        """Give symbol, time, quantity, last price and whether it enters, of every order."""
        rows, kinds, quantities = np.array(self._asked, dtype=np.int64).reshape(-1, 3).T
        ground = self._ground
        at_us = ground.bars.timestamps[rows] + np.where(kinds == _SQUARE_OFF, 0, self._terms.bar_us)
        return np.stack([np.full(len(rows), place), at_us, quantities, ground.units[rows], kinds == _ENTER])


__all__ = ["Book", "Closing", "NotOutright", "Terms", "check_plain", "trade_outright"]
