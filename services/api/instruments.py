"""The broker's instrument file into the config store: what can be traded, dated, its history never rewritten."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from libs.contracts.instruments import Change, Instrument, InstrumentBook, unambiguous
from libs.core.errors import Refused
from libs.upstox.instrument_file import parse_instruments
from services.api.changes import Asked, Connection, Done, Given, fetch

_REFUSED_SHOWN = 5
_COLUMNS = (
    "exchange", "symbol", "valid_from", "valid_to", "instrument_key", "segment", "instrument_type", "name", "isin",
    "lot_size", "tick_size", "freeze_quantity", "expiry", "strike", "underlying",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO instruments ({', '.join(_COLUMNS)}, imported_at_us) "  # noqa: S608  # our own names
    f"VALUES ({', '.join('?' * len(_COLUMNS))}, ?) ON CONFLICT (exchange, symbol, valid_from) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS[3:], "imported_at_us"))
)


class ImportInstruments(Given, frozen=True, kw_only=True):
    """A file on this machine, and the date from which it holds; all of its segments, or some such as NSE_EQ."""

    path: str
    day: date
    segments: list[str] = msgspec.field(default_factory=list)


def book(connection: Connection, where: str = "", *parameters: Any) -> InstrumentBook:
    """Read the master with its history, or a part of it."""
    rows = fetch(connection, f"SELECT {', '.join(_COLUMNS)} FROM instruments {where}", *parameters)  # noqa: S608
    return InstrumentBook(msgspec.convert(row, Instrument) for row in rows)


def import_instruments(connection: Connection, asked: Asked, given: ImportInstruments) -> Done:
    """Take a whole file over: what it lists no more ends the day before, what is new or different begins."""
    path = Path(given.path)
    parsed = parse_instruments(path.read_bytes(), given.day, segments=given.segments or None)
    listed, doubled = _one_a_key(parsed.instruments)
    refused = parsed.refused + doubled
    if not listed:
        raise Refused(f"{path}: no instrument of {', '.join(given.segments) or 'any segment'} in {len(refused)} rows")
    # A part of the file says nothing of the other segments: they go on as they are.
    known = book(connection)
    if newer := [row for row in known if row.valid_from > given.day]:
        raise Refused(
            f"{path}: a file of {given.day}, and one of {newer[0].valid_from} was imported; import it dated later"
        )
    counts: Counter[str] = Counter()
    for exchange in sorted({row.exchange for row in listed}):
        part = [row for row in known if not given.segments or row.segment in given.segments]
        changes = InstrumentBook(part).changes(listed, given.day, exchange)
        _apply(connection, changes, asked.at_us)
        counts["ended"] += sum(change.ended for change in changes)
        counts["begun"] += sum(not change.ended for change in changes)
    after = {
        "file": path.name, "day": given.day.isoformat(), "listed": len(listed), "begun": counts["begun"],
        "ended": counts["ended"], "refused": len(refused),
    }  # fmt: skip
    return Done("instruments", path.name, None, after, after | {"refused_rows": refused[:_REFUSED_SHOWN]})


def _one_a_key(instruments: list[Instrument]) -> tuple[list[Instrument], list[str]]:
    """Leave one instrument a symbol and a key; name the rows that share a key with another."""
    by_key: dict[str, Instrument] = {}
    doubled = []
    for row in unambiguous(instruments):
        if row.instrument_key in by_key:
            doubled.append(f"{row.symbol}: key {row.instrument_key} is {by_key[row.instrument_key].symbol}'s")
        else:
            # The store has no column for the auction: it would look like a change at every import.
            by_key[row.instrument_key] = msgspec.structs.replace(row, closing_auction=False)
    return list(by_key.values()), doubled


def _apply(connection: Connection, changes: list[Change], at_us: int) -> None:
    """Rows that end come first, so that a key may pass to another symbol."""
    for change in changes:
        row = msgspec.to_builtins(change.instrument)
        connection.execute(_INSERT, (*(row[name] for name in _COLUMNS), at_us))
