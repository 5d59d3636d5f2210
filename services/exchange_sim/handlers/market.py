"""The exchange's calendar, candles and quotes."""

from __future__ import annotations

import gzip
from datetime import date

import msgspec
from aiohttp import web

from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.handlers.candles import intraday_candles, past_candles
from services.exchange_sim.market.candles import Candle
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.sessions import midnight_ms
from services.exchange_sim.simulator import SIMULATOR, Simulator
from services.exchange_sim.wire import failure, success

EXCHANGES = ("NSE", "NFO", "BSE", "BFO")
_BAD_KEY = Problem("UDAPI100011", "Invalid Instrument key", "instrument_key")


async def holidays(request: web.Request) -> web.StreamResponse:
    """GET /v2/market/holidays and /v2/market/holidays/{date}."""
    sim = request.app[SIMULATOR]
    wanted = request.match_info.get("date")
    days = sorted(sim.days.holidays)
    if wanted:
        days = [day for day in days if day == _date(wanted)]
    return success(
        [
            {
                "date": day.isoformat(),
                "description": sim.days.holidays[day],
                "holiday_type": "TRADING_HOLIDAY",
                "closed_exchanges": list(EXCHANGES),
                "open_exchanges": [],
            }
            for day in days
        ]
    )


async def timings(request: web.Request) -> web.StreamResponse:
    """GET /v2/market/timings/{date}: nothing on a closed day."""
    sim = request.app[SIMULATOR]
    session = sim.days.session(_date(request.match_info["date"]))
    if session is None:
        return success([])
    row = {"start_time": session.open_ms, "end_time": session.close_ms}
    return success([{"exchange": exchange, **row} for exchange in EXCHANGES])


async def status(request: web.Request) -> web.StreamResponse:
    """GET /v2/market/status/{exchange}."""
    sim = request.app[SIMULATOR]
    exchange = request.match_info["exchange"]
    if exchange not in EXCHANGES:
        return failure(400, Problem("UDAPI1088", "Invalid exchange", "exchange", exchange))
    now_ms = sim.market.now_ms()
    return success({"exchange": exchange, "status": sim.market.phase(now_ms).value, "last_updated": now_ms})


async def history(request: web.Request) -> web.StreamResponse:
    """GET /v3/historical-candle/{key}/{unit}/{interval}/{to}[/{from}]: days before today, newest first."""
    sim = request.app[SIMULATOR]
    instrument = _instrument(sim, request.match_info["key"])
    if instrument is None:
        return failure(400, _BAD_KEY)
    last = _date(request.match_info["to"])
    first = _date(request.match_info["from"]) if "from" in request.match_info else last
    return _candles(past_candles(sim.market, instrument, *_unit(request), first, last))


async def intraday(request: web.Request) -> web.StreamResponse:
    """GET /v3/historical-candle/intraday/{key}/{unit}/{interval}: today so far, newest first."""
    sim = request.app[SIMULATOR]
    instrument = _instrument(sim, request.match_info["key"])
    if instrument is None:
        return failure(400, _BAD_KEY)
    return _candles(intraday_candles(sim.market, instrument, *_unit(request)))


async def quotes(request: web.Request) -> web.StreamResponse:
    """GET /v3/market-quote/{ltp,ohlc,option-greek,quotes}?instrument_key=a,b. Keyed by segment and symbol."""
    sim = request.app[SIMULATOR]
    keys = [key for key in request.query.get("instrument_key", "").split(",") if key]
    instruments = [instrument for key in keys if (instrument := sim.market.listing.find(key))]
    if not instruments or len(keys) > 500:
        return failure(400, Problem("UDAPI1087", "Give 1 to 500 instrument keys", "instrument_key", ",".join(keys)))
    kind = request.match_info["kind"]
    if kind == "ohlc" and request.query.get("interval") not in {"1d", "I1", "I30"}:
        value = request.query.get("interval")
        return failure(400, Problem("UDAPI1021", "interval must be 1d, I1 or I30", "interval", value))
    return success(
        {
            f"{one.segment}:{one.symbol}": _quote_row(sim, one, kind, request.query.get("interval", ""))
            for one in instruments
        }
    )


