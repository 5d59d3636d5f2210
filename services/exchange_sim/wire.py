"""The broker's spelling of orders, trades, positions and errors. Where it has two, both go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from libs.core.clock import IST, to_datetime
from services.exchange_sim.exchange.account import Account, Holding, Position
from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.exchange.orders import Fill, Order

USER_ID = "SIM001"


def answer(body: Any, status: int = 200) -> web.Response:
    """Make a JSON response."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def success(data: Any, **more: Any) -> web.Response:
    """Make the broker's envelope of a success."""
    return answer({"status": "success", "data": data, **more})


def failure(status: int, *problems: Problem) -> web.Response:
    """Make the broker's envelope of an error, with both spellings of its keys."""
    return answer({"status": "error", "errors": [problem_row(problem) for problem in problems]}, status)


def problem_row(problem: Problem) -> dict[str, Any]:
    """Spell one error."""
    return {
        "error_code": problem.code,
        "errorCode": problem.code,
        "message": problem.message,
        "property_path": problem.property_path,
        "propertyPath": problem.property_path,
        "invalid_value": problem.invalid_value,
        "invalidValue": problem.invalid_value,
    }


def ist_text(at_ms: int | None) -> str:
    """Spell an instant as the broker does in orders: IST, to the second, without a zone."""
    if at_ms is None:
        return ""
    return to_datetime(at_ms * 1000).astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Speller:
    """Spells rows; `skew_ms` is how wrong the exchange's clock is made to be."""

    skew_ms: int = 0

    def order(self, order: Order, row: dict[str, Any] | None = None) -> dict[str, Any]:
        """Spell an order as it is, or as it was at a row of its history."""
        now = row or order.history[-1]
        request = now["request"]
        final = order.is_final if row is None else False
        pending = 0 if final else request.quantity - now["filled_quantity"]
        return {
            "exchange": "NSE",
            "product": request.product,
            "price": request.price,
            "quantity": request.quantity,
            "status": now["status"],
            "guid": order.guid,
            "tag": request.tag,
            "instrument_token": request.instrument.key,
            "placed_by": USER_ID,
            "tradingsymbol": f"{request.instrument.symbol}-EQ",
            "trading_symbol": f"{request.instrument.symbol}-EQ",
            "order_type": request.order_type,
            "validity": request.validity,
            "trigger_price": request.trigger_price,
            "disclosed_quantity": request.disclosed_quantity,
            "transaction_type": "BUY" if request.is_buy else "SELL",
            "average_price": now["average_price"],
            "filled_quantity": now["filled_quantity"],
            "pending_quantity": pending,
            "status_message": now["message"],
            "status_message_raw": now["message"],
            "exchange_order_id": order.exchange_order_id if now["status"] not in _BEFORE_EXCHANGE else None,
            "parent_order_id": order.parent_order_id,
            "order_id": order.order_id,
            "variety": "AMO" if request.is_amo else "SIMPLE",
            "order_timestamp": self._text(order.received_ms if row is None else now["at_ms"]),
            "exchange_timestamp": self._text(order.exchange_ms),
            "is_amo": request.is_amo,
            "order_request_id": "1",
            "order_ref_id": order.gtt_order_id or order.order_id[::-1],
        }

    def order_event(self, order: Order) -> dict[str, Any]:
        """Spell the portfolio stream's event of an order's latest change."""
        row = self.order(order)
        return {"update_type": "order", "user_id": USER_ID, "instrument_key": row["instrument_token"], **row}

    def trade(self, order: Order, fill: Fill) -> dict[str, Any]:
        """Spell a trade."""
        request = order.request
        return {
            "exchange": "NSE",
            "product": request.product,
            "trading_symbol": f"{request.instrument.symbol}-EQ",
            "tradingsymbol": f"{request.instrument.symbol}-EQ",
            "instrument_token": request.instrument.key,
            "order_type": request.order_type,
            "transaction_type": "BUY" if request.is_buy else "SELL",
            "quantity": fill.quantity,
            "exchange_order_id": order.exchange_order_id,
            "order_id": order.order_id,
            "exchange_timestamp": self._text(fill.at_ms),
            "average_price": fill.price,
            "trade_id": fill.trade_id,
            "order_ref_id": order.order_id[::-1],
            "order_timestamp": self._text(order.received_ms),
        }

    def _text(self, at_ms: int | None) -> str:
        return ist_text(None if at_ms is None else at_ms + self.skew_ms)


_BEFORE_EXCHANGE = {"put order req received", "validation pending", "open pending", "after market order req received"}


def position_row(position: Position, price: float, close_price: float) -> dict[str, Any]:
    """Spell a position at a price."""
    unrealised = position.unrealised(price)
    return {
        "exchange": "NSE",
        "multiplier": 1.0,
        "value": round(position.buy_value - position.sell_value, 2),
        "pnl": round(position.realised + unrealised, 2),
        "product": position.product,
        "instrument_token": position.instrument.key,
        "average_price": position.average_price,
        "buy_value": round(position.buy_value, 2),
        "overnight_quantity": 0,
        "day_buy_value": round(position.buy_value, 2),
        "day_buy_price": position.buy_price,
        "overnight_buy_amount": 0.0,
        "overnight_buy_quantity": 0,
        "day_buy_quantity": position.buy_quantity,
        "day_sell_value": round(position.sell_value, 2),
        "day_sell_price": position.sell_price,
        "overnight_sell_amount": 0.0,
        "overnight_sell_quantity": 0,
        "day_sell_quantity": position.sell_quantity,
        "quantity": position.quantity,
        "last_price": price,
        "unrealised": unrealised,
        "realised": position.realised,
        "sell_value": round(position.sell_value, 2),
        "tradingsymbol": position.instrument.symbol,
        "trading_symbol": position.instrument.symbol,
        "close_price": close_price,
        "buy_price": position.buy_price,
        "sell_price": position.sell_price,
    }


def holding_row(holding: Holding, price: float, close_price: float) -> dict[str, Any]:
    """Spell a holding at a price."""
    change = round(price - close_price, 2)
    return {
        "isin": holding.instrument.isin,
        "cnc_used_quantity": 0,
        "collateral_type": "",
        "company_name": holding.instrument.name,
        "haircut": 0.0,
        "product": "D",
        "quantity": holding.quantity,
        "tradingsymbol": holding.instrument.symbol,
        "trading_symbol": holding.instrument.symbol,
        "last_price": price,
        "close_price": close_price,
        "pnl": round(holding.quantity * (price - holding.average_price), 2),
        "day_change": change,
        "day_change_percentage": round(100 * change / close_price, 2) if close_price else 0.0,
        "instrument_token": holding.instrument.key,
        "average_price": holding.average_price,
        "collateral_quantity": 0,
        "collateral_update_quantity": 0,
        "t1_quantity": 0,
        "exchange": "NSE",
    }


def funds_v2_row(account: Account, margin_used: float) -> dict[str, Any]:
    """Spell one segment of the older funds answer."""
    return {
        "used_margin": margin_used,
        "payin_amount": 0.0,
        "span_margin": 0.0,
        "adhoc_margin": 0.0,
        "notional_cash": 0.0,
        "available_margin": round(account.cash_now() - margin_used, 2),
        "exposure_margin": 0.0,
    }
