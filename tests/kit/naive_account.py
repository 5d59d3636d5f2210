"""An account kept the slow way, from what the documentation says and none of the engine's code but the charge rates.

Prices are paise, everything is exact, nothing is remembered that could be looked up again. It knows one strategy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from types import MappingProxyType
from typing import Any, NamedTuple

MINUTE = 60_000_000
TICK = 5


class Bar(NamedTuple):
    """One minute, prices in paise."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class Said(NamedTuple):
    """A strategy's word at the end of a bar; `kind` is that of a signal."""

    symbol: str
    kind: str
    stop: Fraction | None = None
    target: Fraction | None = None
    atr: Fraction | None = None


class Options(NamedTuple):
    """What a run may be asked for."""

    cash: int
    size: tuple[str, Any]
    slip_ticks: int = 0
    slip_bp: Fraction = Fraction(0)
    participation: Fraction = Fraction(100)
    exits: Mapping[str, Fraction] = MappingProxyType({})
    square_off: bool = True
    delivery: bool = False
    leverage_percent: int = 0


class NaiveAccount:
    """Bars and words in, fills out. `fees(day, is_sale, before, after, is_first_sale)` charges a turnover's growth."""

    def __init__(self, options: Options, sessions: dict[int, tuple[int, int]], fees: Any) -> None:
        self.o, self.sessions, self.fees_of = options, sessions, fees
        self.cash = options.cash
        self.held: dict[str, int] = defaultdict(int)
        self.orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.guards: dict[str, dict[str, Any]] = {}
        self.said: dict[str, Said] = {}
        self.price: dict[str, int] = {}
        self.sold: set[tuple[int, str]] = set()
        self.day: int | None = None
        #: Time, symbol, quantity signed, price, fees; then the worth of all after every minute, and of what is held.
        self.fills: list[tuple[int, str, int, int, int]] = []
        self.worth: list[tuple[int, int]] = []

    def minute(self, at: int, day: int, bars: dict[str, Bar], said: list[Said]) -> None:
        """Fill, leave, value, decide."""
        if day != self.day:
            self.day = day
            self.orders.clear()
        for symbol in sorted(bars):
            for order in list(self.orders[symbol]):
                self.match(order, at, bars[symbol])
        for symbol in sorted(bars):
            self.leave_by_rules(symbol, at, bars[symbol])
        self.price |= {symbol: bar.close for symbol, bar in bars.items()}
        values = [quantity * self.price[symbol] for symbol, quantity in self.held.items() if quantity]
        self.worth.append((self.cash + sum(values), sum(map(abs, values))))
        ranks = ("exit_long", "exit_short", "enter_long", "enter_short")
        for each in sorted(said, key=lambda each: (each.symbol, ranks.index(each.kind))):
            self.decide(each, at + MINUTE)

    # -- the market ---------------------------------------------------------------------------------------------------

    def match(self, order: dict[str, Any], at: int, bar: Bar) -> None:
        quantity = order["left"]
        if self.o.participation < 100:
            quantity = min(quantity, floor(bar.volume * self.o.participation / 100))
        if quantity:
            order["left"] -= quantity
            if not order["left"]:
                self.orders[order["symbol"]].remove(order)
            self.fill(order, quantity, self.slipped(Fraction(bar.open), order["side"]), at)

    def slipped(self, price: Fraction, side: int) -> int:
        moved = price + side * (self.o.slip_ticks * TICK + price * self.o.slip_bp / 10_000)
        return ceil(moved / TICK) * TICK if side > 0 else max(floor(moved / TICK) * TICK, TICK)

    def fill(self, order: dict[str, Any], quantity: int, price: int, at: int) -> None:
        symbol, side = order["symbol"], order["side"]
        before, order["turnover"] = order["turnover"], order["turnover"] + quantity * price
        is_first_sale = side < 0 and (self.day, symbol) not in self.sold
        if side < 0:
            self.sold.add((self.day, symbol))  # type: ignore[arg-type]
        fees = self.fees_of(at, side < 0, before, order["turnover"], is_first_sale)
        self.cash -= side * quantity * price + fees
        self.fills.append((at, symbol, side * quantity, price, fees))
        was = self.held[symbol]
        now = self.held[symbol] = was + side * quantity
        if not now:
            self.guards.pop(symbol, None)
        elif was * now <= 0:
            self.guards[symbol] = self.guard(symbol, 1 if now > 0 else -1, price, at)

    # -- leaving ------------------------------------------------------------------------------------------------------

    def guard(self, symbol: str, side: int, price: int, at: int) -> dict[str, Any]:
        said = self.said.get(symbol)
        if said is not None and (said.kind == "enter_long") != (side > 0):
            said = None
        stop = said.stop if said else None
        target = said.target if said else None
        if stop is None and (away := self.distance("stop", price, said)):
            stop = max(self.early(price - side * away, side), Fraction(0))
        if target is None and (away := self.distance("target", price, said)):
            target = max(self.early(price + side * away, side), Fraction(0))
        made = {"side": side, "stop": stop, "target": target, "best": price, "why": "stop", "day": self.day,
                "trail": self.distance("trail", price, said), "since": at}  # fmt: skip
        self.trail(made, price)
        return made

    def distance(self, what: str, price: int, said: Said | None) -> Fraction:
        multiple = self.o.exits.get(f"{what}_atr")
        if multiple and said and said.atr:
            return multiple * said.atr
        return price * self.o.exits.get(f"{what}_percent", Fraction(0)) / 100

    def early(self, level: Fraction, side: int) -> Fraction:
        """Put a level on the grid: up for what is held long, down for short."""
        return Fraction((ceil(level / TICK) if side > 0 else floor(level / TICK)) * TICK)

    def trail(self, guard: dict[str, Any], price: int) -> None:
        if guard["trail"]:
            side = guard["side"]
            guard["best"] = max(guard["best"] * side, price * side) * side
            level = self.early(guard["best"] - side * guard["trail"], side)
            if guard["stop"] is None or level * side > guard["stop"] * side:
                guard["stop"] = level

    def leave_by_rules(self, symbol: str, at: int, bar: Bar) -> None:
        guard = self.guards.get(symbol)
        if guard is None:
            return
        side, stop, target = guard["side"], guard["stop"], guard["target"]
        worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
        held_min = self.o.exits.get("time_min", 0)
        close = self.sessions[self.day][1]  # type: ignore[index]
        is_over = (
            (self.o.square_off and (at >= close - 15 * MINUTE or guard["day"] != self.day))
            or (held_min and at >= guard["since"] + held_min * MINUTE)
            or (stop is not None and bar.open * side <= stop * side)
            or (target is not None and bar.open * side >= target * side)
        )
        if is_over:
            self.leave_now(symbol, Fraction(bar.open), at)
        elif stop is not None and worst * side <= stop * side:
            self.leave_now(symbol, stop, at + MINUTE - 1)
        elif target is not None and best * side >= target * side:
            self.leave_now(symbol, target, at + MINUTE - 1)
        else:
            self.trail(guard, best)

    def leave_now(self, symbol: str, price: Fraction, at: int) -> None:
        order = self.order_to_leave(symbol)
        if order:
            self.fill(order, order["left"], self.slipped(price, order["side"]), at)

    def order_to_leave(self, symbol: str) -> dict[str, Any] | None:
        left = abs(self.held[symbol]) - sum(each["left"] for each in self.orders[symbol] if not each["enters"])
        side = -1 if self.held[symbol] > 0 else 1
        return {"symbol": symbol, "side": side, "left": left, "enters": False, "turnover": 0} if left > 0 else None

    # -- deciding -----------------------------------------------------------------------------------------------------

    def decide(self, said: Said, now: int) -> None:
        symbol, held = said.symbol, self.held[said.symbol]
        opens, closes = self.sessions[self.day]  # type: ignore[index]
        side = 1 if said.kind.endswith("long") else -1
        is_open = opens <= now < closes
        if said.kind.startswith("exit"):
            self.orders[symbol] = [e for e in self.orders[symbol] if not (e["enters"] and e["side"] == side)]
            if held * side > 0 and is_open and (order := self.order_to_leave(symbol)):
                self.orders[symbol].append(order)
            return
        if held * side > 0:
            return
        if held and is_open and (order := self.order_to_leave(symbol)):
            self.orders[symbol].append(order)
        quantity = self.size(said)
        is_working = any(each["enters"] and each["side"] == side for each in self.orders[symbol])
        is_late = not is_open or now >= closes - 30 * MINUTE
        if quantity and not is_late and not is_working and not (self.o.delivery and side < 0):
            order = {"symbol": symbol, "side": side, "left": quantity, "enters": True, "turnover": 0}
            if not self.is_too_much(order):
                self.orders[symbol].append(order)
                self.said[symbol] = said

    def equity(self) -> int:
        return self.cash + sum(quantity * self.price[symbol] for symbol, quantity in self.held.items() if quantity)

    def size(self, said: Said) -> int:
        how, much = self.o.size
        price = self.price[said.symbol]
        if how == "fixed_quantity":
            return int(much)
        if how == "fixed_value":
            return floor(much * 100 / price)
        budget = floor(self.equity() * Fraction(much) / 100)
        if how == "equity_percent":
            return floor(budget / Fraction(price))
        return floor(budget / (said.atr * 2)) if said.atr else 0

    def is_too_much(self, order: dict[str, Any]) -> bool:
        """The most that could be held of everything once it fills, against so many per cent of the equity."""
        if not self.o.leverage_percent:
            return False
        total = 0
        for symbol, price in self.price.items():
            working = [*self.orders[symbol], *([order] if order["symbol"] == symbol else [])]
            buying = sum(each["left"] for each in working if each["side"] > 0)
            selling = sum(each["left"] for each in working if each["side"] < 0)
            total += max(self.held[symbol] + buying, selling - self.held[symbol], 0) * price
        return total * 100 > self.equity() * self.o.leverage_percent
