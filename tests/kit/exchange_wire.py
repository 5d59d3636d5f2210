"""A wire from the engine to the exchange simulator over bare HTTP: what the engine's proofs send their orders through.

Plain requests, one at a time, no retries; every way they fail is told apart by what it proves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from libs.contracts.orders import OrderStatus, Side
from libs.core.clock import Clock, to_us
from libs.core.errors import OutcomeUnknown, Refused, RetryLater
from libs.core.faults import crash_point
from libs.orders import evidence as ev
from libs.orders.model import FINAL, Change, Fill, Order, Product
from libs.orders.reconcile import BrokerBook
from services.execution_engine.answers import cancel_evidence, change_evidence, place_evidence
from services.execution_engine.wire import Answer
from tests.kit.exchange_sim import TRADING_TOKEN

_TIMEOUT_S = 0.5
_TYPES = {"market": "MARKET", "limit": "LIMIT", "sl": "SL", "sl_m": "SL-M"}
_STATUSES = {
    "complete": OrderStatus.FILLED, "cancelled": OrderStatus.CANCELLED, "rejected": OrderStatus.REJECTED,
    "open": OrderStatus.OPEN, "trigger pending": OrderStatus.OPEN,
}  # fmt: skip


class ExchangeWire:
    """Sends at once and answers in place. Sees only the orders of its own symbols, as if the account were its own."""

    def __init__(self, url: str, keys: dict[str, str], clock: Clock, market_us: Callable[[], int]) -> None:
        self.answered: Callable[[Answer], None]
        self.reported: Callable[..., int]
        self._host = urlsplit(url).netloc
        self._keys = keys
        self._symbols = {key: symbol for symbol, key in keys.items()}
        self._clock = clock
        self._market_us = market_us

    # -- requests -----------------------------------------------------------------------------------------------------

    def place(self, order: Order, approved: Any) -> None:
        body = {
            "quantity": order.quantity, "product": "I", "validity": "DAY", "price": order.price or 0,
            "tag": order.order_id, "instrument_token": self._keys[order.symbol], "slice": True,
            "order_type": _TYPES[order.order_type.value], "disclosed_quantity": 0, "is_amo": False,
            "transaction_type": order.side.value.upper(), "trigger_price": order.price_trigger or 0,
        }  # fmt: skip

        def call() -> tuple[str, ...]:
            try:
                return tuple(self.ask("POST", "/v3/order/place", body, writes=True)["order_ids"])
            finally:
                crash_point("engine.place.sent")

        evidence, outcome = place_evidence(call, self._market_us())
        self._answer(order, "place", evidence, outcome)

    def cancel(self, order: Order, number: int) -> None:
        def call() -> None:
            try:
                for child in order.children:
                    if child.status not in FINAL:
                        self.ask("DELETE", f"/v3/order/cancel?order_id={child.broker_order_id}", writes=True)
            finally:
                crash_point("engine.cancel.sent")

        self._answer(order, "cancel", *cancel_evidence(call, number, self._market_us()))

    def change(self, order: Order, change: Change) -> None:
        body = {
            "order_id": order.children[0].broker_order_id, "quantity": change.quantity, "price": change.price or 0,
            "order_type": _TYPES[order.order_type.value], "validity": "DAY", "disclosed_quantity": 0,
            "trigger_price": change.price_trigger or 0,
        }  # fmt: skip

        def call() -> None:
            try:
                self.ask("PUT", "/v3/order/modify", body, writes=True)
            finally:
                crash_point("engine.change.sent")

        self._answer(order, "change", *change_evidence(call, change, self._market_us()))

    # -- what is seen -------------------------------------------------------------------------------------------------

    def book(self) -> BrokerBook:
        """Ask for orders, trades and positions; raise when any of them cannot be had."""
        now_us = self._market_us()
        orders = [row for row in self.ask("GET", "/v2/order/retrieve-all") if self._is_own(row)]
        trades = [row for row in self.ask("GET", "/v2/order/trades/get-trades-for-day") if self._is_own(row)]
        positions = [row for row in self.ask("GET", "/v2/portfolio/short-term-positions") if self._is_own(row)]
        return BrokerBook(
            orders=tuple(self._report(row, now_us) for row in orders),
            trades=tuple(self._fill(row) for row in trades),
            positions={
                ("nse", self._symbols[row["instrument_token"]], Product.INTRADAY): row["quantity"] for row in positions
            },
        )

    def prices(self) -> dict[str, float]:
        """Give the last price of each symbol."""
        keys = quote(",".join(self._keys.values()))
        rows = self.ask("GET", f"/v3/market-quote/ltp?instrument_key={keys}").values()
        return {self._symbols[row["instrument_token"]]: row["last_price"] for row in rows}

    def ask(self, method: str, path: str, body: Any = None, *, writes: bool = False) -> Any:
        """Make one request; what its failure proves decides the kind of error."""
        connection = HTTPConnection(self._host, timeout=_TIMEOUT_S)
        try:
            connection.connect()
        except OSError as e:
            raise RetryLater(f"no connection: {e}") from e
        try:
            data = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {TRADING_TOKEN}", "Content-Type": "application/json"}
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as e:
            raise (OutcomeUnknown if writes else RetryLater)(f"no answer: {e}") from e
        finally:
            connection.close()
        if response.status == 200:
            return answer.get("data", answer)
        detail = f"{response.status}: {answer}"
        if response.status == 429:
            raise RetryLater(detail)
        if response.status >= 500:
            raise (OutcomeUnknown if writes else RetryLater)(detail)
        raise Refused(detail)

    # -- how ----------------------------------------------------------------------------------------------------------

    def _answer(self, order: Order, request: str, evidence: ev.AnyEvidence | None, outcome: str) -> None:
        self.answered(Answer(order_id=order.order_id, request=request, evidence=evidence, outcome=outcome))

    def _is_own(self, row: dict[str, Any]) -> bool:
        return row["instrument_token"] in self._symbols

    def _report(self, row: dict[str, Any], now_us: int) -> ev.BrokerReport:
        return ev.BrokerReport(
            at_us=now_us, broker_order_id=row["order_id"],
            status=_STATUSES.get(row["status"], OrderStatus.ACKNOWLEDGED), quantity=row["quantity"],
            quantity_filled=row["filled_quantity"], price=row["price"] or None,
            price_trigger=row["trigger_price"] or None, tag=row["tag"] or "", reason=row["status_message"] or "",
        )  # fmt: skip

    def _fill(self, row: dict[str, Any]) -> Fill:
        moment = datetime.fromisoformat(row["exchange_timestamp"])
        return Fill(
            exchange="nse", broker_order_id=row["order_id"], trade_id=row["trade_id"],
            symbol=self._symbols[row["instrument_token"]], side=Side(row["transaction_type"].lower()),
            quantity=row["quantity"], price=row["average_price"], timestamp_us=to_us(moment),
        )  # fmt: skip
