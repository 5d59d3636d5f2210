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

from libs.core.money import PAISE_PER_RUPEE, UNITS_PER_PAISA
from libs.indicators.columns import Integers
from libs.orders.fills import FillSettings
from libs.orders.model import Product
from libs.strategies.wishes import Flags
from libs.trading.book import Asked, Book, Filled, joined, picked
from libs.trading.exits import ExitRules
from libs.trading.ground import Ground, NotOutright, Terms
from libs.trading.plan import Plan
from libs.trading.sizing import FixedQuantity, FixedValue
from libs.trading.vector_host import NEVER, Course, VectorHost

#: A step leaves, enters and is squared off, in this order.
_LEAVE, _ENTER, _SQUARE_OFF = range(3)
_KINDS = 3


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
    accounts = [
        _Account(ground, terms, _moves(host.course(ground.bars, ground.day_rows), ground)) for ground in grounds
    ]
    # Orders first: the bars at which they fill are the next ones, and by then near.
    asked = [account.asked(place) for place, account in enumerate(accounts)]
    filled = [account.filled(place) for place, account in enumerate(accounts)]
    if len(grounds) == 1:
        return Book(filled[0], asked[0])
    fills, orders = Filled(*joined(filled)), Asked(*joined(asked))
    ranks = np.argsort(np.argsort([ground.bars.symbol for ground in grounds]))
    return Book(
        fills.picked(np.lexsort((ranks[fills.symbol], fills.is_square, fills.at_us))),
        orders.picked(np.lexsort((ranks[orders.symbol], orders.at_us))),
    )


def _moves(course: Course, ground: Ground) -> _Moves:
    """Do what `VectorHost.decide` does, for all bars at once."""
    closing = ground.closing(course.flat_minutes)
    rows, sides = course.rows, course.sides.astype(np.int64)
    if len(closing.rows):
        rows, sides = picked((rows, sides), ~closing.flags[rows])
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
        filled: Flags = (self.takes & self.enters & self.fills & (self.sizes > 0)) & ~self.is_late
        if not self.is_square.any():
            return filled
        implied = self.after[np.maximum.accumulate(np.where(self.is_square, 0, np.arange(len(self.rows))))]
        return np.asarray(np.where(self.is_square, implied == 0, filled))


