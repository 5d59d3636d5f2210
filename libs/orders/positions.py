"""Positions from fills only: by strategy, and net. Average price, realised and unrealised profit, exact to the paisa.

A position is a function of the *set* of its fills: they are folded in the exchange's order whatever order they came
in, and a fill that comes twice counts once. Cost is by average: closing part of a position releases its share of the
cost, rounded to the paisa, and what is left keeps the rest, so over a round trip nothing is lost to rounding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from libs.contracts.orders import Side
from libs.core.clock import trading_day
from libs.core.errors import Corrupt
from libs.core.money import share, value_paise
from libs.orders.direct import KeptTrade, PlainOrder
from libs.orders.model import Fill, FillKey, Product

#: Looking a member up on its enum costs as much as a step of what is done with it.
_BUY = Side.BUY


class PositionKey(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """Whose position in what."""

    strategy_id: str
    symbol: str
    exchange: str = "nse"
    product: Product = Product.INTRADAY


class Position(msgspec.Struct, frozen=True):
    """A position after some fills. `quantity` is signed, and so is `cost_paise`: what the open quantity cost.

    Always: `realised_paise - cost_paise == sold_paise - bought_paise`, and
    `quantity == bought_quantity - sold_quantity`. Charges are kept apart.
    """

    key: PositionKey
    quantity: int = 0
    cost_paise: int = 0
    realised_paise: int = 0
    fees_paise: int = 0
    bought_quantity: int = 0
    bought_paise: int = 0
    sold_quantity: int = 0
    sold_paise: int = 0
    opened_us: int = 0
    updated_us: int = 0

    @property
    def price_average(self) -> float:
        """Give what a share of the open quantity cost, in rupees; 0 when flat."""
        return self.cost_paise / self.quantity / 100 if self.quantity else 0.0

    def unrealised_paise(self, price: float) -> int:
        """Value the open quantity at a price."""
        return value_paise(price, self.quantity) - self.cost_paise if self.quantity else 0

    def profit_paise(self, price: float) -> int:
        """Give realised and unrealised profit less charges."""
        return self.realised_paise + self.unrealised_paise(price) - self.fees_paise


def after_fill(position: Position, fill: KeptTrade) -> Position:
    """Fold one fill: it adds, reduces, closes, or turns the position over."""
    p, traded, at_us = position, fill.quantity, fill.timestamp_us
    value = value_paise(fill.price, traded)
    quantity, cost, realised, opened_us = p.quantity, p.cost_paise, p.realised_paise, p.opened_us
    bought, bought_paise, sold, sold_paise = p.bought_quantity, p.bought_paise, p.sold_quantity, p.sold_paise
    if fill.side is _BUY:
        signed, signed_value = traded, value
        bought, bought_paise = bought + traded, bought_paise + value
    else:
        signed, signed_value = -traded, -value
        sold, sold_paise = sold + traded, sold_paise + value
    after = quantity + signed
    if not quantity:
        cost, opened_us = cost + signed_value, at_us
    elif not after:  # all of it is closed
        cost, realised = 0, realised - signed_value - cost
    elif (quantity > 0) == (signed > 0):
        cost += signed_value
    else:
        closed = min(traded, abs(quantity))
        released, closing_value = share(cost, closed, abs(quantity)), share(signed_value, closed, traded)
        realised -= closing_value + released
        # What turned over is a new position at this fill's price; the two parts add up to the whole value.
        is_turned = traded > closed
        cost = signed_value - closing_value if is_turned else cost - released
        opened_us = at_us if is_turned else opened_us
    return Position(
        p.key, after, cost, realised, p.fees_paise + fill.fees_paise, bought, bought_paise, sold, sold_paise,
        opened_us, at_us if at_us > p.updated_us else p.updated_us,  # noqa: FURB136 - a call costs more
    )  # fmt: skip


class Step(NamedTuple):
    """A fill, and its position before it and after."""

    fill: KeptTrade
    before: Position
    after: Position


def folded(fills: Iterable[KeptTrade]) -> list[Step]:
    """Fold fills into their positions one after the other, as they come."""
    positions: dict[tuple[str, str, str, Product], Position] = {}
    steps = []
    for fill in fills:
        fields = (fill.strategy_id, fill.symbol, fill.exchange, fill.product)
        before = positions.get(fields) or Position(PositionKey(*fields))
        after = positions[fields] = after_fill(before, fill)
        steps.append(Step(fill, before, after))
    return steps


class _Entry(msgspec.Struct):
    """A fill in its place (the exchange's time, then its name) and the position after it."""

    place: tuple[int, FillKey]
    fill: Fill
    after: Position


def _place(entry: _Entry) -> tuple[int, FillKey]:
    return entry.place


class PositionBook:
    """Every position, each a fold over its own fills, upon what was carried over from earlier days."""

    def __init__(self, fills: Iterable[Fill] = (), *, carried: Iterable[Position] = ()) -> None:
        self._carried = {position.key: position for position in carried}
        self._positions: dict[PositionKey, Position] = dict(self._carried)
        self._entries: dict[PositionKey, list[_Entry]] = {}
        self._seen: dict[FillKey, Fill] = {}
        self._keys: dict[tuple[str, str, str, Product], PositionKey] = {}
        #: Fills of a simulation that came in turn: they take their places when somebody asks.
        self._noted: list[PlainOrder] = []
        for fill in fills:
            self.apply(fill)

    def apply(self, fill: Fill) -> Position:
        """Count a fill once and give the position after it."""
        if self._noted:
            self._spell_out()
        fields = (fill.strategy_id, fill.symbol, fill.exchange, fill.product)
        key = self._keys.get(fields) or self.key(*fields)
        name = (trading_day(fill.timestamp_us), fill.exchange, fill.broker_order_id, fill.trade_id)  # its `key`
        if (known := self._seen.get(name)) is not None:
            if not known.is_same_trade(fill):
                raise Corrupt(f"trade {name} was {known!r} and is now {fill!r}")
            return self.get(key)
        self._seen[name] = fill
        entries = self._entries.get(key)
        if entries is None:
            entries = self._entries[key] = []
        place = (fill.timestamp_us, name)
        if not entries or place >= entries[-1].place:  # it came in turn, as nearly all do
            before = entries[-1].after if entries else self._carried.get(key) or Position(key)
            position = self._positions[key] = after_fill(before, fill)
            entries.append(_Entry(place, fill, position))
            return position
        at = bisect_left(entries, place, key=_place)
        entries.insert(at, _Entry(place, fill, Position(key)))
        return self._fold(key, at)

    def note(self, key: PositionKey, plain: PlainOrder) -> Position:
        """Count a plain order's trade, which nobody told of before, and give the position after it."""
        before = self._positions.get(key) or Position(key)
        if plain.timestamp_us <= before.updated_us:  # its place among those of the instant is by its name
            return self.apply(plain.fill(plain.fees_paise))
        position = self._positions[key] = after_fill(before, plain)
        self._noted.append(plain)
        return position

    def carry(self, position: Position) -> None:
        """Take in what a position was before any fill that is told of here; before the first of them."""
        self._carried[position.key] = self._positions[position.key] = position

    def key(self, strategy_id: str, symbol: str, exchange: str, product: Product) -> PositionKey:
        """Give a position's key, the same object always: its hash is worked out once, and comparing it is a look."""
        fields = (strategy_id, symbol, exchange, product)
        key = self._keys.get(fields)
        if key is None:
            key = self._keys[fields] = PositionKey(*fields)
        return key

    def reverse(self, name: FillKey) -> Position:
        """Take an annulled trade out again; doing it twice takes it out once."""
        if self._noted:
            self._spell_out()
        for key, entries in self._entries.items():
            at = next((i for i, entry in enumerate(entries) if entry.place[1] == name), None)
            if at is not None:
                del entries[at]
                return self._fold(key, at)
        if name in self._seen:
            return self.get(self._key_of(self._seen[name]))
        raise Corrupt(f"trade {name} cannot be reversed: no position holds it")

    def get(self, key: PositionKey) -> Position:
        """Give the position, flat if there never was one."""
        return self._positions.get(key) or Position(key)

    def __iter__(self) -> Iterator[Position]:
        return iter(self._positions.values())

    def open(self) -> list[Position]:
        """List the positions that are not flat, by key."""
        return sorted((p for p in self._positions.values() if p.quantity), key=lambda p: p.key)

    def net(self) -> dict[tuple[str, str, Product], int]:
        """Sum the quantities over strategies, as the broker sees them: by exchange, symbol and product."""
        sums: dict[tuple[str, str, Product], int] = {}
        for p in self._positions.values():
            account_key = (p.key.exchange, p.key.symbol, p.key.product)
            sums[account_key] = sums.get(account_key, 0) + p.quantity
        return sums

    def fills(self, key: PositionKey) -> list[Fill]:
        """List the fills of a position in the exchange's order."""
        if self._noted:
            self._spell_out()
        return [entry.fill for entry in self._entries.get(key, [])]

    def _spell_out(self) -> None:
        """Put the fills that were noted to the others; each came later than any of its position."""
        noted, self._noted = self._noted, []
        for plain in noted:
            fill = plain.fill(plain.fees_paise)
            key, name = self.key(fill.strategy_id, fill.symbol, fill.exchange, fill.product), fill.key
            entries = self._entries.setdefault(key, [])
            before = entries[-1].after if entries else self._carried.get(key) or Position(key)
            self._seen[name] = fill
            entries.append(_Entry((fill.timestamp_us, name), fill, after_fill(before, fill)))

    def _fold(self, key: PositionKey, at: int) -> Position:
        """Fold anew from a place on: a fill that came in turn costs one step, a late one those after it."""
        entries = self._entries[key]
        position = entries[at - 1].after if at else self._carried.get(key) or Position(key)
        for entry in entries[at:]:
            position = entry.after = after_fill(position, entry.fill)
        self._positions[key] = position
        return position

    @staticmethod
    def _key_of(fill: Fill) -> PositionKey:
        return PositionKey(fill.strategy_id, fill.symbol, fill.exchange, fill.product)
