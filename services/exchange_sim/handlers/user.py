"""The user: profile, money, charges, margin, the broker's kill switch, registered addresses."""

from __future__ import annotations

from aiohttp import web

from services.exchange_sim.exchange.account import MARGIN_RATE
from services.exchange_sim.exchange.charges import brokerage
from services.exchange_sim.exchange.checks import PRODUCTS, SIDES, Problem
from services.exchange_sim.simulator import SIMULATOR, json_body
from services.exchange_sim.wire import USER_ID, failure, funds_v2_row, ist_text, success

#: Segments the broker's kill switch knows.
KILL_SEGMENTS = ("NSE_EQ", "BSE_EQ", "NSE_FO", "BSE_FO", "NCD_FO", "BCD_FO", "MCX_FO", "NSE_COM")
_LOCK_MS = 12 * 3_600_000

PROFILE = {
    "email": "simulated@example.invalid",
    "exchanges": ["NSE"],
    "products": list(PRODUCTS),
    "broker": "UPSTOX",
    "user_id": USER_ID,
    "user_name": "Simulated User",
    "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
    "user_type": "individual",
    "poa": False,
    "is_active": True,
}


async def profile(_: web.Request) -> web.StreamResponse:
    """GET /v2/user/profile."""
    return success(PROFILE)


async def funds_v3(request: web.Request) -> web.StreamResponse:
    """GET /v3/user/get-funds-and-margin."""
    sim = request.app[SIMULATOR]
    used = sim.account.margin_used(sim.book.open_orders())
    available = round(sim.account.cash_now() - used, 2)
    cash = {
        "total": available,
        "cash": {
            "opening_balance": sim.account.cash,
            "added_today": 0.0,
            "withdrawn_today": 0.0,
            "amount_from_stock_sale": 0.0,
            "unpaid_charges": 0.0,
        },
        "margin_used": _margin_used(used),
    }
    pledge = {
        "margin_from_pledge": {"total": 0.0, "equity": 0.0, "mutual_funds": 0.0},
        "margin_used": _margin_used(0.0),
    }
    unavailable = {
        "cash_unavailable_to_trade": {"unsettled_profit": {"total": 0.0}},
        "pledge_unavailable_to_trade": {"equity": 0.0, "mutual_funds": 0.0},
    }
    return success(
        {
            "available_to_trade": {
                "total": available, "cash_available_to_trade": cash, "pledge_available_to_trade": pledge,
            },
            "unavailable_to_trade": unavailable,
        }
    )  # fmt: skip


def _margin_used(total: float) -> dict[str, object]:
    return {
        "total": total,
        "mtf": 0.0,
        "loss": {"total": 0.0},
        "span_exposure": 0.0,
        "cash_margin_var_elm": total,
        "premium_present": 0.0,
        "delivery_margin": {"total": 0.0, "equity": 0.0, "fo_settlement": 0.0},
    }


async def funds_v2(request: web.Request) -> web.StreamResponse:
    """GET /v2/user/get-funds-and-margin."""
    sim = request.app[SIMULATOR]
    row = funds_v2_row(sim.account, sim.account.margin_used(sim.book.open_orders()))
    return success({"equity": row, "commodity": dict.fromkeys(row, 0.0)})


async def brokerage_of(request: web.Request) -> web.StreamResponse:
    """GET /v2/charges/brokerage."""
    query = request.query
    try:
        quantity, price = int(query.get("quantity", "")), float(query.get("price", ""))
    except ValueError:
        return failure(400, Problem("UDAPI100036", "quantity and price must be numbers"))
    product, side = query.get("product", ""), query.get("transaction_type", "")
    if product not in PRODUCTS or side not in SIDES or quantity <= 0 or price <= 0:
        return failure(400, Problem("UDAPI100036", "product, transaction_type, quantity or price will not do"))
    return success({"charges": brokerage(quantity * price, product, is_buy=side == "BUY")})


