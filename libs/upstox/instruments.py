"""The broker's instruments file: what may be traded, and the key the feed knows it by."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Any

import msgspec

from libs.core.errors import Refused, RetryLater
from libs.upstox.session import BrokerSession, transport_error

_SEGMENTS = {"nse": ("NSE_EQ", "NSE_INDEX"), "bse": ("BSE_EQ", "BSE_INDEX")}
_KINDS = {"EQ", "INDEX"}


class BrokerInstrument(msgspec.Struct, frozen=True):
    """One row of the file as far as the fleet uses it. Prices in rupees; `expiry_ms` is absent for shares."""

    instrument_key: str
    trading_symbol: str
    segment: str
    instrument_type: str
    name: str = ""
    isin: str = ""
    lot_size: int = 1
    tick_size: float = 0.0
    freeze_quantity: float = 0.0
    expiry: int | None = None


def download(session: BrokerSession, exchange: str) -> bytes:
    """Fetch the gzipped file of an exchange."""
    url = f"{session.hosts.assets}/market-quote/instruments/exchange/{exchange.upper()}.json.gz"
    connect_s, read_s = session.timeout
    pool = session.client.rest_client.pool_manager
    try:
        from urllib3 import Timeout

        # A bare client is turned away by the broker's gateway: it says who it is.
        response = pool.request(
            "GET", url, timeout=Timeout(connect=connect_s, read=read_s),
            headers={"User-Agent": session.client.user_agent, "Accept-Encoding": "identity"},
        )  # fmt: skip
    except Exception as e:
        raise transport_error(e, writes=False) from e
    if response.status != 200:
        kind = Refused if 400 <= response.status < 500 else RetryLater
        raise kind(f"{url}: the broker answered {response.status}")
    return bytes(response.data)


def parse(data: bytes, exchange: str) -> list[BrokerInstrument]:
    """Read shares and indexes of an exchange out of the file, in its order. Tick sizes come in paise there."""
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        rows = msgspec.json.decode(text, type=list[dict[str, Any]])
    except (OSError, EOFError, msgspec.DecodeError) as e:
        raise Refused(f"an instruments file of {len(data)} bytes cannot be read: {e}") from e
    segments = _SEGMENTS.get(exchange.lower(), ())
    wanted = [row for row in rows if row.get("segment") in segments and row.get("instrument_type") in _KINDS]
    return [_instrument(row) for row in wanted]


def by_symbol(instruments: Iterable[BrokerInstrument]) -> dict[str, str]:
    """Map symbol to key; of two with one symbol the share wins over the index, else the first."""
    found: dict[str, str] = {}
    for instrument in sorted(instruments, key=lambda each: each.instrument_type == "INDEX"):
        found.setdefault(instrument.trading_symbol, instrument.instrument_key)
    return found


def _instrument(row: dict[str, Any]) -> BrokerInstrument:
    known = {name: row[name] for name in BrokerInstrument.__struct_fields__ if row.get(name) is not None}
    known["tick_size"] = float(known.get("tick_size", 0)) / 100
    try:
        return msgspec.convert(known, BrokerInstrument, strict=False)
    except msgspec.ValidationError as e:
        raise Refused(f"an instrument of the broker's file does not fit: {e}: {str(row)[:200]}") from e
