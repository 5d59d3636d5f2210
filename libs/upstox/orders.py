"""The broker's order calls through its SDK: what is sent, what is read, and nothing sent twice.

Every method may run on any thread. A request that adds, changes or cancels is made once; what its failure proves is in
the kind of error: `Refused` and `RetryLater` say that nothing happened, `OutcomeUnknown` that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from libs.core.errors import OutcomeUnknown, Refused
from libs.upstox.session import BrokerSession, NotAuthorized

_API_VERSION = "2.0"
Row = TypeVar("Row")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, in the broker's words. Prices that do not apply are 0."""

    quantity: int
    order_type: str
    price: float = 0.0
    trigger_price: float = 0.0


class Ask(Terms, frozen=True, kw_only=True):
    """A new order. `tag` comes back with every row of it."""

    instrument_key: str
    transaction_type: str
    product: str
    tag: str


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the order book, and a message of the order stream, as far as the fleet reads it."""

    order_id: str
    status: str
    instrument_token: str = ""
    quantity: int = 0
    filled_quantity: int | None = 0
    price: float | None = None
    trigger_price: float | None = None
    tag: str | None = None
    status_message: str | None = None
    exchange: str = "NSE"
    order_timestamp: str | None = None
    exchange_timestamp: str | None = None


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the day's trades."""

    order_id: str
    trade_id: str
    instrument_token: str
    transaction_type: str
    quantity: int
    average_price: float
    exchange_timestamp: str
    exchange: str = "NSE"
    product: str = "I"


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A net position, or a holding: the same as far as the fleet reads it."""

    instrument_token: str
    quantity: int
    product: str = "D"
    exchange: str = "NSE"
    t1_quantity: int = 0


class _Total(msgspec.Struct):
    total: float


class _Funds(msgspec.Struct):
    available_to_trade: _Total


class _Ids(msgspec.Struct):
    order_ids: list[str] = []
    order_id: str = ""


class KillSegment(msgspec.Struct, frozen=True):
    """Whether the broker lets a segment trade."""

    segment: str
    segment_status: str = ""
    kill_switch_enabled: bool = False


class _Reply(msgspec.Struct):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class OrderCalls:
    """One account's orders. `algo_name` goes out with every write where the broker knows the fleet under a name."""

    def __init__(self, session: BrokerSession, algo_name: str = "") -> None:
        self._session = session
        self._writes: dict[str, Any] = {"algo_name": algo_name} if algo_name else {}
        import upstox_client

        self._orders_v3 = upstox_client.OrderApiV3(session.client)
        self._orders = upstox_client.OrderApi(session.client)
        self._portfolio = upstox_client.PortfolioApi(session.client)
        self._user = upstox_client.UserApi(session.client)

    @property
    def session(self) -> BrokerSession:
        return self._session

    # -- writes -------------------------------------------------------------------------------------------------------

    def place(self, ask: Ask) -> tuple[str, ...]:
        """Send a new order and give the broker's ids: more than one where the broker sliced it."""
        import upstox_client

        # Market orders must be protected by rule of the exchange; -1 leaves the width to the broker.
        protection = -1 if ask.order_type in {"MARKET", "SL-M"} else 0
        body = _built(
            upstox_client.PlaceOrderV3Request, quantity=ask.quantity, product=ask.product, validity="DAY",
            price=ask.price, tag=ask.tag, slice=True, instrument_token=ask.instrument_key, order_type=ask.order_type,
            transaction_type=ask.transaction_type, disclosed_quantity=0, trigger_price=ask.trigger_price, is_amo=False,
            market_protection=protection,
        )  # fmt: skip
        ids = self._write(self._orders_v3.place_order, body, _Ids)
        if not ids.order_ids:
            raise OutcomeUnknown("the broker took the order and named none")
        return tuple(ids.order_ids)

    def modify(self, order_id: str, terms: Terms) -> None:
        """Ask for other terms of an order."""
        import upstox_client

        body = _built(
            upstox_client.ModifyOrderRequest, quantity=terms.quantity, validity="DAY", price=terms.price,
            order_id=order_id, order_type=terms.order_type, disclosed_quantity=0, trigger_price=terms.trigger_price,
        )  # fmt: skip
        self._write(self._orders_v3.modify_order, body, _Ids)

    def cancel(self, order_id: str) -> None:
        """Ask to cancel an order."""
        self._write(self._orders_v3.cancel_order, order_id, _Ids)

    def disable_segments(self, segments: Sequence[str]) -> list[KillSegment]:
        """Throw the broker's own switch: no order of these segments for about twelve hours, by nobody."""
        import upstox_client

        body = [_built(upstox_client.KillSwitchSegmentUpdateRequest, segment=s, action="DISABLE") for s in segments]
        return self._write(self._user.update_kill_switch, body, list[KillSegment], named=False)

    # -- reads --------------------------------------------------------------------------------------------------------

    def orders(self) -> list[OrderRow]:
        """Read the day's order book, everybody's orders."""
        return self._read(self._orders.get_order_book, list[OrderRow], _API_VERSION)

    def trades(self) -> list[TradeRow]:
        """Read the day's trades."""
        return self._read(self._orders.get_trade_history, list[TradeRow], _API_VERSION)

    def positions(self) -> list[PositionRow]:
        """Read net positions of the day."""
        return self._read(self._portfolio.get_positions, list[PositionRow], _API_VERSION)

    def holdings(self) -> list[PositionRow]:
        """Read what was delivered on earlier days."""
        return self._read(self._portfolio.get_holdings, list[PositionRow], _API_VERSION)

    def funds(self) -> float:
        """Read how many rupees are free to trade with."""
        return self._read(self._user.get_user_fund_margin_v3, _Funds).available_to_trade.total

    def kill_switch(self) -> list[KillSegment]:
        """Read the broker's own switch."""
        return self._read(self._user.get_kill_switch, list[KillSegment])

    # -- how ----------------------------------------------------------------------------------------------------------

    def _write(self, method: Callable[..., Any], body: Any, kind: type[Row], *, named: bool = True) -> Row:
        names = self._writes if named else {}
        return self._call(lambda **options: _decoded(method(body, **names, **options), kind), writes=True)

    def _read(self, method: Callable[..., Any], kind: type[Row], *arguments: str) -> Row:
        return self._call(lambda **options: _decoded(method(*arguments, **options), kind), writes=False)

    def _call(self, method: Callable[..., Row], *, writes: bool) -> Row:
        # The SDK's typed answers drop what they don't know, and cost four times as much as reading the bytes.
        try:
            found: Row = self._session.call(method, writes=writes, _preload_content=False)
        except NotAuthorized:
            self._session.authorize()  # a new token may be there by now: the next request has it
            raise
        return found


def _decoded(response: Any, kind: type[Row]) -> Row:
    reply = msgspec.json.decode(response.data, type=_Reply)
    if reply.status != "success":
        raise ValueError(f"the answer's status is {reply.status!r}")
    return msgspec.json.decode(reply.data, type=kind, strict=False)  # 10 is at times spelled 10.0


def _built(kind: Callable[..., Any], **fields: Any) -> Any:
    """Make a body; what the SDK itself refuses was never sent."""
    try:
        return kind(**fields)
    except ValueError as e:
        raise Refused(f"the broker's library refuses the request: {e}") from e
