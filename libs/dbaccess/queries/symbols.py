"""Which closed days hold a symbol, by the catalogue, so that days without it need not be opened.

The catalogue may lag behind the files (a crash between a day's name and its row, a day put there by hand), so it is
believed only of files of the size it recorded that were not written since. All others are opened and tell themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import date

from libs.core.errors import FleetError
from libs.dbaccess.connections import sqlite_reader
from libs.dbaccess.layout import Layout
from libs.dbaccess.queries.plan import Place, Source
from libs.dbaccess.queries.series import Series
from libs.settings.storage import Sqlite

_WITHOUT = """
SELECT trading_date, path, bytes, max(closed_at_us, coalesce(verified_at_us, 0)) FROM catalogue_days d
WHERE exchange = ? AND data_type = ? AND timeframe = ? AND NOT EXISTS (
    SELECT 1 FROM catalogue_symbols s
    WHERE s.exchange = d.exchange AND s.data_type = d.data_type AND s.timeframe = d.timeframe
    AND s.trading_date = d.trading_date AND s.symbol IN ({places})
)
"""


class SymbolDays:
    """Knows of which closed days it is certain that they hold none of some symbols."""

    def __init__(self, layout: Layout, symbols: Collection[str], catalogue: sqlite3.Connection | None) -> None:
        self._layout = layout
        self._symbols = sorted(symbols)
        self._catalogue = catalogue

    def narrowed(self, series: Series) -> Series:
        """Leave out the days that hold none of the symbols; all stay where the catalogue cannot be asked."""
        if self._catalogue is None:
            return series
        key = (series.exchange, series.table, series.timeframe or "")
        sql = _WITHOUT.format(places=", ".join("?" * len(self._symbols)))
        try:
            rows = self._catalogue.execute(sql, (*key, *self._symbols)).fetchall()
        except sqlite3.Error:  # damaged, or its writer is in the way: it is never needed to read the days
            return series
        without = {date.fromisoformat(day): (path, size, until_us) for day, path, size, until_us in rows}
        days = {day: source for day, source in series.days.items() if not self._is_listed(source, without.get(day))}
        return replace(series, days=days)

    def _is_listed(self, source: Source, row: tuple[str, int, int] | None) -> bool:
        """Whether a row of the catalogue is of just these files."""
        if row is None or source.place is Place.LIVE:
            return False
        path, size, until_us = row
        place = source.files[0].path if source.place is Place.HOT else source.files[0].path.parent
        stamps = [file.stamp for file in source.files]
        return (
            place == self._layout.root / path
            and sum(bytes_ for _, _, bytes_ in stamps) == size
            and all(changed_ns <= until_us * 1000 for _, changed_ns, _ in stamps)
        )


@contextmanager
def symbol_days(layout: Layout, settings: Sqlite, symbols: Collection[str] | None) -> Iterator[SymbolDays]:
    """Open the catalogue to ask about symbols; where it cannot be read, or None are asked about, it knows nothing."""
    connection = None
    with ExitStack() as opened:
        if symbols is not None:
            with suppress(FleetError, sqlite3.Error, OSError):
                connection = opened.enter_context(sqlite_reader(layout.catalogue, settings))
        yield SymbolDays(layout, symbols or (), connection)
