"""Every path the simulator answers."""

from __future__ import annotations

from aiohttp import web

from services.exchange_sim.handlers import batches, control, gtt, login, market, orders, reports, streams, user


def routes() -> list[web.RouteDef]:
    """List method, path and handler."""
    return [*_order_routes(), *_account_routes(), *_market_routes(), *_stream_routes(), *_control_routes()]


def _order_routes() -> list[web.RouteDef]:
    return [
        web.post("/v3/order/place", orders.place),
        web.put("/v3/order/modify", orders.modify),
        web.delete("/v3/order/cancel", orders.cancel),
        web.post("/v2/order/multi/place", batches.place_many),
        web.delete("/v2/order/multi/cancel", batches.cancel_many),
        web.post("/v2/order/positions/exit", batches.exit_positions),
        web.post("/v3/order/gtt/place", gtt.place),
        web.put("/v3/order/gtt/modify", gtt.modify),
        web.delete("/v3/order/gtt/cancel", gtt.cancel),
        web.get("/v3/order/gtt", gtt.details),
        web.get("/v2/order/retrieve-all", reports.order_book),
        web.get("/v2/order/details", reports.order_details),
        web.get("/v2/order/history", reports.order_history),
        web.get("/v2/order/trades/get-trades-for-day", reports.trades),
        web.get("/v2/order/trades", reports.trades_of_order),
    ]


def _account_routes() -> list[web.RouteDef]:
    return [
        web.get("/v2/portfolio/short-term-positions", reports.positions),
        web.get("/v2/portfolio/long-term-holdings", reports.holdings),
        web.get("/v3/portfolio/mtf-positions", reports.mtf_positions),
        web.put("/v2/portfolio/convert-position", reports.convert_position),
        web.get("/v2/user/profile", user.profile),
        web.get("/v3/user/get-funds-and-margin", user.funds_v3),
        web.get("/v2/user/get-funds-and-margin", user.funds_v2),
        web.get("/v2/user/kill-switch", user.kill_switch),
        web.post("/v2/user/kill-switch", user.update_kill_switch),
        web.get("/v2/user/ip", user.static_ips),
        web.put("/v2/user/ip", user.static_ips),
        web.get("/v2/charges/brokerage", user.brokerage_of),
        web.post("/v2/charges/margin", user.margin),
        web.get("/v2/login/authorization/dialog", login.dialog),
        web.post("/v2/login/authorization/token", login.token),
        web.post("/v3/login/auth/token/request/{client_id}", login.request_token),
        web.delete("/v2/logout", login.logout),
    ]


def _market_routes() -> list[web.RouteDef]:
    history = "/v3/historical-candle/{key}/{unit}/{interval}"
    return [
        web.get("/v3/historical-candle/intraday/{key}/{unit}/{interval}", market.intraday),
        web.get(history + "/{to}/{from}", market.history),
        web.get(history + "/{to}", market.history),
        web.get("/v3/market-quote/{kind:ltp|ohlc|option-greek|quotes}", market.quotes),
        web.get("/v2/market/holidays", market.holidays),
        web.get("/v2/market/holidays/{date}", market.holidays),
        web.get("/v2/market/timings/{date}", market.timings),
        web.get("/v2/market/status/{exchange}", market.status),
        web.get("/v2/instruments/search", market.search_instruments),
        web.get("/market-quote/instruments/exchange/{name:NSE|complete}.json.gz", market.instruments_file),
    ]


def _stream_routes() -> list[web.RouteDef]:
    return [
        web.get(streams.MARKET_PATH, streams.market_feed),
        web.get(streams.MARKET_PATH + "/authorize", streams.authorize_market),
        web.get(streams.PORTFOLIO_PATH, streams.portfolio_feed),
        web.get(streams.PORTFOLIO_PATH + "/authorize", streams.authorize_portfolio),
    ]


def _control_routes() -> list[web.RouteDef]:
    return [
        web.get("/_sim/faults", control.faults),
        web.post("/_sim/faults", control.add_fault),
        web.delete("/_sim/faults", control.clear_faults),
        web.delete("/_sim/faults/{id:[0-9]+}", control.clear_faults),
        web.get("/_sim/state", control.state),
        web.get("/_sim/ticks", control.ticks),
        web.get("/_sim/clock", control.clock),
        web.post("/_sim/clock", control.set_clock),
        web.post("/_sim/tokens", control.issue_token),
        web.post("/_sim/flood", control.start_flood),
    ]
