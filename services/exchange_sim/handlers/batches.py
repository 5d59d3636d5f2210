"""Several orders in one request: place many, cancel many, exit positions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from services.exchange_sim.exchange.checks import CHILDREN_MAX, Problem, children
from services.exchange_sim.exchange.orders import Order, Request
from services.exchange_sim.handlers.orders import acknowledged, place_one
from services.exchange_sim.simulator import SIMULATOR, Simulator, json_body
from services.exchange_sim.wire import answer, failure, problem_row

CORRELATION_LENGTH_MAX = 20


async def place_many(request: web.Request) -> web.StreamResponse:
    """POST /v2/order/multi/place: each line stands for itself, buys go first."""
    sim = request.app[SIMULATOR]
    lines = await json_body(request)
    if not isinstance(lines, list) or not 1 <= len(lines) <= CHILDREN_MAX:
        return failure(400, Problem("UDAPI100036", f"Give 1 to {CHILDREN_MAX} orders"))
    if problem := _correlation_problem(lines):
        return failure(400, problem)
    data: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for line in sorted(lines, key=lambda line: line.get("transaction_type") != "BUY"):
        placed = place_one(sim, line, request.headers.get("X-Algo-Name"))
        correlation_id = line.get("correlation_id")
        if isinstance(placed, Problem):
            errors.append(problem_row(placed) | {"correlation_id": correlation_id})
            continue
        for order in placed:
            sim.submit(order)
            data.append({"correlation_id": correlation_id, "order_id": order.order_id})
    summary = {"total": len(lines), "success": len(lines) - len(errors), "error": len(errors)}
    summary["payload_error"] = len(errors)
    return await acknowledged(sim, request, "multi", _batch_answer(data, errors, summary))


async def cancel_many(request: web.Request) -> web.StreamResponse:
    """DELETE /v2/order/multi/cancel?tag=&segment=."""
    sim = request.app[SIMULATOR]
    wanted = _chosen(sim.book.open_orders(), request)
    now_ms = sim.market.now_ms()
    for order in wanted:
        sim.engine.cancel(order, now_ms)
    ids = [order.order_id for order in wanted]
    summary = {"total": len(ids), "success": len(ids), "error": 0}
    return await acknowledged(sim, request, "cancel", _batch_answer({"order_ids": ids}, [], summary))


async def exit_positions(request: web.Request) -> web.StreamResponse:
    """POST /v2/order/positions/exit?tag=&segment=: market orders against what is open.

    With a tag only positions come into question whose orders today carried it.
    """
    sim = request.app[SIMULATOR]
    segment, tag = request.query.get("segment"), request.query.get("tag")
    tagged = {order.request.instrument.key for order in sim.book if order.request.tag == tag}
    ids = []
    for position in list(sim.account.positions.values()):
        instrument = position.instrument
        fits = (not segment or instrument.segment == segment) and (not tag or instrument.key in tagged)
        if position.quantity and fits:
            ids += _exit(sim, Request(
                instrument, position.quantity < 0, abs(position.quantity), position.product, "DAY", "MARKET",
                tag=tag, slice=True,
            ))  # fmt: skip
    summary = {"total": len(ids), "success": len(ids), "error": 0}
    return await acknowledged(sim, request, "exit", _batch_answer({"order_ids": ids}, [], summary))


def _exit(sim: Simulator, asked: Request) -> list[str]:
    ids = []
    for quantity in children(asked):
        order = sim.engine.receive(replace(asked, quantity=quantity), sim.market.now_ms())
        sim.submit(order)
        ids.append(order.order_id)
    return ids


def _chosen(orders: Iterable[Order], request: web.Request) -> list[Order]:
    segment, tag = request.query.get("segment"), request.query.get("tag")
    return [
        order
        for order in orders
        if (not tag or order.request.tag == tag) and (not segment or order.request.instrument.segment == segment)
    ]


def _correlation_problem(lines: list[Any]) -> Problem | None:
    ids = [line.get("correlation_id") if isinstance(line, dict) else None for line in lines]
    if any(not text or len(str(text)) > CORRELATION_LENGTH_MAX for text in ids):
        text = f"Each order needs a correlation_id of 1 to {CORRELATION_LENGTH_MAX} characters"
        return Problem("UDAPI1098", text, "correlation_id")
    if len(set(ids)) < len(ids):
        return Problem("UDAPI1100", "Each correlation_id may occur once", "correlation_id")
    return None


def _batch_answer(data: Any, errors: list[dict[str, Any]], summary: dict[str, int]) -> web.Response:
    if summary["total"] and summary["success"] == 0:
        return answer({"status": "error", "data": data, "errors": errors, "summary": summary}, 400)
    status = "partial_success" if errors else "success"
    return answer({"status": status, "data": data, "errors": errors or None, "summary": summary})
