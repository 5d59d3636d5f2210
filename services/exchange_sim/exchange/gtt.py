"""Good-till-triggered orders: rules that wait at the broker and become ordinary orders when a price is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from services.exchange_sim.exchange.checks import PRODUCTS, SIDES, Problem
from services.exchange_sim.exchange.matching import MatchingEngine
from services.exchange_sim.exchange.orders import COMPLETE, Order, Request
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import Phase

SCHEDULED, OPEN, TRIGGERED, COMPLETED, CANCELLED, FAILED = (
    "SCHEDULED", "OPEN", "TRIGGERED", "COMPLETED", "CANCELLED", "FAILED",
)  # fmt: skip
STRATEGIES = ("ENTRY", "TARGET", "STOPLOSS")
TRIGGERS = ("ABOVE", "BELOW", "IMMEDIATE")
RULES_MAX = 3
_LIFE_MS = 365 * 86_400_000


@dataclass
class Rule:
    """One leg. SCHEDULED: waits for its entry; OPEN: watches the price."""

    strategy: str
    trigger_type: str
    trigger_price: float
    trailing_gap: float = 0.0
    status: str = SCHEDULED
    message: str = ""
    order_id: str | None = None


@dataclass
class GttOrder:
    """A GTT order with its rules, entry first."""

    gtt_order_id: str
    kind: str
    instrument: Instrument
    is_buy: bool
    quantity: int
    product: str
    created_ms: int
    rules: list[Rule] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Some rule may still do something."""
        return any(rule.status in {SCHEDULED, OPEN, TRIGGERED} for rule in self.rules)


class GttBook:
    """All GTT orders; `play` looks at them once a window."""

    def __init__(self, market: Market, engine: MatchingEngine, listener: Callable[[dict[str, Any]], None]) -> None:
        self._market = market
        self._engine = engine
        self._listener = listener
        self._numbers = count(1)
        self.orders: dict[str, GttOrder] = {}

    def place(self, body: Mapping[str, Any], instrument: Instrument, now_ms: int) -> GttOrder:
        """Take a checked GTT order in."""
        order = GttOrder(
            gtt_order_id=f"GTT-SIM{next(self._numbers):08d}",
            kind=str(body["type"]),
            instrument=instrument,
            is_buy=body["transaction_type"] == "BUY",
            quantity=int(body["quantity"]),
            product=str(body["product"]),
            created_ms=now_ms,
            rules=make_rules(body["rules"]),
        )
        order.rules[0].status = OPEN
        self.orders[order.gtt_order_id] = order
        self._listener(gtt_row(order) | {"update_type": "gtt_order"})
        return order

    def modify(self, order: GttOrder, body: Mapping[str, Any]) -> bool:
        """Replace quantity and the terms of rules that have not triggered; False when none is left."""
        if not order.is_live:
            return False
        order.quantity = int(body["quantity"])
        for rule in make_rules(body["rules"]):
            for known in order.rules:
                if known.strategy == rule.strategy and known.status in {SCHEDULED, OPEN}:
                    known.trigger_type, known.trigger_price = rule.trigger_type, rule.trigger_price
                    known.trailing_gap = rule.trailing_gap
        self._listener(gtt_row(order) | {"update_type": "gtt_order"})
        return True

    def cancel(self, order: GttOrder) -> bool:
        """Stop every rule that has not triggered; False when there is none."""
        waiting = [rule for rule in order.rules if rule.status in {SCHEDULED, OPEN}]
        for rule in waiting:
            rule.status = CANCELLED
        if waiting:
            self._listener(gtt_row(order) | {"update_type": "gtt_order"})
        return bool(waiting)

    def play(self, now_ms: int) -> None:
        """Trigger what the price has reached, and follow the orders that came of it."""
        if self._market.phase(now_ms) is not Phase.OPEN:
            return
        for order in self.orders.values():
            if order.is_live:
                self._play_one(order, self._market.price(order.instrument, now_ms), now_ms)

    def _play_one(self, gtt: GttOrder, price: float, now_ms: int) -> None:
        for rule in gtt.rules:
            if rule.status == OPEN:
                _trail(gtt, rule, price)
                if _reached(gtt, rule, price):
                    self._trigger(gtt, rule, price, now_ms)
            elif rule.status == TRIGGERED and rule.order_id:
                order = self._engine.book.orders.get(rule.order_id)
                if order is None or order.is_final:
                    self._settle(gtt, rule, order)

    def _trigger(self, gtt: GttOrder, rule: Rule, price: float, now_ms: int) -> None:
        is_buy = gtt.is_buy if rule.strategy == "ENTRY" else not gtt.is_buy
        # A limit a little through the market, as the broker sends it: fills now or rests.
        limit = gtt.instrument.round_price(price * (1.005 if is_buy else 0.995))
        request = Request(gtt.instrument, is_buy, gtt.quantity, gtt.product, "DAY", "LIMIT", price=limit)
        rule.status = TRIGGERED
        order = self._engine.receive(request, now_ms)
        rule.order_id = order.order_id
        order.gtt_order_id = gtt.gtt_order_id
        if rule.strategy != "ENTRY":  # one cancels the other
            for other in gtt.rules:
                if other is not rule and other.status == OPEN:
                    other.status = CANCELLED
        self._engine.process(order, now_ms)
        self._listener(gtt_row(gtt) | {"update_type": "gtt_order"})

    def _settle(self, gtt: GttOrder, rule: Rule, order: Order | None) -> None:
        done = order is not None and order.status == COMPLETE
        rule.status = COMPLETED if done else FAILED
        rule.message = "" if done else (order.message or order.status if order else "order lost at the end of the day")
        if rule.strategy == "ENTRY":
            for other in gtt.rules:
                if other.status == SCHEDULED:
                    other.status = OPEN if done else CANCELLED
        self._listener(gtt_row(gtt) | {"update_type": "gtt_order"})


