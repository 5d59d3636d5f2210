"""What became of orders: book, one order, its history, trades, positions, holdings."""

from __future__ import annotations

from aiohttp import web

from services.exchange_sim.exchange.account import Position
from services.exchange_sim.exchange.checks import PRODUCTS, Problem
from services.exchange_sim.exchange.orders import Order
from services.exchange_sim.handlers.orders import NOT_FOUND
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.simulator import SIMULATOR, Simulator, json_body
from services.exchange_sim.wire import failure, holding_row, position_row, success


async def order_book(request: web.Request) -> web.StreamResponse:
    """GET /v2/order/retrieve-all."""
    sim = request.app[SIMULATOR]
    speller = sim.speller
    return success([speller.order(order) for order in sim.book])


async def order_details(request: web.Request) -> web.StreamResponse:
    """GET /v2/order/details: the order as it is."""
    sim = request.app[SIMULATOR]
    order = _order(sim, request)
    return success(sim.speller.order(order)) if order else failure(400, NOT_FOUND)


async def order_history(request: web.Request) -> web.StreamResponse:
    """GET /v2/order/history by order_id, or by tag: every status of every order with it."""
    sim = request.app[SIMULATOR]
    order, tag = _order(sim, request), request.query.get("tag")
    if order is None and not tag:
        return failure(400, NOT_FOUND)
    orders = [order] if order else [other for other in sim.book if other.request.tag == tag]
    if not orders:
        return failure(400, NOT_FOUND)
    speller = sim.speller
    return success([speller.order(one, row) for one in orders for row in one.history])


async def trades(request: web.Request) -> web.StreamResponse:
    """GET /v2/order/trades/get-trades-for-day."""
    sim = request.app[SIMULATOR]
    speller = sim.speller
    return success([speller.trade(sim.book.orders[fill.order_id], fill) for fill in sim.book.fills()])


async def trades_of_order(request: web.Request) -> web.StreamResponse:
    """GET /v2/order/trades?order_id=."""
    sim = request.app[SIMULATOR]
    order = _order(sim, request)
    if order is None:
        return failure(400, NOT_FOUND)
    return success([sim.speller.trade(order, fill) for fill in order.fills])


async def positions(request: web.Request) -> web.StreamResponse:
    """GET /v2/portfolio/short-term-positions."""
    sim = request.app[SIMULATOR]
    return success([_position_row(sim, position) for position in sim.account.positions.values()])


async def mtf_positions(request: web.Request) -> web.StreamResponse:
    """GET /v3/portfolio/mtf-positions."""
    sim = request.app[SIMULATOR]
    rows = [_position_row(sim, one) for one in sim.account.positions.values() if one.product == "MTF"]
    return success(rows)


async def convert_position(request: web.Request) -> web.StreamResponse:
    """PUT /v2/portfolio/convert-position: move open shares from one product to another."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    instrument = sim.market.listing.find(str(body.get("instrument_token")))
    old, new, quantity = body.get("old_product"), body.get("new_product"), body.get("quantity")
    if instrument is None or old not in PRODUCTS or new not in PRODUCTS or old == new:
        return failure(400, Problem("UDAPI100036", "Give instrument_token, old_product and another new_product"))
    held = sim.account.quantity(instrument.key, old)
    if not isinstance(quantity, int) or not 0 < quantity <= abs(held):
        return failure(400, Problem("UDAPI1052", f"{abs(held)} can be converted", "quantity", quantity))
    source = sim.account.positions[(instrument.key, old)]
    target = sim.account.positions.setdefault((instrument.key, new), Position(instrument, new))
    price = source.average_price
    source.add(quantity, price, is_buy=held < 0)
    target.add(quantity, price, is_buy=held > 0)
    return success({"status": "complete"})


async def holdings(request: web.Request) -> web.StreamResponse:
    """GET /v2/portfolio/long-term-holdings."""
    sim = request.app[SIMULATOR]
    rows = []
    for holding in sim.account.holdings.values():
        price, close = _prices(sim, holding.instrument)
        rows.append(holding_row(holding, price, close))
    return success(rows)


def _order(sim: Simulator, request: web.Request) -> Order | None:
    return sim.book.orders.get(request.query.get("order_id", ""))


def _position_row(sim: Simulator, position: Position) -> dict[str, object]:
    price, close = _prices(sim, position.instrument)
    return position_row(position, price, close)


def _prices(sim: Simulator, instrument: Instrument) -> tuple[float, float]:
    now_ms = sim.market.now_ms()
    today = sim.market.instrument_day(instrument, now_ms)
    return today.price(now_ms), today.path.previous_close