async def margin(request: web.Request) -> web.StreamResponse:
    """POST /v2/charges/margin."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    lines = body.get("instruments") if isinstance(body, dict) else None
    if not isinstance(lines, list) or not 1 <= len(lines) <= 20:
        return failure(400, Problem("UDAPI100036", "Give 1 to 20 instruments", "instruments"))
    margins, now_ms = [], sim.market.now_ms()
    for line in lines:
        instrument = sim.market.listing.find(str(line.get("instrument_key")))
        if instrument is None or line.get("product") not in PRODUCTS or int(line.get("quantity") or 0) <= 0:
            return failure(400, Problem("UDAPI100011", "Invalid instrument, product or quantity", "instruments"))
        price = float(line.get("price") or 0) or sim.market.price(instrument, now_ms)
        total = round(line["quantity"] * price * MARGIN_RATE[line["product"]], 2)
        margins.append(
            dict.fromkeys(
                ("span_margin", "exposure_margin", "net_buy_premium", "additional_margin", "tender_margin"), 0.0
            )
            | {"equity_margin": total, "total_margin": total}
        )
    total = round(sum(row["total_margin"] for row in margins), 2)
    return success({"margins": margins, "required_margin": total, "final_margin": total})


async def kill_switch(request: web.Request) -> web.StreamResponse:
    """GET /v2/user/kill-switch."""
    sim = request.app[SIMULATOR]
    return success([_kill_row(segment, off=segment in sim.disabled_ms) for segment in KILL_SEGMENTS])


async def update_kill_switch(request: web.Request) -> web.StreamResponse:
    """POST /v2/user/kill-switch: all or nothing.

    DISABLE stops trading in a segment and cancels its orders; it needs a flat account there. ENABLE is refused for
    twelve hours after that.
    """
    sim = request.app[SIMULATOR]
    lines = await json_body(request)
    if not isinstance(lines, list) or not all(
        isinstance(line, dict) and line.get("segment") in KILL_SEGMENTS and line.get("action") in {"ENABLE", "DISABLE"}
        for line in lines
    ):
        return failure(400, Problem("UDAPI100036", f"Give segment ({', '.join(KILL_SEGMENTS)}) and action"))
    now_ms = sim.market.now_ms()
    stopped = {line["segment"] for line in lines if line["action"] == "DISABLE"}
    started = {line["segment"] for line in lines if line["action"] == "ENABLE"}
    if any(one.quantity and one.instrument.segment in stopped for one in sim.account.positions.values()):
        return failure(400, Problem("UDAPI100075", "There are open positions in the segment"))
    if any(now_ms - sim.disabled_ms.get(segment, -_LOCK_MS) < _LOCK_MS for segment in started):
        return failure(400, Problem("UDAPI100076", "A segment can be enabled again 12 hours after it was disabled"))
    for segment in started:
        sim.disabled_ms.pop(segment, None)
    sim.disabled_ms |= dict.fromkeys(stopped, now_ms)
    for order in sim.book.open_orders():
        if order.request.instrument.segment in stopped:
            sim.engine.cancel(order, now_ms, "Cancelled by the kill switch")
    return await kill_switch(request)


async def static_ips(request: web.Request) -> web.StreamResponse:
    """GET and PUT /v2/user/ip. A change ends every token, as the broker's does."""
    sim = request.app[SIMULATOR]
    changed = request.method == "PUT"
    if changed:
        body = await json_body(request)
        if not body.get("primary_ip"):
            return failure(400, Problem("UDAPI100036", "A primary_ip is needed", "primary_ip"))
        now = ist_text(sim.market.now_ms())
        sim.static_ips = {name: body.get(name) for name in ("primary_ip", "secondary_ip")}
        sim.static_ips |= {"primary_ip_updated_at": now, "secondary_ip_updated_at": now}
        sim.tokens.kill_all()
    return success(sim.static_ips | {"access_tokens_invalidated": changed})


def _kill_row(segment: str, *, off: bool) -> dict[str, object]:
    return {"segment": segment, "segment_status": "INACTIVE" if off else "ACTIVE", "kill_switch_enabled": off}
