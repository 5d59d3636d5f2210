"""The unmodified SDK, pointed at a simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import upstox_client

from tests.kit.exchange_sim import TRADING_TOKEN, Simulator, running_simulator

#: The market of these tests has no hurry: a second of it is a second.
GENEROUS = {
    "TRADEFLEET_EXCHANGE_SIM_ORDERS_PER_SECOND_MAX": "1000",
    "TRADEFLEET_EXCHANGE_SIM_REQUESTS_PER_SECOND_MAX": "1000",
    "TRADEFLEET_EXCHANGE_SIM_ORDER_LATENCY_MS": "5",
}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running_simulator(**GENEROUS) as simulator:
        yield simulator


def sdk_client(host: str, token: str = TRADING_TOKEN) -> Any:
    """Make the SDK's client for a host. `Configuration` copies its first instance, so every field is set here."""
    configuration = upstox_client.Configuration()
    configuration.host = configuration.order_host = host
    configuration.access_token = token
    configuration.proxy = configuration.ssl_ca_cert = None
    return upstox_client.ApiClient(configuration)


@pytest.fixture(scope="module")
def client(sim: Simulator) -> Any:
    return sdk_client(sim.url)
