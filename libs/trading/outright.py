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
from libs.strategies.wishes import Flags
from libs.trading.exits import ExitRules
from libs.trading.ground import Ground, NotOutright, Terms
from libs.trading.plan import Plan
from libs.trading.sizing import FixedQuantity, FixedValue
from libs.trading.vector_host import NEVER, Course, VectorHost

_LEAVE, _ENTER, _SQUARE_OFF = 0, 1, 2
#: A step leaves, enters and is squared off, in this order.
_KEYS = 4


class Book(NamedTuple):
    """What an account did, as columns in the loop's order: its fills, and every order it sent, filled or not.

    Symbols are places in the list of grounds, rows those of the symbol's own bars. `signed` is bought above 0. The
    fills of one symbol open and close by turns. `asked_units`: the last price when an order was sent, in
    ten-thousandths.
    """

    symbol: Integers
    rows: Integers
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
    return Book(fills[0], fills[4], fills[1], fills[3], price, *orders)


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


class _Steps:
    """Moves and square-offs of one symbol in the order of their bars, with what each bar allows."""

    def __init__(self, moves: _Moves, ground: Ground, terms: Terms) -> None:
        squares = ground.squares.rows
        rows, self.before, self.after = moves
        self.is_square = np.zeros(len(rows), dtype=np.bool_)
        if len(squares):  # they stand before what is decided at the close of their bar
            order = np.argsort(np.concatenate([squares, rows]), kind="stable")
            self.is_square = order < len(squares)
            rows = np.concatenate([squares, rows])[order]
            self.before, self.after = (
                np.concatenate([np.zeros(len(squares), np.int64), column])[order] for column in moves[1:]
            )
        self.rows = rows
        self.sizes = _sizes(rows, ground, terms.plan)
        self.takes, self.enters, self.fills = ground.takes[rows], ground.enters[rows], ground.goes_on[rows]
        self.is_late = ground.squares.flags[np.minimum(rows + 1, len(ground.bars) - 1)]
        if terms.plan.product is Product.DELIVERY:  # shares cannot be sold short for delivery
            self.enters &= self.after >= 0

    def plain(self) -> Flags:
        """Tell where an account that holds what its strategy thinks will do so after the step as well."""
        implied = self.after[np.maximum.accumulate(np.where(self.is_square, 0, np.arange(len(self.rows))))]
        filled = (self.takes & self.enters & self.fills & (self.sizes > 0)) & ~self.is_late
        return np.asarray(np.where(self.is_square, implied == 0, filled))


class _Account:
    """One strategy in one symbol: what is held, and what it asks for."""

    def __init__(self, ground: Ground, terms: Terms) -> None:
        self._ground = ground
        self._terms = terms
        #: Columns by fill: its place among all, row, 1 for a square-off, quantity signed; by order: what it is instead.
        self._fills: list[Integers] = []
        self._orders: list[Integers] = []

    def trade(self, moves: _Moves) -> None:
        """Turn moves into orders, and orders into fills at the next open.

        Where the market takes and fills what a move asks for, the account holds afterwards what the move says. So most
        moves are done by columns; one by one only from a move that is not so plain to the next after which it is so.
        """
        steps = _Steps(moves, self._ground, self._terms)
        held = np.where(steps.is_square, 0, steps.after * steps.sizes)
        singly = self._trade_singly(steps, steps.plain(), held)
        held_before = np.concatenate([[0], held[:-1]])
        own = ~singly & ~steps.is_square
        leaves, enters = np.flatnonzero(own & (steps.before != 0)), np.flatnonzero(own & (steps.after != 0))
        places = np.concatenate([leaves * _KEYS, enters * _KEYS + 1])
        rows = steps.rows[np.concatenate([leaves, enters])]
        signed = np.concatenate([-held_before[leaves], held[enters]])
        kinds = np.repeat([_LEAVE, _ENTER], [len(leaves), len(enters)])
        self._fills.append(np.stack([places, rows + 1, np.zeros(len(rows), np.int64), signed]))
        self._orders.append(np.stack([places, rows, kinds, np.abs(signed)]))

    def _trade_singly(self, steps: _Steps, plain: Flags, held: Integers) -> Flags:
        """Go step by step where it is not plain, writing down what is held after each; tell which steps were done."""
        singly = np.zeros(len(plain), dtype=np.bool_)
        one_by_one = _OneByOne(steps, self._ground)
        done = 0
        for first in np.flatnonzero(~plain).tolist():
            if first < done:
                continue
            now, done = int(held[first - 1]) if first else 0, first
            while done < len(plain):
                now = one_by_one.step(done, now)
                held[done], singly[done] = now, True
                done += 1
                implied = 0 if steps.is_square[done - 1] else int(steps.after[done - 1])
                if plain[done - 1] and (now > 0) - (now < 0) == implied:
                    break
        self._fills.append(_columns(one_by_one.fills))
        self._orders.append(_columns(one_by_one.orders))
        return singly

    def filled(self, place: int) -> Integers:
        """Give symbol, time, phase, signed quantity and row of every fill."""
        rows, phases, signed = _in_order(self._fills)
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
        rows, kinds, quantities = _in_order(self._orders)
        ground = self._ground
        at_us = ground.bars.timestamps[rows] + np.where(kinds == _SQUARE_OFF, 0, self._terms.bar_us)
        return np.stack([np.full(len(rows), place), at_us, quantities, ground.units[rows], kinds == _ENTER])


