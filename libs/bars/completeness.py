"""Is a day whole? Which bars are missing, where the others came from, and the certificate that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from libs.contracts.market import OHLCVBar, Origin
from libs.contracts.sessions import Session


class Certificate(msgspec.Struct, frozen=True):
    """One symbol's day in one timeframe.

    `missing` counts bars that a share which always trades would have; a share that did not trade misses them rightly.
    `compared` of our bars were held against the broker's; `differing` of those differ in price or volume.
    """

    exchange: str
    symbol: str
    date: date
    timeframe: str
    expected: int
    live: int = 0
    backfilled: int = 0
    synthetic: int = 0
    imported: int = 0
    extra: int = 0
    missing: int = 0
    compared: int = 0
    differing: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether no bar is missing and none differs from the broker's."""
        return self.missing == 0 and self.differing == 0


def missing_bars(
    session: Session, seen_us: Iterable[int], timeframe: str = "1m", *, closing_auction: bool = False
) -> tuple[int, ...]:
    """Give the starts of the bars that a share which always trades would have and this one has not.

    A share in the closing auction stops trading continuously when that begins, so it misses nothing from then on.
    """
    seen = set(seen_us)
    return tuple(s for s in session.bar_starts(timeframe, closing_auction=closing_auction) if s not in seen)


def certify(
    session: Session,
    symbol: str,
    bars: Iterable[OHLCVBar],
    *,
    timeframe: str = "1m",
    closing_auction: bool = False,
    broker: Mapping[int, OHLCVBar] | None = None,
    price_tolerance: float = 1e-6,
) -> Certificate:
    """Draw up a certificate from a symbol's bars of one day and, where it could be had, the broker's by start."""
    by_start = {bar.timestamp_us: bar for bar in bars}
    origins = Counter(bar.origin for bar in by_start.values())
    expected = session.bar_starts(timeframe, closing_auction=closing_auction)
    theirs = broker or {}
    common = [start for start in by_start if start in theirs]
    return Certificate(
        exchange=session.exchange,
        symbol=symbol,
        date=session.date,
        timeframe=timeframe,
        expected=len(expected),
        live=origins[Origin.LIVE],
        backfilled=origins[Origin.BACKFILL],
        synthetic=origins[Origin.SYNTHETIC],
        imported=origins[Origin.IMPORT],
        extra=len(by_start.keys() - set(expected)),
        missing=len(missing_bars(session, by_start, timeframe, closing_auction=closing_auction)),
        compared=len(common),
        differing=sum(_differ(by_start[start], theirs[start], price_tolerance) for start in common),
    )


def _differ(ours: OHLCVBar, theirs: OHLCVBar, tolerance: float) -> bool:
    prices = ((ours.open, theirs.open), (ours.high, theirs.high), (ours.low, theirs.low), (ours.close, theirs.close))
    return ours.volume != theirs.volume or any(abs(a - b) > tolerance for a, b in prices)
