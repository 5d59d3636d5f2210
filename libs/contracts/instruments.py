"""What can be traded, as it was known on a date: symbols, the broker's keys, lots, ticks, limits, expiry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from libs.contracts.base import Message
from libs.core.errors import Refused

#: Of two instruments with one symbol the earlier kind keeps it.
_PREFERRED = ("EQ", "INDEX")


class Instrument(Message, frozen=True, kw_only=True):
    """One tradable thing from `valid_from` to `valid_to`, both included; without `valid_to` it still holds.

    Prices are multiples of `tick_size`, in rupees. No order may be larger than `freeze_quantity`; None: no limit.
    `closing_auction`: the day ends for it in an auction, not in continuous trading.
    """

    exchange: str
    symbol: str
    instrument_key: str
    segment: str
    instrument_type: str
    valid_from: date
    valid_to: date | None = None
    name: str = ""
    isin: str = ""
    lot_size: int = 1
    tick_size: float = 0.05
    freeze_quantity: int | None = None
    expiry: date | None = None
    strike: float | None = None
    underlying: str = ""
    closing_auction: bool = False

    def holds_on(self, day: date) -> bool:
        """Whether this is how things were on a date."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def differs_from(self, other: Instrument) -> bool:
        """Whether anything but the dates of validity is different."""
        return msgspec.structs.replace(self, valid_from=other.valid_from, valid_to=other.valid_to) != other


class Change(NamedTuple):
    """One row of the master that begins or ends: to be inserted, or to get its `valid_to`."""

    instrument: Instrument
    ended: bool


class InstrumentBook:
    """The master with its history: from symbol to key and back, today or on any date. Immutable."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_symbol: dict[tuple[str, str], list[Instrument]] = {}
        self._by_key: dict[str, list[Instrument]] = {}
        for instrument in sorted(instruments, key=lambda row: row.valid_from, reverse=True):
            self._by_symbol.setdefault((instrument.exchange, instrument.symbol), []).append(instrument)
            self._by_key.setdefault(instrument.instrument_key, []).append(instrument)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._by_symbol.values())

    def __iter__(self) -> Iterator[Instrument]:
        return (row for rows in self._by_symbol.values() for row in rows)

    def find(self, symbol: str, exchange: str = "nse", day: date | None = None) -> Instrument | None:
        """Give a symbol's instrument on a date, or the one that still holds; None when there is none."""
        return _holding(self._by_symbol.get((exchange, symbol), []), day)

    def by_key(self, instrument_key: str, day: date | None = None) -> Instrument | None:
        """Give the instrument of a broker's key on a date, or the one that still holds; None when there is none."""
        return _holding(self._by_key.get(instrument_key, []), day)

    def key_of(self, symbol: str, exchange: str = "nse", day: date | None = None) -> str:
        """Give the broker's key of a symbol; refuse one that is not listed."""
        instrument = self.find(symbol, exchange, day)
        if instrument is None:
            when = f"on {day}" if day else "now"
            raise Refused(f"{exchange} lists no {symbol!r} {when}; see `fleet instruments search {symbol}`")
        return instrument.instrument_key

    def search(self, text: str, limit: int = 50) -> list[Instrument]:
        """Find what still holds by a part of symbol, name or ISIN; exact symbols and beginnings first."""
        wanted = text.casefold()
        current = (row for row in self if row.valid_to is None)
        hits = (row for row in current if wanted in f"{row.symbol}\n{row.name}\n{row.isin}".casefold())
        return sorted(hits, key=lambda row: (_distance(row.symbol.casefold(), wanted), row.symbol))[:limit]

    def changes(self, listed: Iterable[Instrument], day: date, exchange: str) -> list[Change]:
        """Say what a whole new file of one exchange changes as of a date: rows that end, then rows that begin.

        A row that began on that very date is replaced, not ended: the file was imported twice.
        """
        now = {(row.exchange, row.symbol): row for row in unambiguous(listed) if row.exchange == exchange}
        current = {(row.exchange, row.symbol): row for row in self if row.valid_to is None and row.exchange == exchange}
        before = day - timedelta(days=1)
        ended = [
            Change(msgspec.structs.replace(row, valid_to=before), ended=True)
            for symbol, row in current.items()
            if row.valid_from < day and (symbol not in now or now[symbol].differs_from(row))
        ]
        begun = [
            Change(msgspec.structs.replace(row, valid_from=day, valid_to=None), ended=False)
            for symbol, row in now.items()
            if symbol not in current or row.differs_from(current[symbol])
        ]
        return ended + begun

    def applied(self, changes: Iterable[Change]) -> InstrumentBook:
        """Give the book after the changes."""
        rows = {(row.exchange, row.symbol, row.valid_from): row for row in self}
        for change in changes:
            row = change.instrument
            rows[row.exchange, row.symbol, row.valid_from] = row
        return InstrumentBook(rows.values())


def unambiguous(instruments: Iterable[Instrument]) -> list[Instrument]:
    """Leave one instrument a symbol: the share before the index before anything else, else the first."""
    chosen: dict[tuple[str, str], Instrument] = {}
    for row in sorted(instruments, key=_preference):
        chosen.setdefault((row.exchange, row.symbol), row)
    return list(chosen.values())


def _preference(row: Instrument) -> int:
    return _PREFERRED.index(row.instrument_type) if row.instrument_type in _PREFERRED else len(_PREFERRED)


def _holding(rows: list[Instrument], day: date | None) -> Instrument | None:
    """Rows are newest first."""
    return next((row for row in rows if (row.valid_to is None if day is None else row.holds_on(day))), None)


def _distance(symbol: str, wanted: str) -> int:
    if symbol == wanted:
        return 0
    return 1 if symbol.startswith(wanted) else 2
