"""Orders V3: place, modify, cancel. A wrong word is HTTP 400; what risk or the exchange refuse becomes `rejected`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from services.exchange_sim.exchange.checks import CHILDREN_MAX, Problem, children, input_problem, number_problem
from services.exchange_sim.exchange.orders import Order, Request
from services.exchange_sim.feed.connections import reset_transport
from services.exchange_sim.market.sessions import Phase
from services.exchange_sim.simulator import SIMULATOR, Simulator, json_body
from services.exchange_sim.wire import failure, success

NOT_FOUND = Problem("UDAPI100010", "Order not found")


async def place(request: web.Request) -> web.StreamResponse:
    """POST /v3/order/place."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    placed = place_one(sim, body, request.headers.get("X-Algo-Name"))
    if isinstance(placed, Problem):
        return failure(400, placed)
    if early := sim.faults.strike("fill_before_ack"):
        for order in placed:
            sim.process(order)
        await asyncio.sleep(early.parameters["delay_s"])
    else:
        for order in placed:
            sim.submit(order)
    ids = [order.order_id for order in placed]
    return await acknowledged(sim, request, "place", success({"order_ids": ids}, metadata={"latency": 3}))


def place_one(sim: Simulator, body: Any, algo_name: str | None = None) -> list[Order] | Problem:
    """Receive an order, split by the freeze quantity if asked; the caller submits what comes back."""
    if not isinstance(body, dict):
        return Problem("UDAPI100036", "The body must be an order", None, None)
    instrument = sim.market.listing.find(str(body.get("instrument_token")))
    if instrument is None or instrument.is_index:
        return Problem("UDAPI100011", "Invalid Instrument key", "instrument_token", body.get("instrument_token"))
    if problem := input_problem(body, instrument):
        return problem
    asked = read_request(body, Request(instrument, body["transaction_type"] == "BUY", 1, "I", "DAY", "MARKET"))
    asked = replace(asked, algo_name=algo_name)
    if problem := session_problem(sim, asked):
        return problem
    quantities = children(asked)
    if len(quantities) > CHILDREN_MAX:
        text = f"Slicing gives {len(quantities)} orders, at most {CHILDREN_MAX} are allowed"
        return Problem("UDAPI1106", text, "quantity", asked.quantity)
    now_ms = sim.market.now_ms()
    placed: list[Order] = []
    for quantity in quantities:
        parent = placed[0].order_id if placed else None
        placed.append(sim.engine.receive(replace(asked, quantity=quantity), now_ms, parent_order_id=parent))
    return placed


def session_problem(sim: Simulator, asked: Request) -> Problem | None:
    """Refuse by the time of day, and by the broker's own kill switch."""
    if asked.instrument.segment in sim.disabled_ms:
        return Problem("UDAPI100074", f"The kill switch is on for {asked.instrument.segment}")
    phase = sim.market.phase(sim.market.now_ms())
    if not asked.is_amo and phase is not Phase.OPEN:
        return Problem("UDAPI100057", f"The market is closed ({phase.value}); place an after market order")
    if asked.is_amo and phase is Phase.OPEN:
        return Problem(
            "UDAPI1039", "After market orders are not taken while the market is open", "is_amo", asked.is_amo
        )
    return None


def read_request(body: Mapping[str, Any], default: Request) -> Request:
    """Read an order's terms; what the body leaves out stays as in `default`."""
    return replace(
        default,
        quantity=body.get("quantity", default.quantity),
        product=body.get("product", default.product),
        validity=body.get("validity", default.validity),
        order_type=body.get("order_type", default.order_type),
        price=float(body.get("price") or 0),
        trigger_price=float(body.get("trigger_price") or 0),
        disclosed_quantity=int(body.get("disclosed_quantity") or 0),
        tag=body.get("tag", default.tag),
        is_amo=bool(body.get("is_amo", default.is_amo)),
        slice=bool(body.get("slice", default.slice)),
        market_protection=float(body.get("market_protection") or 0),
    )


async def modify(request: web.Request) -> web.StreamResponse:
    """PUT /v3/order/modify."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    order = sim.book.orders.get(str(body.get("order_id")))
    if order is None:
        return failure(400, NOT_FOUND)
    merged = _merged(body, order.request)
    if problem := number_problem(merged, order.request.instrument):
        return failure(400, problem)
    asked = read_request(merged, order.request)
    if order.is_final or asked.quantity <= order.quantity_filled:
        return failure(400, Problem("UDAPI100040", f"The order is {order.status} and can not be modified"))
    sim.later(sim.settings.order_latency_ms / 1000, _modify_now, sim, order, asked)
    done = success({"order_id": order.order_id}, metadata={"latency": 2})
    return await acknowledged(sim, request, "modify", done)


def _modify_now(sim: Simulator, order: Order, asked: Request) -> None:
    sim.engine.modify(order, asked, sim.market.now_ms())


def _merged(body: Mapping[str, Any], present: Request) -> dict[str, Any]:
    known = {
        "quantity": present.quantity,
        "validity": present.validity,
        "order_type": present.order_type,
        "price": present.price,
        "trigger_price": present.trigger_price,
        "disclosed_quantity": present.disclosed_quantity,
        "market_protection": present.market_protection,
        "transaction_type": "BUY" if present.is_buy else "SELL",
    }
    return known | {name: value for name, value in body.items() if value is not None and name in known}


async def cancel(request: web.Request) -> web.StreamResponse:
    """DELETE /v3/order/cancel."""
    sim = request.app[SIMULATOR]
    order = sim.book.orders.get(request.query.get("order_id", ""))
    if order is None:
        return failure(400, NOT_FOUND)
    if order.is_final:
        return failure(400, Problem("UDAPI100040", f"The order is {order.status} and can not be cancelled"))
    sim.later(sim.settings.order_latency_ms / 1000, _cancel_now, sim, order)
    done = success({"order_id": order.order_id}, metadata={"latency": 2})
    return await acknowledged(sim, request, "cancel", done)


def _cancel_now(sim: Simulator, order: Order) -> None:
    sim.engine.cancel(order, sim.market.now_ms())


async def acknowledged(
    sim: Simulator, request: web.Request, op: str, response: web.StreamResponse
) -> web.StreamResponse:
    """Answer, unless a fault swallows the answer after the request was carried out."""
    if lost := sim.faults.strike("order_timeout", op=op):
        await asyncio.sleep(lost.parameters["delay_s"])
        reset_transport(request)
    return response