def gtt_problem(body: Mapping[str, Any]) -> Problem | None:
    """Find what is wrong with the words of a GTT order; None when it can be understood."""
    checks = (("type", ("SINGLE", "MULTIPLE")), ("product", PRODUCTS), ("transaction_type", SIDES))
    for name, allowed in checks:
        if body.get(name) not in allowed:
            return Problem("UDAPI1125", f"The {name} must be one of {', '.join(allowed)}", name, body.get(name))
    quantity = body.get("quantity")
    if not isinstance(quantity, int) or quantity <= 0:
        return Problem("UDAPI1052", "The quantity must be a positive number", "quantity", quantity)
    rules = body.get("rules")
    if not isinstance(rules, list) or not 1 <= len(rules) <= RULES_MAX or (body["type"] == "SINGLE" and len(rules) > 1):
        return Problem("UDAPI1126", f"SINGLE takes one rule, MULTIPLE 1 to {RULES_MAX}", "rules", len(rules or []))
    strategies = [rule.get("strategy") for rule in rules]
    if "ENTRY" not in strategies or len(set(strategies)) < len(strategies):
        return Problem(
            "UDAPI1127", "Exactly one ENTRY is needed, TARGET and STOPLOSS at most once", "rules", strategies
        )
    return next((problem for rule in rules if (problem := _rule_problem(rule))), None)


def _rule_problem(rule: Mapping[str, Any]) -> Problem | None:
    for name, allowed in (("strategy", STRATEGIES), ("trigger_type", TRIGGERS)):
        if rule.get(name) not in allowed:
            return Problem("UDAPI1128", f"The {name} must be one of {', '.join(allowed)}", name, rule.get(name))
    price = rule.get("trigger_price")
    if not isinstance(price, (int, float)) or price <= 0:
        return Problem("UDAPI1129", "The trigger_price must be a positive number", "trigger_price", price)
    return None


def make_rules(rows: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Turn checked rows into rules, the entry first."""
    rules = [
        Rule(row["strategy"], row["trigger_type"], float(row["trigger_price"]), float(row.get("trailing_gap") or 0))
        for row in rows
    ]
    return sorted(rules, key=lambda rule: STRATEGIES.index(rule.strategy))


def gtt_row(gtt: GttOrder) -> dict[str, Any]:
    """Spell a GTT order; its times are microseconds, as the broker's are."""
    return {
        "type": gtt.kind,
        "exchange": "NSE_EQ",
        "quantity": gtt.quantity,
        "product": gtt.product,
        "rules": [_rule_row(gtt, rule) for rule in gtt.rules],
        "trading_symbol": gtt.instrument.symbol,
        "instrument_token": gtt.instrument.key,
        "gtt_order_id": gtt.gtt_order_id,
        "expires_at": (gtt.created_ms + _LIFE_MS) * 1000,
        "created_at": gtt.created_ms * 1000,
    }


def _rule_row(gtt: GttOrder, rule: Rule) -> dict[str, Any]:
    is_buy = gtt.is_buy if rule.strategy == "ENTRY" else not gtt.is_buy
    return {
        "strategy": rule.strategy,
        "status": rule.status,
        "message": rule.message,
        "trigger_type": rule.trigger_type,
        "trigger_price": rule.trigger_price,
        "transaction_type": "BUY" if is_buy else "SELL",
        "order_id": rule.order_id,
        "trailing_gap": rule.trailing_gap,
    }


def _reached(gtt: GttOrder, rule: Rule, price: float) -> bool:
    if rule.strategy == "ENTRY":
        return {
            "IMMEDIATE": True,
            "ABOVE": price >= rule.trigger_price,
            "BELOW": price <= rule.trigger_price,
        }[rule.trigger_type]
    # Exits: a target lies beyond the entry, a stop before it, whichever way the entry went.
    rising = gtt.is_buy == (rule.strategy == "TARGET")
    return price >= rule.trigger_price if rising else price <= rule.trigger_price


def _trail(gtt: GttOrder, rule: Rule, price: float) -> None:
    if rule.strategy != "STOPLOSS" or rule.trailing_gap <= 0:
        return
    moved = price - rule.trailing_gap if gtt.is_buy else price + rule.trailing_gap
    better = moved > rule.trigger_price if gtt.is_buy else moved < rule.trigger_price
    if better:
        rule.trigger_price = gtt.instrument.round_price(moved)