class _Account:
    """One strategy in one symbol: what is held, and what it asks for."""

    def __init__(self, ground: Ground, terms: Terms, moves: _Moves) -> None:
        """Turn moves into orders, and orders into fills at the next open.

        Where the market takes and fills what a move asks for, the account holds afterwards what the move says. So most
        moves are done by columns; one by one only from a move that is not so plain to the next after which it is so.
        """
        self._ground = ground
        self._terms = terms
        self._steps = steps = _Steps(moves, ground, terms)
        held = np.where(steps.is_square, 0, steps.after * steps.sizes)
        #: By step: the signed quantity it asks for to leave, to enter, and to be squared off; 0 where it does not.
        asks = np.zeros((len(steps.rows), _KINDS), dtype=np.int64)
        own = self._trade_singly(steps, steps.plain(), held, asks) & ~steps.is_square
        held_before = np.concatenate([[0], held[:-1]])
        np.copyto(asks[:, _LEAVE], -held_before, where=own & (steps.before != 0))
        np.copyto(asks[:, _ENTER], held, where=own & (steps.after != 0))
        signed = asks.reshape(-1)
        places = np.flatnonzero(signed != 0)
        self._of_step = places // _KINDS  # `divmod` takes ten times as long
        self._kinds = places - self._of_step * _KINDS
        self._signed = signed[places]

    def _trade_singly(self, steps: _Steps, plain: Flags, held: Integers, asks: Integers) -> Flags:
        """Go step by step where it is not plain, writing down what is held after each; tell which steps are left."""
        left = np.ones(len(plain), dtype=np.bool_)
        one_by_one = _OneByOne(steps, self._ground, asks)
        done = 0
        for first in np.flatnonzero(~plain).tolist():
            if first < done:
                continue
            now, done = int(held[first - 1]) if first else 0, first
            while done < len(plain):
                now = one_by_one.step(done, now)
                held[done], left[done] = now, False
                done += 1
                implied = 0 if steps.is_square[done - 1] else int(steps.after[done - 1])
                if plain[done - 1] and (now > 0) - (now < 0) == implied:
                    break
        return left

    def filled(self, place: int) -> Filled:
        """Give every fill, as of the symbol of a place."""
        steps = self._steps
        of_step, squares, signed = self._of_step, self._kinds == _SQUARE_OFF, self._signed
        goes_through = squares | steps.fills[of_step]
        if not goes_through.all():  # what the day ends before does not fill
            of_step, squares, signed = picked((of_step, squares, signed), goes_through)
        rows = steps.rows[of_step] + ~steps.is_square[of_step]
        at_us, _ = self._ground.at(rows)
        return Filled(
            np.full(len(rows), place), rows, at_us, signed, self._ground.prices(rows, signed > 0), squares
        )  # fmt: skip

    def asked(self, place: int) -> Asked:
        """Give every order, as of the symbol of a place."""
        steps, ground, squares = self._steps, self._ground, self._kinds == _SQUARE_OFF
        # A square-off is sent as its bar begins: the next one's where a step was too late for its own.
        rows = steps.rows[self._of_step] + (squares & ~steps.is_square[self._of_step])
        began_us, units = ground.at(rows)
        at_us = began_us + self._terms.bar_us * ~squares
        return Asked(np.full(len(rows), place), at_us, np.abs(self._signed), units, self._kinds == _ENTER)


class _OneByOne:
    """An account step by step, as `VectorHost.decide` and the loop would have it."""

    def __init__(self, steps: _Steps, ground: Ground, asks: Integers) -> None:
        self._steps, self._ground, self._asks = steps, ground, asks

    def step(self, at: int, held: int) -> int:
        """Do one step; give what is held after it."""
        steps = self._steps
        row, was = int(steps.rows[at]), held
        if steps.is_square[at]:
            return self._square_off(at, row, held)
        before, after = int(steps.before[at]), int(steps.after[at])
        # What is left is its own position, or what an entry finds there: the strategy thought it was flat.
        if steps.takes[at] and (held * before > 0 or held * after < 0):
            held = self._ask(at, _LEAVE, -held, held)
        if after and was * after <= 0 and steps.enters[at] and (size := int(steps.sizes[at])):
            held = self._ask(at, _ENTER, after * size, held)
        if held != was and steps.is_late[at]:
            held = self._square_off(at, row + 1, held)
        return held

    def _ask(self, at: int, kind: int, signed: int, held: int) -> int:
        self._asks[at, kind] = signed
        return held + signed if self._steps.fills[at] else held  # else the day ends first

    def _square_off(self, at: int, row: int, held: int) -> int:
        if held:
            if not self._ground.opens[row]:
                at_us, symbol = self._ground.bars.timestamps.item(row), self._ground.bars.symbol
                raise NotOutright(f"{symbol} is to be squared off at {at_us}, when the market is closed")
            self._asks[at, _SQUARE_OFF] = -held
        return 0


def _sizes(rows: Integers, ground: Ground, plan: Plan) -> Integers:
    lot = ground.instrument.lot_size
    if isinstance(plan.sizing, FixedQuantity):
        return np.full(len(rows), plan.sizing.quantity // lot * lot)
    assert isinstance(plan.sizing, FixedValue)  # `check_plain` asked
    units = ground.units[rows]
    budget = plan.sizing.rupees * PAISE_PER_RUPEE * UNITS_PER_PAISA
    return np.where(units > 0, budget // (np.maximum(units, 1) * lot) * lot, 0)
