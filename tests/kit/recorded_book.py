"""The broker's own rows, as its documents spell them, and an order book made of nothing but such rows.

It stands for the broker where the simulator, which is ours, could err with us: whatever is not asked for stays as it
was recorded. Market orders fill at once, all others rest; orders above the freeze quantity are sliced.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kit.recorded_broker import RecordedBroker

KEY = "NSE_EQ|INE848E01016"
ORDER = {
    "exchange": "NSE", "product": "D", "price": 571.0, "quantity": 10.0, "status": "complete", "guid": None,
    "tag": None, "instrument_token": KEY, "placed_by": "AB1234", "tradingsymbol": "NHPC-EQ",
    "trading_symbol": "NHPC-EQ", "order_type": "LIMIT", "validity": "DAY", "trigger_price": 0.0,
    "disclosed_quantity": 0, "transaction_type": "BUY", "average_price": 570.95, "filled_quantity": 10,
    "pending_quantity": 0, "status_message": None, "status_message_raw": None, "exchange_order_id": "1300000025660919",
    "parent_order_id": None, "order_id": "231019025562880", "variety": "SIMPLE",
    "order_timestamp": "2026-02-02 13:25:56", "exchange_timestamp": "2026-02-02 13:25:56", "is_amo": False,
    "order_request_id": "1", "order_ref_id": "GTTB-1", "a_field_of_tomorrow": {"x": 1},
}  # fmt: skip
TRADE = {
    "exchange": "NSE", "product": "D", "trading_symbol": "NHPC-EQ", "instrument_token": KEY, "order_type": "LIMIT",
    "transaction_type": "BUY", "quantity": 10, "exchange_order_id": "1300000025660919", "order_id": "231019025562880",
    "exchange_timestamp": "02-Feb-2026 13:25:56", "average_price": 570.95, "trade_id": "50091502",
    "order_ref_id": "GTTB-1", "order_timestamp": "02-Feb-2026 13:25:50",
}  # fmt: skip
POSITION = {"exchange": "NSE", "instrument_token": KEY, "quantity": 10, "product": "D", "multiplier": 1.0}
HOLDING = {"exchange": "NSE", "instrument_token": KEY, "quantity": 3, "product": "D", "t1_quantity": 2, "isin": "x"}


def ok(data: Any) -> tuple[int, dict[str, Any]]:
    return (200, {"status": "success", "data": data})


def refused(code: str) -> tuple[int, dict[str, Any]]:
    return (400, {"status": "error", "errors": [{"errorCode": code, "message": "recorded"}]})


class RecordedBook:
    """Answers for a `RecordedBroker`, out of its recorded rows."""

    def __init__(self, broker: RecordedBroker, *, freeze_quantity: int = 100_000) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        #: Whether market orders rest, too, until `fill`.
        self.is_resting = False
        self._freeze_quantity = freeze_quantity
        broker.answers = {
            "POST /v3/order/place": self._place, "PUT /v3/order/modify": self._modify,
            "DELETE /v3/order/cancel": self._cancel,
            "GET /v2/order/retrieve-all": lambda _: ok(list(self.orders.values())),
            "GET /v2/order/trades/get-trades-for-day": lambda _: ok(self.trades),
            "GET /v2/portfolio/short-term-positions": lambda _: ok(self._positions()),
            "GET /v2/portfolio/long-term-holdings": ok([]),
            "GET /v3/user/get-funds-and-margin": ok({"available_to_trade": {"total": 1e9, "cash": {}}}),
        }  # fmt: skip

    def fill(self, name: str, quantity: int) -> None:
        """Trade a part of an order."""
        row = self.orders[name]
        row["filled_quantity"] += quantity
        row["pending_quantity"] = int(row["quantity"]) - row["filled_quantity"]
        row["status"] = "complete" if not row["pending_quantity"] else "open"
        self.trades.append(
            TRADE | {
                "order_id": name, "trade_id": f"{50_091_502 + len(self.trades)}", "quantity": quantity,
                "transaction_type": row["transaction_type"], "product": row["product"],
            }
        )  # fmt: skip

    def _place(self, asked: dict[str, Any]) -> tuple[int, Any]:
        left, names = asked["quantity"], []
        while left:
            name = f"{231_019_025_562_880 + len(self.orders)}"
            quantity = min(left, self._freeze_quantity)
            self.orders[name] = ORDER | {
                "order_id": name, "tag": asked["tag"], "quantity": float(quantity), "filled_quantity": 0,
                "pending_quantity": quantity, "status": "open", "transaction_type": asked["transaction_type"],
                "order_type": asked["order_type"], "price": float(asked["price"] or 0), "product": asked["product"],
            }  # fmt: skip
            if asked["order_type"] == "MARKET" and not self.is_resting:
                self.fill(name, quantity)
            names.append(name)
            left -= quantity
        return ok({"order_ids": names})

    def _modify(self, asked: dict[str, Any]) -> tuple[int, Any]:
        row = self.orders[asked["order_id"]]
        if row["status"] != "open":
            return refused("UDAPI100041")
        row |= {"quantity": float(asked["quantity"]), "price": float(asked["price"])}
        row["pending_quantity"] = asked["quantity"] - row["filled_quantity"]
        return ok({"order_id": asked["order_id"]})

    def _cancel(self, path: str) -> tuple[int, Any]:
        (name,) = parse_qs(urlsplit(path).query)["order_id"]
        if self.orders[name]["status"] != "open":
            return refused("UDAPI100040")
        self.orders[name] |= {"status": "cancelled", "pending_quantity": 0}
        return ok({"order_id": name})

    def _positions(self) -> list[dict[str, Any]]:
        signs = {"BUY": 1, "SELL": -1}
        net = sum(signs[row["transaction_type"]] * row["quantity"] for row in self.trades)
        return [POSITION | {"quantity": net, "product": self.trades[0]["product"]}] if self.trades else []
