"""What there is of each trading day, and whether that is enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

import msgspec

from libs.core.errors import Refused
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.coverage.certificates import certify_tables
from libs.dbaccess.coverage.stored import Certificate, stored_certificates
from libs.dbaccess.manager import DatabaseManager

#: So many symbol-days are named, the worst first.
_NAMED_MAX = 5


class DayCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """A trading day over its symbols. `stored` is False when it was counted just now, or there is nothing of it."""

    trading_date: date
    symbols: int
    bars_expected: int
    bars_live: int
    bars_backfilled: int
    bars_synthetic: int
    bars_missing: int
    late_ticks: int
    bars_compared: int
    bars_differing: int
    stored: bool
    certificates: tuple[Certificate, ...] = ()

    @property
    def present_percent(self) -> float:
        """How much of what was expected is there; nothing is 0, not 100."""
        return 100 * (1 - self.bars_missing / self.bars_expected) if self.bars_expected else 0.0


def coverage(
    db: DatabaseManager, exchange: str, start: date, end: date, symbols: Collection[str] = ()
) -> list[DayCoverage]:
    """Give every trading day in `[start, end]`, those without any data too.

    A closed day without certificates, as an imported one, is counted from its file.
    """
    stored: dict[date, list[Certificate]] = {}
    for each in stored_certificates(db, exchange, start, end):
        stored.setdefault(each.trading_date, []).append(each)
    found = []
    for day in load_calendar(db.layout.root, exchange).trading_days(start, end):
        of_day = stored.get(day) or certify_tables(db, exchange, day)
        wanted = [each for each in of_day if not symbols or each.symbol in symbols]
        found.append(_day(day, wanted, stored=day in stored))
    return found


def require_coverage(
    db: DatabaseManager, exchange: str, start: date, end: date, *, percent: float, symbols: Iterable[str]
) -> None:
    """Raise Refused, naming days and symbols, unless each symbol has so much of each trading day's minutes."""
    wanted = set(symbols)
    short = []
    for day in coverage(db, exchange, start, end, wanted):
        present = {each.symbol: _percent(each) for each in day.certificates}
        short += [
            (present.get(symbol, 0.0), day.trading_date, symbol)
            for symbol in wanted
            if present.get(symbol, 0.0) < percent
        ]
    if short:
        short.sort()
        named = ", ".join(f"{symbol} on {day_} with {present_:.1f} %" for present_, day_, symbol in short[:_NAMED_MAX])
        more = f" and {len(short) - _NAMED_MAX} more" if len(short) > _NAMED_MAX else ""
        raise Refused(
            f"{len(short)} symbol-days have less than {percent:g} % of their minutes: {named}{more}. "
            "`fleet coverage` shows all"
        )


def _percent(each: Certificate) -> float:
    return 100 * (1 - each.bars_missing / each.bars_expected) if each.bars_expected else 0.0


def _day(day: date, found: list[Certificate], *, stored: bool) -> DayCoverage:
    def total(name: str) -> int:
        return sum(getattr(each, name) or 0 for each in found)

    names = [name for name in DayCoverage.__struct_fields__ if name.startswith(("bars_", "late_"))]
    return DayCoverage(
        trading_date=day, symbols=len(found), stored=stored, certificates=tuple(found),
        **{name: total(name) for name in names},
    )  # fmt: skip
