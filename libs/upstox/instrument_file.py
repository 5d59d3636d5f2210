"""The broker's instrument file, read into the fleet's instruments. Pure: somebody else fetched the bytes."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from datetime import date
from typing import NamedTuple

import msgspec

from libs.contracts.instruments import Instrument, unambiguous
from libs.core.clock import trading_date
from libs.core.errors import Refused

_PAISE = 100
_TICK_SIZE = 0.05
_SIZE_MAX = 1 << 30


class Parsed(NamedTuple):
    """What a file holds, and in words the rows that could not be used."""

    instruments: list[Instrument]
    refused: list[str]


class _Row(msgspec.Struct):
    """A row as far as the fleet uses it; figures of the file are numbers or absent. `expiry` is in milliseconds."""

    instrument_key: str
    trading_symbol: str
    segment: str
    exchange: str
    instrument_type: str
    name: str = ""
    isin: str = ""
    lot_size: float | None = None
    tick_size: float | None = None
    freeze_quantity: float | None = None
    expiry: int | None = None
    strike_price: float | None = None
    underlying_symbol: str | None = None
    asset_symbol: str | None = None
    cas_eligible: bool | None = None


_decode_row = msgspec.json.Decoder(_Row).decode


def parse_instruments(data: bytes, day: date, *, segments: Collection[str] | None = None) -> Parsed:
    """Read a file, gzipped or not, as what holds from `day` on; of all segments, or of some such as NSE_EQ.

    A row that cannot be used is left out and named. A file that is no list at all is refused.
    """
    try:
        rows = msgspec.json.decode(_plain(data), type=list[msgspec.Raw])
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as e:
        raise Refused(f"the instrument file of {len(data)} bytes cannot be read: {e}; fetch it again") from e
    parsed = Parsed([], [])
    for number, raw in enumerate(rows):
        try:
            row = _decode_row(raw)
            if segments is None or row.segment in segments:
                parsed.instruments.append(_instrument(row, day))
        except (msgspec.ValidationError, ValueError) as e:
            parsed.refused.append(f"row {number}: {e}: {bytes(raw)[:120]!r}")
    return parsed


def shares_and_indexes(data: bytes, exchange: str, day: date) -> list[Instrument]:
    """Read what the feed of an exchange is about, one instrument a symbol, in the file's order."""
    parsed = parse_instruments(data, day, segments={f"{exchange.upper()}_EQ", f"{exchange.upper()}_INDEX"})
    return [row for row in unambiguous(parsed.instruments) if row.instrument_type in {"EQ", "INDEX"}]


def _plain(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    plain = inflater.decompress(data, _SIZE_MAX)
    if inflater.unconsumed_tail:
        raise Refused(f"the instrument file inflates beyond {_SIZE_MAX} bytes")
    if not inflater.eof:
        raise EOFError("it ends in the middle")
    return plain


def _instrument(row: _Row, day: date) -> Instrument:
    if not row.instrument_key or not row.trading_symbol:
        raise ValueError("no key or no symbol")
    return Instrument(
        exchange=row.exchange.lower(),
        symbol=row.trading_symbol,
        instrument_key=row.instrument_key,
        segment=row.segment,
        instrument_type=row.instrument_type,
        valid_from=day,
        name=row.name,
        isin=row.isin,
        lot_size=_whole(row.lot_size) or 1,
        tick_size=round(row.tick_size / _PAISE, 6) if row.tick_size and row.tick_size > 0 else _TICK_SIZE,
        freeze_quantity=_whole(row.freeze_quantity),
        expiry=trading_date(row.expiry * 1000) if row.expiry else None,
        strike=row.strike_price or None,
        underlying=row.underlying_symbol or row.asset_symbol or "",
        closing_auction=bool(row.cas_eligible),
    )


def _whole(figure: float | None) -> int | None:
    """The file spells quantities as 1800 and as 1800.0; 0 and absent both mean none."""
    if not figure:
        return None
    if figure < 0 or figure != int(figure):
        raise ValueError(f"expected a whole quantity, got {figure}")
    return int(figure)