class _OneByOne:
    """An account step by step, as `VectorHost.decide` and the loop would have it."""

    def __init__(self, steps: _Steps, ground: Ground) -> None:
        self._steps, self._ground = steps, ground
        self.fills: list[tuple[int, int, int, int]] = []
        self.orders: list[tuple[int, int, int, int]] = []

    def step(self, at: int, held: int) -> int:
        """Do one step; give what is held after it."""
        steps = self._steps
        row, was = int(steps.rows[at]), held
        if steps.is_square[at]:
            return self._square_off(at * _KEYS, row, held)
        before, after = int(steps.before[at]), int(steps.after[at])
        # What is left is its own position, or what an entry finds there: the strategy thought it was flat.
        if steps.takes[at] and (held * before > 0 or held * after < 0):
            held = self._ask(at, at * _KEYS, _LEAVE, -held, held)
        if after and was * after <= 0 and steps.enters[at] and (size := int(steps.sizes[at])):
            held = self._ask(at, at * _KEYS + 1, _ENTER, after * size, held)
        if held != was and steps.is_late[at]:
            held = self._square_off(at * _KEYS + 2, row + 1, held)
        return held

    def _ask(self, at: int, place: int, kind: int, signed: int, held: int) -> int:
        row = int(self._steps.rows[at])
        self.orders.append((place, row, kind, abs(signed)))
        if not self._steps.fills[at]:
            return held  # the day ends first
        self.fills.append((place, row + 1, 0, signed))
        return held + signed

    def _square_off(self, place: int, row: int, held: int) -> int:
        if held:
            if not self._ground.opens[row]:
                at_us, symbol = self._ground.bars.timestamps.item(row), self._ground.bars.symbol
                raise NotOutright(f"{symbol} is to be squared off at {at_us}, when the market is closed")
            self.orders.append((place, row, _SQUARE_OFF, abs(held)))
            self.fills.append((place, row, 1, -held))
        return 0


def _sizes(rows: Integers, ground: Ground, plan: Plan) -> Integers:
    lot = ground.instrument.lot_size
    if isinstance(plan.sizing, FixedQuantity):
        return np.full(len(rows), plan.sizing.quantity // lot * lot)
    assert isinstance(plan.sizing, FixedValue)  # `check_plain` asked
    units = ground.units[rows]
    budget = plan.sizing.rupees * PAISE_PER_RUPEE * UNITS_PER_PAISA
    return np.where(units > 0, budget // (np.maximum(units, 1) * lot) * lot, 0)


def _columns(rows: list[tuple[int, int, int, int]]) -> Integers:
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def _in_order(parts: list[Integers]) -> Integers:
    """Join columns in the order of their places, and leave those out."""
    joined = np.concatenate(parts, axis=1)
    ordered: Integers = joined[1:, np.argsort(joined[0], kind="stable")]
    return ordered
