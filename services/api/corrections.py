"""Corrections of the instrument master by hand: dated like an import, what was before is kept."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.contracts.instruments import Instrument
from libs.core.clock import trading_date
from libs.core.errors import Refused
from libs.core.money import is_price
from libs.dbaccess.layout import exchange_name, symbol_name
from services.api.changes import Asked, Connection, Done, Given
from services.api.instruments import book, put

Quantity = Annotated[int, Meta(ge=1, le=2**40)]
Text = Annotated[str, Meta(min_length=1, max_length=100)]


class SaveInstrument(Given, frozen=True, kw_only=True):
    """What is to hold of an instrument from a date on; what is not given stays. A new one needs its key and kind."""

    symbol: str
    exchange: str = "nse"
    day: date | None = None
    lot_size: Quantity | UnsetType = UNSET
    tick_size: Annotated[float, Meta(gt=0, le=10_000)] | UnsetType = UNSET
    freeze_quantity: Quantity | UnsetType | None = UNSET
    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    instrument_key: Text | UnsetType = UNSET
    segment: Text | UnsetType = UNSET
    instrument_type: Text | UnsetType = UNSET


_GIVEN = ("lot_size", "tick_size", "freeze_quantity", "name", "instrument_key", "segment", "instrument_type")
_NEEDED = ("instrument_key", "segment", "instrument_type", "lot_size", "tick_size")


def save_instrument(connection: Connection, asked: Asked, given: SaveInstrument) -> Done:
    """Correct an instrument as of a date, or add one; the row that held until then ends the day before."""
    exchange, symbol = exchange_name(given.exchange), symbol_name(given.symbol)
    day = given.day or trading_date(asked.at_us)
    changes = {name: value for name in _GIVEN if (value := getattr(given, name)) is not UNSET}
    before = book(connection, "WHERE exchange = ? AND symbol = ?", exchange, symbol).find(symbol, exchange)
    after = _changed(before, exchange, symbol, day, changes)
    _check(connection, after)
    if before is not None and before.valid_from < day:
        put(connection, [msgspec.structs.replace(before, valid_to=day - timedelta(days=1))], asked.at_us)
    put(connection, [after], asked.at_us)
    known = None if before is None else msgspec.to_builtins(before)
    told = msgspec.to_builtins(after)
    return Done("instruments", f"{exchange}:{symbol}", known, told, told)


def _changed(before: Instrument | None, exchange: str, symbol: str, day: date, changes: dict[str, Any]) -> Instrument:
    if before is None:
        if missing := [name for name in _NEEDED if name not in changes]:
            raise Refused(f"{exchange} lists no {symbol}: to add it, give {', '.join(missing)} as well")
        return Instrument(exchange=exchange, symbol=symbol, valid_from=day, **changes)
    if before.valid_from > day:
        raise Refused(f"{symbol}: what holds began on {before.valid_from}; the past, {day}, is not rewritten")
    after = msgspec.structs.replace(before, valid_from=day, **changes)
    if not after.differs_from(before):
        raise Refused(f"{symbol}: that is what it is already")
    return after


def _check(connection: Connection, row: Instrument) -> None:
    if not is_price(row.tick_size):
        raise Refused(f"{row.symbol}: tick size {row.tick_size} has more than four decimals")
    if row.freeze_quantity is not None and row.freeze_quantity < row.lot_size:
        raise Refused(f"{row.symbol}: freeze quantity {row.freeze_quantity} is less than a lot of {row.lot_size}")
    others = book(connection, "WHERE instrument_key = ? AND valid_to IS NULL", row.instrument_key)
    taken = [other for other in others if (other.exchange, other.symbol) != (row.exchange, row.symbol)]
    if taken:
        raise Refused(f"{row.symbol}: key {row.instrument_key} is {taken[0].exchange}:{taken[0].symbol}'s")
