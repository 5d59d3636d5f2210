"""The doors to the two streams: authorisation, the redirect with its one-time code, the sockets themselves."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from libs.runtime.logs import get_logger
from services.exchange_sim.access import TRADING
from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.feed.connections import MARKET, PORTFOLIO, SentLog, StreamConnection, reset_transport
from services.exchange_sim.feed.market_stream import MarketConnection
from services.exchange_sim.feed.portfolio_stream import UPDATE_TYPES, PortfolioConnection
from services.exchange_sim.handlers.guard import BAD_TOKEN, bearer
from services.exchange_sim.simulator import SIMULATOR, Simulator
from services.exchange_sim.wire import failure, success

MARKET_PATH = "/v3/feed/market-data-feed"
PORTFOLIO_PATH = "/v2/feed/portfolio-stream-feed"
_FORBIDDEN = Problem("UDAPI100072", "Access to the stream is refused")


async def authorize_market(request: web.Request) -> web.StreamResponse:
    """GET /v3/feed/market-data-feed/authorize: where to connect, with a one-time code."""
    return _refusal(request, MARKET) or _told(request, MARKET, MARKET_PATH)


async def authorize_portfolio(request: web.Request) -> web.StreamResponse:
    """GET /v2/feed/portfolio-stream-feed/authorize."""
    return _refusal(request, PORTFOLIO) or _told(request, PORTFOLIO, PORTFOLIO_PATH)


async def market_feed(request: web.Request) -> web.StreamResponse:
    """The market feed: with a token a redirect, with the redirect's code the socket."""
    sim = request.app[SIMULATOR]
    if (refused := _enter(request, MARKET, MARKET_PATH)) is not None:
        return refused
    if len(sim.market_stream.connections) >= sim.settings.feed_connections_max:
        return failure(403, Problem("UDAPI100073", f"At most {sim.settings.feed_connections_max} connections"))
    connection = MarketConnection(sim.next_connection_number(), request, sim.market_stream, _log(sim), **_limits(sim))
    await connection.open()
    sim.market_stream.add(connection)
    try:
        await _serve(sim, connection)
    finally:
        sim.market_stream.remove(connection)
    return connection.response


async def portfolio_feed(request: web.Request) -> web.StreamResponse:
    """The portfolio stream; without update_types it sends orders."""
    sim = request.app[SIMULATOR]
    if (refused := _enter(request, PORTFOLIO, PORTFOLIO_PATH)) is not None:
        return refused
    wanted = frozenset(request.query.get("update_types", "order").split(",")) & frozenset(UPDATE_TYPES)
    connection = PortfolioConnection(
        sim.next_connection_number(), request, wanted, sim.faults, _log(sim), **_limits(sim)
    )
    await connection.open()
    sim.portfolio_stream.connections.append(connection)
    try:
        await _serve(sim, connection)
    finally:
        sim.portfolio_stream.connections.remove(connection)
    return connection.response


async def _serve(sim: Simulator, connection: StreamConnection) -> None:
    log = get_logger()
    log.info("stream.opened", stream=connection.stream, connection=connection.number)
    try:
        await connection.serve()
    finally:
        sim.ended = [*sim.ended[-999:], connection]
        log.info("stream.closed", stream=connection.stream, connection=connection.number, why=connection.closed)


def _enter(request: web.Request, stream: str, path: str) -> web.StreamResponse | None:
    """Give what to answer instead of a socket, None when the socket may be opened."""
    sim = request.app[SIMULATOR]
    if sim.is_disconnected(stream):
        reset_transport(request)
        return web.Response()
    code = request.query.get("code")
    if code is not None:
        return None if sim.tokens.redeem(code, stream) else failure(401, BAD_TOKEN)
    if refused := _refusal(request, stream):
        return refused
    raise web.HTTPFound(_address(request, stream, path))


def _refusal(request: web.Request, stream: str) -> web.Response | None:
    sim = request.app[SIMULATOR]
    if refused := sim.faults.strike("authorize_refused", stream=stream):
        return failure(refused.parameters["status"], _FORBIDDEN)
    scope = sim.tokens.scope(bearer(request))
    if scope is None:
        return failure(401, BAD_TOKEN)
    if stream == PORTFOLIO and scope != TRADING:
        return failure(403, _FORBIDDEN)
    return None


def _told(request: web.Request, stream: str, path: str) -> web.Response:
    address = _address(request, stream, path)
    return success({"authorized_redirect_uri": address, "authorizedRedirectUri": address})


def _address(request: web.Request, stream: str, path: str) -> str:
    """Spell the address with a fresh code; what the client asked of the stream stays in it."""
    query = dict(request.query) | {"code": request.app[SIMULATOR].tokens.code(stream)}
    scheme = "wss" if request.secure else "ws"
    return f"{scheme}://{request.host}{path}?{urlencode(query)}"


def _log(sim: Simulator) -> SentLog:
    return SentLog(keep=sim.settings.record_ticks, most=sim.settings.recorded_ticks_max)


def _limits(sim: Simulator) -> dict[str, float]:
    return {"queue_max": sim.settings.frames_queued_max, "ping_interval_s": sim.settings.ping_interval_s}
