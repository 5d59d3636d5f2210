"""The control API under /_sim: faults, ground truth, the market's clock, tokens. For this machine only."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aiohttp import web

from libs.core.clock import IST, to_datetime, to_us
from libs.core.errors import Refused
from services.exchange_sim.access import ANALYTICS, EXTENDED, TRADING
from services.exchange_sim.exchange.gtt import gtt_row
from services.exchange_sim.exchange.orders import describe
from services.exchange_sim.faults.kinds import KINDS
from services.exchange_sim.feed.connections import MARKET
from services.exchange_sim.feed.flood import flood
from services.exchange_sim.simulator import SIMULATOR, Simulator, json_body
from services.exchange_sim.wire import answer


async def faults(request: web.Request) -> web.StreamResponse:
    """GET /_sim/faults: those in force, what struck so far, every kind there is."""
    plan = request.app[SIMULATOR].faults
    kinds = {name: {"purpose": kind.purpose, "parameters": kind.parameters} for name, kind in KINDS.items()}
    return answer({"faults": [fault.describe() for fault in plan.active()], "struck": plan.struck, "kinds": kinds})


async def add_fault(request: web.Request) -> web.StreamResponse:
    """POST /_sim/faults {"kind": …, its parameters, "count", "duration_s", "after_s", "probability"}."""
    body = dict(await _object(request))
    fault = request.app[SIMULATOR].faults.add(str(body.pop("kind", "")), body)
    return answer(fault.describe())


async def clear_faults(request: web.Request) -> web.StreamResponse:
    """DELETE /_sim/faults[/{id}]; clearing also revives tokens that a fault killed."""
    sim = request.app[SIMULATOR]
    text = request.match_info.get("id")
    cleared = sim.faults.clear(int(text) if text else None)
    if not any(fault.kind == "token_death" for fault in sim.faults.active()):
        sim.tokens.revive()
    return answer({"cleared": cleared})


async def state(request: web.Request) -> web.StreamResponse:
    """GET /_sim/state: the truth, for tests."""
    sim = request.app[SIMULATOR]
    now_ms = sim.market.now_ms()
    return answer(
        {
            "clock": _clock(sim),
            "seed": sim.settings.seed,
            "symbols": len(sim.market.listing.instruments) - 1,
            "connections": [one.describe() for one in sim.connections()],
            "ended_connections": [one.describe() for one in sim.ended],
            "orders": [describe(order) for order in sim.book],
            "gtt_orders": [gtt_row(order) for order in sim.gtt.orders.values()],
            "trades": [asdict(fill) for fill in sim.book.fills()],
            "positions": [
                {
                    "instrument_key": one.instrument.key,
                    "product": one.product,
                    "quantity": one.quantity,
                    "average_price": one.average_price,
                    "realised": one.realised,
                    "last_price": sim.market.price(one.instrument, now_ms),
                }
                for one in sim.account.positions.values()
            ],
            "cash": sim.account.cash_now(),
            "requests": dict(sim.requests),
            "events_made": sim.portfolio_stream.made,
            "faults_struck": sim.faults.struck,
        }
    )


async def ticks(request: web.Request) -> web.StreamResponse:
    """GET /_sim/ticks[?connection=N]: every recorded tick [key, ltt, ltp, vtt] in the order it was sent."""
    sim = request.app[SIMULATOR]
    wanted = request.query.get("connection")
    ended = [one for one in sim.ended if one.stream == MARKET]
    return answer(
        {
            str(one.number): one.sent.records
            for one in [*ended, *sim.market_stream.connections]
            if wanted in {None, str(one.number)}
        }
    )


async def clock(request: web.Request) -> web.StreamResponse:
    """GET /_sim/clock."""
    return answer(_clock(request.app[SIMULATOR]))


async def set_clock(request: web.Request) -> web.StreamResponse:
    """POST /_sim/clock {"speed": …, "paused": true|false, "advance_s": …, "play_to": …, "jump_to": …}.

    `advance_s` and `play_to` play every window as fast as possible; `jump_to` leaves them out.
    """
    sim = request.app[SIMULATOR]
    body = await _object(request)
    known = {"speed", "paused", "advance_s", "play_to", "jump_to"}
    if unknown := set(body) - known:
        raise Refused(f"{', '.join(sorted(unknown))}: unknown; expected {', '.join(sorted(known))}")
    market_clock = sim.market.clock
    if "speed" in body:
        market_clock.set_speed(_number(body, "speed"))
    if "paused" in body:
        (market_clock.pause if body["paused"] else market_clock.resume)()
    if body.get("paused"):  # answered when the market stands still for everybody: nothing is on its way any more
        await asyncio.gather(*(connection.emptied() for connection in sim.market_stream.connections))
    if "advance_s" in body:
        await sim.driver.play_to(sim.market.now_ms() + int(_number(body, "advance_s") * 1000))
    if "play_to" in body:
        await sim.driver.play_to(_instant(body["play_to"]))
    if "jump_to" in body:
        await sim.driver.jump_to(_instant(body["jump_to"]))
    return answer(_clock(sim))


async def issue_token(request: web.Request) -> web.StreamResponse:
    """POST /_sim/tokens {"scope": "trading|analytics|extended", "life_s": …}."""
    body = await _object(request)
    scope = str(body.get("scope", TRADING))
    if scope not in {TRADING, ANALYTICS, EXTENDED}:
        raise Refused(f"scope is {scope!r}; expected {TRADING}, {ANALYTICS} or {EXTENDED}")
    life_s = _number(body, "life_s") if "life_s" in body else None
    return answer({"access_token": request.app[SIMULATOR].tokens.issue(scope, life_s=life_s), "scope": scope})


async def start_flood(request: web.Request) -> web.StreamResponse:
    """POST /_sim/flood {"ticks_per_second": …, "duration_s": …, "ticks_per_frame": …}: answers when it is over."""
    sim = request.app[SIMULATOR]
    body = await _object(request)
    figures = await flood(
        sim.market_stream, sim.driver, sim.clock,
        ticks_per_second=int(_number(body, "ticks_per_second")),
        duration_s=_number(body, "duration_s"),
        ticks_per_frame=int(body.get("ticks_per_frame", 20)),
    )  # fmt: skip
    return answer(figures)


async def _object(request: web.Request) -> dict[str, Any]:
    body = await json_body(request)
    if not isinstance(body, dict):
        raise Refused(f"expected a JSON object, found {type(body).__name__}")
    return body


def _number(body: dict[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise Refused(f"{name} is {value!r}; expected a number that is not negative")
    return float(value)


def _instant(text: Any) -> int:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as e:
        raise Refused(f"{text!r} is no instant; expected IST as in 2026-02-02T10:00:00") from e
    return to_us(moment) // 1000


def _clock(sim: Simulator) -> dict[str, Any]:
    now_ms = sim.market.now_ms()
    return {
        "now_ms": now_ms,
        "now": to_datetime(now_ms * 1000).astimezone(IST).isoformat(timespec="milliseconds"),
        "played_ms": sim.driver.played_ms,
        "phase": sim.market.phase(now_ms).value,
        "speed": sim.market.clock.speed,
        "paused": sim.market.clock.paused,
        "held_back_ms": round(sim.market.clock.held_back_ms),
    }
