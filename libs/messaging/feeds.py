"""The three-line door: `for bar in subscribe("candle.1m", symbols=["RELIANCE"], backfill=True)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from libs.contracts.topics import FAMILIES, TERMINATOR, prefix
from libs.core.clock import Clock
from libs.messaging.codec import Received
from libs.messaging.errors import BusRefused, GapUnrecoverable
from libs.messaging.subscriber import Subscriber, unpacked
from libs.settings import load_settings
from libs.settings.model import Settings

#: Takes the owner's service and a socket's kind ("publish", "replay"), gives its address.
EndpointTable = Mapping[str, Mapping[str, str]]


class Selection(msgspec.Struct, frozen=True):
    """What to read: topic prefixes, and the symbols to keep where a prefix cannot say them."""

    topics: list[str]
    symbols: frozenset[str] = frozenset()

    def keeps(self, payload: Any) -> bool:
        return not self.symbols or _symbol(payload) in self.symbols


def select(spec: str, symbols: Sequence[str] = (), exchange: str = "nse") -> Selection:
    """Turn a short name such as `candle.1m`, `tick`, `signal` or `market.nse` into topic prefixes."""
    family, *parts = spec.removesuffix(TERMINATOR).split(".")
    if family not in FAMILIES:
        raise BusRefused(f"{spec!r}: no family {family!r}; there are {', '.join(FAMILIES)}")
    names = FAMILIES[family][0]
    if len(parts) > len(names):
        # Only the last part may hold dots.
        parts = [*parts[: len(names) - 1], ".".join(parts[len(names) - 1 :])]
    if not symbols:
        return Selection([prefix(family, *parts)])
    missing = names[len(parts) :]
    if missing == ("exchange", "symbol"):
        parts, missing = [*parts, exchange], ("symbol",)
    if missing == ("symbol",):
        return Selection([prefix(family, *parts, symbol) for symbol in dict.fromkeys(symbols)])
    return Selection([prefix(family, *parts)], frozenset(symbols))


def subscribe(
    spec: str,
    *,
    symbols: Sequence[str] = (),
    exchange: str = "",
    backfill: bool = False,
    latest: bool = False,
    settings: Settings | None = None,
    data_root: str | Path | None = None,
    endpoints: EndpointTable | None = None,
    strict: bool = False,
    on_gap: Callable[[GapUnrecoverable], None] | None = None,
    clock: Clock | None = None,
) -> Iterator[Any]:
    """Read a feed for ever: bars, ticks, signals, whatever the topics carry, in order and once.

    With `backfill` today's earlier messages come first, without hole or repeat. With `latest` only the newest message
    of each topic is kept for a reader that is slower than the feed (screens). The services need not run yet; their
    addresses come from the settings (`TRADEFLEET_DATA` and config), or from `data_root` or `endpoints`.
    """
    found = resolve(settings, data_root, endpoints)
    selection = select(spec, symbols, exchange or found.data.exchange)
    subscriber = Subscriber.open(
        selection.topics, settings=found, backfill=backfill, latest=latest, strict=strict, on_gap=on_gap, clock=clock
    )
    return _read(subscriber, selection)


def _read(subscriber: Subscriber, selection: Selection) -> Iterator[Any]:
    with subscriber:
        for message in subscriber:
            yield from kept(message, selection)


async def subscribe_async(
    spec: str,
    *,
    symbols: Sequence[str] = (),
    exchange: str = "",
    backfill: bool = False,
    latest: bool = False,
    settings: Settings | None = None,
    data_root: str | Path | None = None,
    endpoints: EndpointTable | None = None,
    strict: bool = False,
    on_gap: Callable[[GapUnrecoverable], None] | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Any]:
    """Read a feed inside an event loop; the same as `subscribe`."""
    found = resolve(settings, data_root, endpoints)
    selection = select(spec, symbols, exchange or found.data.exchange)
    with Subscriber.open(
        selection.topics, settings=found, backfill=backfill, latest=latest, strict=strict, on_gap=on_gap, clock=clock
    ) as subscriber:
        async with aclosing(subscriber.__aiter__()) as messages:
            async for message in messages:
                for payload in kept(message, selection):
                    yield payload


def kept(message: Received, selection: Selection) -> list[Any]:
    """Give what a message says to this reader."""
    return [payload for payload in unpacked(message) if selection.keeps(payload)]


def resolve(settings: Settings | None, data_root: str | Path | None, endpoints: EndpointTable | None) -> Settings:
    """Find the settings, with another data root or other addresses where the caller gave them."""
    found = settings or load_settings()
    if data_root is not None:
        found = msgspec.structs.replace(found, data_root=str(Path(data_root).expanduser().absolute()))
    if endpoints is not None:
        table = {service: dict(sockets) for service, sockets in endpoints.items()}
        found = msgspec.structs.replace(found, bus=msgspec.structs.replace(found.bus, addresses=table))
    return found


def _symbol(payload: Any) -> Any:
    return payload.get("symbol") if isinstance(payload, dict) else getattr(payload, "symbol", None)
