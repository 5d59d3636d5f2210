"""Why an order is refused: by its spelling (at once, HTTP 400), by the broker's money, by the exchange's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.exchange_sim.exchange.account import Account, order_margin
from services.exchange_sim.exchange.orders import Order, Request
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.prices import DayPath

PRODUCTS = ("I", "D", "MTF")
VALIDITIES = ("DAY", "IOC")
ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
SIDES = ("BUY", "SELL")
CHILDREN_MAX = 25
TAG_LENGTH_MAX = 40


@dataclass(frozen=True)
class Problem:
    """One of the broker's complaints."""

    code: str
    message: str
    property_path: str | None = None
    invalid_value: Any = None


def input_problem(body: Mapping[str, Any], instrument: Instrument) -> Problem | None:
    """Find what is wrong with the words of an order; None when it can be understood."""
    choices = (
        ("product", PRODUCTS), ("validity", VALIDITIES), ("order_type", ORDER_TYPES), ("transaction_type", SIDES),
    )  # fmt: skip
    for name, allowed in choices:
        if body.get(name) not in allowed:
            code = {"order_type": "UDAPI1055", "validity": "UDAPI1056"}.get(name, "UDAPI100036")
            return Problem(code, f"The {name} must be one of {', '.join(allowed)}", name, body.get(name))
    if len(str(body.get("tag") or "")) > TAG_LENGTH_MAX:
        return Problem("UDAPI100036", f"The tag may have {TAG_LENGTH_MAX} characters", "tag", body.get("tag"))
    return number_problem(body, instrument)


def number_problem(body: Mapping[str, Any], instrument: Instrument) -> Problem | None:
    """Find what is wrong with an order's numbers: also of a modification."""
    quantity = body.get("quantity")
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity <= 0 or quantity % instrument.lot_size:
        return Problem("UDAPI1052", f"The quantity must be a multiple of {instrument.lot_size}", "quantity", quantity)
    for name in ("price", "trigger_price", "disclosed_quantity", "market_protection"):
        value = body.get(name) or 0
        lowest = -1 if name == "market_protection" else 0
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < lowest:
            return Problem("UDAPI100036", f"The {name} must be a number of at least {lowest}", name, value)
    if (body.get("disclosed_quantity") or 0) > quantity:
        value = body["disclosed_quantity"]
        return Problem("UDAPI100036", "The disclosed_quantity exceeds the quantity", "disclosed_quantity", value)
    return _price_problem(body)


def _price_problem(body: Mapping[str, Any]) -> Problem | None:
    order_type = body["order_type"]
    price, trigger = float(body.get("price") or 0), float(body.get("trigger_price") or 0)
    if order_type in {"LIMIT", "SL"} and price <= 0:
        return Problem("UDAPI1007", f"A price is needed for a {order_type} order", "price", price)
    if order_type in {"SL", "SL-M"} and trigger <= 0:
        return Problem("UDAPI1004", f"A trigger_price is needed for a {order_type} order", "trigger_price", trigger)
    buys = body.get("transaction_type") == "BUY"
    if order_type == "SL" and ((trigger > price) if buys else (trigger < price)):
        side = "at most" if buys else "at least"
        return Problem("UDAPI1037", f"The trigger_price must be {side} the price", "trigger_price", trigger)
    return None


def children(request: Request) -> list[int]:
    """Split a quantity as the broker does: full freeze quantities, then the rest."""
    freeze = request.instrument.freeze_quantity
    if not request.slice or request.quantity <= freeze:
        return [request.quantity]
    full, rest = divmod(request.quantity, freeze)
    return [freeze] * full + ([rest] if rest else [])


def risk_refusal(order: Order, account: Account, open_orders: Iterable[Order]) -> str | None:
    """Say why the broker's risk system refuses; None when it does not."""
    request = order.request
    others = [other for other in open_orders if other is not order]
    if request.product == "D" and not request.is_buy:
        sellable = account.sellable(order, others)
        if order.quantity_pending > sellable:
            return f"Insufficient holdings: {order.quantity_pending} to sell, {sellable} in the demat account"
        return None
    needed = order_margin(order, account.opening_quantity(order))
    available = account.available(others)
    if needed > available:
        return f"Insufficient funds: {needed:.2f} required, {available:.2f} available"
    return None


def exchange_refusal(request: Request, today: DayPath, *, halted: bool) -> str | None:
    """Say why the exchange refuses; None when it does not."""
    instrument = request.instrument
    if halted:
        return f"16387: {instrument.symbol} is suspended from trading"
    if request.quantity > instrument.freeze_quantity:
        return f"17070: quantity {request.quantity} is above the freeze quantity {instrument.freeze_quantity}"
    for name, price in (("price", request.price), ("trigger price", request.trigger_price)):
        if price and not instrument.on_tick(price):
            return f"16283: the {name} {price} is not a multiple of the tick size {instrument.tick_size}"
        if price and not today.circuit_lower <= price <= today.circuit_upper:
            limits = f"{today.circuit_lower} to {today.circuit_upper}"
            return f"17071: the {name} {price} is outside the circuit limits {limits}"
    return None
