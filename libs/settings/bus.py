"""Settings of the bus: where its sockets are, and the bounds of everything that waits."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import Positive

Port = Annotated[int, Meta(ge=1, le=65_535)]


class Ports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service's three sockets. Over ipc they are files named `<service>.<socket>`; over tcp these ports."""

    publish: Port
    replay: Port
    command: Port


def _default_ports() -> dict[str, Ports]:
    services = ("ingestor", "scanner", "execution_engine", "backtest", "api", "ops", "watchdog", "exchange_sim")
    return {name: Ports(5550 + 3 * n, 5551 + 3 * n, 5552 + 3 * n) for n, name in enumerate(services)}


class Bus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bus between the services."""

    transport: Annotated[str, Meta(pattern="^(ipc|tcp)$")] = "ipc"
    bind_host: str = "127.0.0.1"
    connect_host: str = "127.0.0.1"
    curve: bool = False
    keys_directory: str = ""
    send_queue_max: Positive = 20_000
    receive_queue_max: Positive = 20_000
    message_bytes_max: Positive = 16_777_216
    request_bytes_max: Positive = 65_536
    subscriptions_max: Positive = 100_000
    batch_ticks_max: Positive = 256
    head_interval_ms: Positive = 1000
    sync_timeout_ms: Positive = 300
    replay_timeout_ms: Positive = 2000
    replay_records_max: Positive = 2000
    buffer_messages_max: Positive = 100_000
    command_timeout_ms: Positive = 5000
    command_results_max: Positive = 10_000
    ports: dict[str, Ports] = msgspec.field(default_factory=_default_ports)

    addresses: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [number for ports in self.ports.values() for number in msgspec.structs.astuple(ports)]
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            raise ValueError(f"ports {', '.join(map(str, twice))} are given to more than one socket")