async def instruments_file(request: web.Request) -> web.StreamResponse:
    """GET /market-quote/instruments/exchange/{NSE,complete}.json.gz: the master, gzipped JSON."""
    sim = request.app[SIMULATOR]
    body = gzip.compress(msgspec.json.encode(sim.market.listing.rows()), 6, mtime=0)
    return web.Response(body=body, content_type="application/gzip")


async def search_instruments(request: web.Request) -> web.StreamResponse:
    """GET /v2/instruments/search?query=."""
    sim = request.app[SIMULATOR]
    text = request.query.get("query", "").upper()
    rows = [row for row in sim.market.listing.rows() if text in str(row["trading_symbol"])]
    return success(rows[:30], meta_data={"page": {"total_records": len(rows), "page_number": 1, "records": 30}})


def _quote_row(sim: Simulator, instrument: Instrument, kind: str, interval: str) -> dict[str, object]:
    now_ms = sim.market.now_ms()
    quote = sim.market.quote(instrument, now_ms)
    row: dict[str, object] = {"last_price": quote.price, "instrument_token": instrument.key}
    if kind == "ltp":
        return row | {"ltq": quote.trade_quantity, "volume": quote.volume_day, "cp": quote.previous_close}
    if kind == "option-greek":
        zero = dict.fromkeys(("iv", "vega", "gamma", "theta", "delta", "oi"), 0.0)
        return row | {"ltq": quote.trade_quantity, "volume": quote.volume_day, "cp": quote.previous_close} | zero
    if kind == "ohlc":
        day = sim.days.previous(to_datetime(now_ms * 1000).astimezone(IST).date())
        before = sim.market.day(instrument, day, now_ms)
        use_day = interval == "1d"
        return row | {
            "live_ohlc": _ohlc(quote.day if use_day else quote.minute),
            "prev_ohlc": _ohlc(before) if use_day else None,
        }
    return row | _full_row(sim, instrument, now_ms)


def _full_row(sim: Simulator, instrument: Instrument, now_ms: int) -> dict[str, object]:
    quote = sim.market.quote(instrument, now_ms)
    path = sim.market.instrument_day(instrument, now_ms).path
    book = quote.depth or []
    return {
        "ohlc": _ohlc(quote.day),
        "depth": {
            "buy": [{"quantity": level[0], "price": level[1], "orders": 1 + level[0] % 7} for level in book],
            "sell": [{"quantity": level[2], "price": level[3], "orders": 1 + level[2] % 7} for level in book],
        },
        "timestamp": to_datetime(now_ms * 1000).astimezone(IST).isoformat(timespec="milliseconds"),
        "symbol": instrument.symbol,
        "volume": quote.volume_day,
        "average_price": quote.average_price,
        "oi": 0.0,
        "net_change": round(quote.price - quote.previous_close, 2),
        "total_buy_quantity": float(20 * sum(level[0] for level in book)),
        "total_sell_quantity": float(20 * sum(level[2] for level in book)),
        "lower_circuit_limit": path.circuit_lower,
        "upper_circuit_limit": path.circuit_upper,
        "last_trade_time": str(quote.trade_time_ms),
        "prev_close_price": quote.previous_close,
        "cas_eligible": instrument.rank < 200,
    }


def _ohlc(candle: Candle | None) -> dict[str, object] | None:
    if candle is None:
        return None
    return {
        "open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close,
        "volume": candle.volume, "ts": candle.start_ms,
    }  # fmt: skip


def _candles(candles: list[Candle]) -> web.Response:
    rows = [
        [
            to_datetime(candle.start_ms * 1000).astimezone(IST).isoformat(),
            candle.open, candle.high, candle.low, candle.close, candle.volume, 0,
        ]
        for candle in reversed(candles)
    ]  # fmt: skip
    return success({"candles": rows})


def _instrument(sim: Simulator, key: str) -> Instrument | None:
    return sim.market.listing.find(key)


def _unit(request: web.Request) -> tuple[str, int]:
    interval = request.match_info["interval"]
    if not interval.isdecimal():
        raise Refused(f"interval is {interval!r}; expected a number")
    return request.match_info["unit"], int(interval)


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
        midnight_ms(day)
    except ValueError as e:
        raise Refused(f"{text!r} is no date; expected yyyy-mm-dd") from e
    return day
