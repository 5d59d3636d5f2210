"""A simulator for each module, and raw clients of its streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket

from tests.kit.exchange_sim import TRADING_TOKEN, Simulator, running_simulator

KEY = "NSE_EQ|INE002A01018"
MARKET = "/v3/feed/market-data-feed"
PORTFOLIO = "/v2/feed/portfolio-stream-feed?update_types=order%2Cposition"


@pytest.fixture(scope="module")
def one_sim() -> Iterator[Simulator]:
    settings = {"ORDERS_PER_SECOND_MAX": "1000", "ORDERS_PER_MINUTE_MAX": "5000", "ORDER_LATENCY_MS": "1",
                "PING_INTERVAL_S": "3600"}  # fmt: skip
    with running_simulator(**{f"TRADEFLEET_EXCHANGE_SIM_{name}": value for name, value in settings.items()}) as sim:
        yield sim


@pytest.fixture
def sim(one_sim: Simulator) -> Iterator[Simulator]:
    """The module's simulator with no fault in force."""
    one_sim.clear_faults()
    yield one_sim
    one_sim.clear_faults()


@contextmanager
def connected(
    sim: Simulator, path: str = MARKET, *, token: str = TRADING_TOKEN, keys: list[str] | None = None
) -> Iterator[Any]:
    """A bare WebSocket client, subscribed to keys if given; every wait on it ends after a while."""
    url = sim.url.replace("http", "ws") + path
    client = websocket.create_connection(url, timeout=30, header=[f"Authorization: Bearer {token}"])
    try:
        if keys:
            subscribe(client, keys)
        yield client
    finally:
        client.shutdown()


def subscribe(client: Any, keys: list[str], mode: str = "full", method: str = "sub") -> None:
    command = {"guid": "g", "method": method, "data": {"instrumentKeys": keys, "mode": mode}}
    client.send_binary(json.dumps(command).encode())


def order(**changes: Any) -> dict[str, Any]:
    return {
        "quantity": 10, "product": "I", "validity": "DAY", "price": 0, "tag": "t", "instrument_token": KEY,
        "order_type": "MARKET", "transaction_type": "BUY", "disclosed_quantity": 0, "trigger_price": 0, "is_amo": False,
    } | changes  # fmt: skip


def place(sim: Simulator, **changes: Any) -> tuple[int, Any]:
    return sim.ask("POST", "/v3/order/place", order(**changes), token=TRADING_TOKEN)


def find(sim: Simulator, tag: str) -> dict[str, Any] | None:
    """The order with a tag, as the simulator has it."""
    return next((one for one in sim.state()["orders"] if one["request"]["tag"] == tag), None)
