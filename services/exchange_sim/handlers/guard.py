"""What every request passes before and after its handler: faults, access, rate limits, errors in the broker's form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web

from libs.core.errors import Refused
from services.exchange_sim.access import ANALYTICS, EXTENDED, RateLimiter
from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.feed.connections import reset_transport
from services.exchange_sim.simulator import SIMULATOR, Simulator
from services.exchange_sim.wire import failure

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTROL = "/_sim/"
HISTORY_PATHS = ("/v2/historical-candle/", "/v3/historical-candle/")
#: The SDK sends no token to these, and the broker asks for none.
OPEN_PATHS = (
    *HISTORY_PATHS, "/v2/login/", "/v3/login/", "/v2/market/", "/market-quote/instruments/", "/v2/feed/", "/v3/feed/",
)  # fmt: skip
#: Paths that count as order APIs: they have the stricter rate limit.
ORDER_PATHS = (
    "/v3/order/place", "/v3/order/modify", "/v3/order/cancel", "/v3/order/gtt/", "/v2/order/multi/",
    "/v2/order/positions/exit",
)  # fmt: skip
#: What reading tokens may not do.
TRADING_PATHS = (*ORDER_PATHS, "/v2/user/", "/v3/user/", "/v2/portfolio/convert-position")

BAD_TOKEN = Problem("UDAPI100050", "Invalid token used to access API")
READ_ONLY = Problem("UDAPI100067", "This API is not allowed with an extended token")
TOO_MANY = Problem("UDAPI10005", "Too Many Request Sent")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through, or answer it as the broker would."""
    if request.path.startswith(CONTROL):
        return await _control(request, handler)
    sim = request.app[SIMULATOR]
    sim.requests[f"{request.method} {request.path}"] += 1
    if _kept_out(sim, request):
        return _dead_socket(request)
    if refusal := await _before(sim, request):
        return refusal
    response = await _handled(request, handler)
    if sim.faults.strike("rest_reset", path=request.path, when="after"):
        return _dead_socket(request)
    return response


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as e:
        return failure(400, Problem("UDAPI100036", str(e)))
    except web.HTTPNotFound:
        return failure(404, Problem("UDAPI100060", "Resource not Found."))


async def _control(request: web.Request, handler: Handler) -> web.StreamResponse:
    peer = request.remote or ""
    if not ip_address(peer.partition("%")[0]).is_loopback:
        return failure(403, Problem("SIM403", f"the control API serves this machine only, not {peer}"))
    try:
        return await handler(request)
    except Refused as e:
        return failure(400, Problem("SIM400", str(e)))


def _kept_out(sim: Simulator, request: web.Request) -> bool:
    if "/feed/" in request.path:
        return False  # the streams' own handlers know which of them is out
    fault = sim.faults.in_force("disconnect")
    return fault is not None and fault.parameters["rest"]


async def _before(sim: Simulator, request: web.Request) -> web.StreamResponse | None:
    path = request.path
    if sim.faults.strike("rest_reset", path=path, when="before"):
        return _dead_socket(request)
    if slow := sim.faults.strike("slow", path=path):
        await asyncio.sleep(slow.parameters["delay_s"])
    if error := sim.faults.strike("http_error", path=path):
        values = error.parameters
        return failure(values["status"], Problem(values["code"], values["message"]))
    if sim.faults.strike("rate_limit", path=path):
        return failure(429, TOO_MANY)
    if refusal := _access(sim, request):
        return refusal
    limiter = _limiter(sim, path)
    return failure(429, TOO_MANY) if limiter is not None and not limiter.take() else None


def _limiter(sim: Simulator, path: str) -> RateLimiter | None:
    """Choose who counts a request: the broker asks no token for history, and counts its calls all the same."""
    if path.startswith(HISTORY_PATHS):
        return sim.history_limiter
    if path.startswith(OPEN_PATHS):
        return None
    return sim.order_limiter if path.startswith(ORDER_PATHS) else sim.request_limiter


def _access(sim: Simulator, request: web.Request) -> web.Response | None:
    if request.path.startswith(OPEN_PATHS):
        return None
    scope = sim.tokens.scope(bearer(request))
    if scope is None:
        return failure(401, BAD_TOKEN)
    writes = request.method != "GET" or request.path.startswith(("/v2/user/", "/v3/user/"))
    if scope in {ANALYTICS, EXTENDED} and writes and request.path.startswith(TRADING_PATHS):
        return failure(401, READ_ONLY)
    return None


def bearer(request: web.Request) -> str:
    """Give the request's token, empty when it has none."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def _dead_socket(request: web.Request) -> web.Response:
    reset_transport(request)
    return web.Response()
