"""GTT orders: place, modify, cancel, look."""

from __future__ import annotations

from aiohttp import web

from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.exchange.gtt import GttOrder, gtt_problem, gtt_row
from services.exchange_sim.handlers.orders import acknowledged
from services.exchange_sim.simulator import SIMULATOR, json_body
from services.exchange_sim.wire import failure, success

NOT_FOUND = Problem("UDAPI100010", "GTT order not found")


async def place(request: web.Request) -> web.StreamResponse:
    """POST /v3/order/gtt/place."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    instrument = sim.market.listing.find(str(body.get("instrument_token")))
    if instrument is None or instrument.is_index:
        value = body.get("instrument_token")
        return failure(400, Problem("UDAPI100011", "Invalid Instrument key", "instrument_token", value))
    if problem := gtt_problem(body):
        return failure(400, problem)
    order = sim.gtt.place(body, instrument, sim.market.now_ms())
    return await acknowledged(sim, request, "gtt", _done(order))


async def modify(request: web.Request) -> web.StreamResponse:
    """PUT /v3/order/gtt/modify."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    order = sim.gtt.orders.get(str(body.get("gtt_order_id")))
    if order is None:
        return failure(400, NOT_FOUND)
    side = {"product": order.product, "transaction_type": "BUY" if order.is_buy else "SELL"}
    if problem := gtt_problem(side | body):
        return failure(400, problem)
    if not sim.gtt.modify(order, body):
        return failure(400, Problem("UDAPI100040", "The GTT order is over and can not be modified"))
    return await acknowledged(sim, request, "gtt", _done(order))


async def cancel(request: web.Request) -> web.StreamResponse:
    """DELETE /v3/order/gtt/cancel."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    order = sim.gtt.orders.get(str(body.get("gtt_order_id")))
    if order is None:
        return failure(400, NOT_FOUND)
    if not sim.gtt.cancel(order):
        return failure(400, Problem("UDAPI100040", "The GTT order is over and can not be cancelled"))
    return await acknowledged(sim, request, "gtt", _done(order))


async def details(request: web.Request) -> web.StreamResponse:
    """GET /v3/order/gtt, one by id or all."""
    sim = request.app[SIMULATOR]
    wanted = request.query.get("gtt_order_id")
    if wanted and wanted not in sim.gtt.orders:
        return failure(400, NOT_FOUND)
    orders = [sim.gtt.orders[wanted]] if wanted else list(sim.gtt.orders.values())
    return success([gtt_row(order) for order in orders], metadata={"latency": 1})


def _done(order: GttOrder) -> web.Response:
    return success({"gtt_order_ids": [order.gtt_order_id]}, metadata={"latency": 3})
