"""The broker's instrument file into the config store: what can be traded, dated, its history never rewritten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from libs.contracts.instruments import Change, Instrument, InstrumentBook, unambiguous
from libs.core.errors import Refused, RetryLater
from libs.upstox.instrument_file import parse_instruments
from services.api.changes import Asked, Connection, Done, Given, fetch

IMPORT = "instruments.import"
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


class Prepared(msgspec.Struct, frozen=True):
    """What a file changes, worked out before anything is written; `known` tells the master it was worked out for."""

    file: str
    listed: int
    changes: list[Change]
    refused: list[str]
    known: tuple[int, int]


def prepare(connection: Connection, given: ImportInstruments) -> Prepared:
    """Work out what a whole file changes: what it lists no more ends the day before, what is new or different begins.

    Takes seconds for a large file and writes nothing, so that the api does it in a thread, on a reader.
    """
    path = Path(given.path)
    parsed = parse_instruments(path.read_bytes(), given.day, segments=given.segments or None)
    listed, doubled = _one_a_key(parsed.instruments)
    refused = parsed.refused + doubled
    if not listed:
        raise Refused(f"{path}: no instrument of {', '.join(given.segments) or 'any segment'} in {len(refused)} rows")
    # A part of the file says nothing of the other segments: they go on as they are.
    version, known = _version(connection), book(connection)
    if newer := [row for row in known if row.valid_from > given.day]:
        raise Refused(
            f"{path}: a file of {given.day}, and one of {newer[0].valid_from} was imported; import it dated later"
        )
    part = InstrumentBook(row for row in known if not given.segments or row.segment in given.segments)
    exchanges = sorted({row.exchange for row in listed})
    changes = [change for exchange in exchanges for change in part.changes(listed, given.day, exchange)]
    return Prepared(path.name, len(listed), changes, refused, version)


def import_instruments(connection: Connection, asked: Asked, given: ImportInstruments) -> Done:
    """Take a whole file over, as it was prepared or, without that, as it is read now."""
    ready: Prepared = asked.prepared or prepare(connection, given)
    if ready.known != _version(connection):
        raise RetryLater("the instruments were changed while the file was read; import it again")
    put(connection, (change.instrument for change in ready.changes), asked.at_us)
    ended = sum(change.ended for change in ready.changes)
    after = {
        "file": ready.file, "day": given.day.isoformat(), "listed": ready.listed, "begun": len(ready.changes) - ended,
        "ended": ended, "refused": len(ready.refused),
    }  # fmt: skip
    return Done("instruments", ready.file, None, after, after | {"refused_rows": ready.refused[:_REFUSED_SHOWN]})


def _version(connection: Connection) -> tuple[int, int]:
    """Tell one state of the master from any later one."""
    sql = "SELECT count(*) AS n, COALESCE(max(imported_at_us), 0) AS at_us FROM instruments"
    found = fetch(connection, sql)[0]
    return found["n"], found["at_us"]


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


def put(connection: Connection, instruments: Iterable[Instrument], at_us: int) -> None:
    """Store rows as they are to be. Those that end come first, so that a key may pass to another symbol."""
    rows = ((*(_stored(getattr(row, name)) for name in _COLUMNS), at_us) for row in instruments)
    connection.executemany(_INSERT, rows)


def _stored(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
