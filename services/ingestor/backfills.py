"""Which candles of the feed's gaps nobody has, and what the broker's answer makes of them. Pure.

Rebuilt from the journal at start like the open bars, so that after a crash exactly what is missing is asked for.
A candle that was published is never touched; only minutes without one are filled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from libs.bars.openbar import OpenBar, begin
from libs.bars.plan import closings
from libs.contracts import Backfilled, FeedGap, OHLCVBar, Origin
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE

#: A symbol's newest candles, by which one touched by a gap is held against the broker's.
_NEWEST_KEPT = 4
_PRICE_TOLERANCE = 1e-6


class Wanted(NamedTuple):
    """The minutes of one symbol to ask for: `minutes` have no candle, the range is the gap's, end excluded."""

    gap_id: str
    symbol: str
    from_us: int
    to_us: int
    minutes: tuple[int, ...]


class Backfills:
    """One session's minutes, by symbol, and the gaps that are still to be filled."""

    def __init__(self, session: Session, timeframes: Sequence[str]) -> None:
        self.timeframes = tuple(timeframes)
        self.start_session(session)

    def start_session(self, session: Session) -> None:
        """Begin a day; gaps of the one before are let go."""
        self.session = session
        self._number = {minute: number for number, minute in enumerate(session.minutes)}
        self._seen: dict[str, int] = {}  # symbol: a bit for each minute that has a candle
        self._newest: dict[str, deque[OHLCVBar]] = {}
        self._gaps: dict[str, FeedGap] = {}
        self._done: set[tuple[str, str]] = set()
        self._queue: deque[Wanted] = deque()

    @property
    def waiting(self) -> int:
        """How many symbols are still to be asked for, and gaps that are over and not looked into yet."""
        return len(self._queue) + sum(1 for gap in self._gaps.values() if gap.to_us)

    def on_bar(self, bar: OHLCVBar) -> None:
        """Take note of a candle that was published."""
        number = self._number.get(bar.timestamp_us)
        if bar.timeframe != "1m" or number is None:
            return
        self._seen[bar.symbol] = self._seen.get(bar.symbol, 0) | 1 << number
        self._newest.setdefault(bar.symbol, deque(maxlen=_NEWEST_KEPT)).append(bar)

    def on_gap(self, gap: FeedGap) -> None:
        """Take note of a gap that began or ended."""
        if self.session.open_us <= gap.timestamp_us < self.session.last_us:
            self._gaps[gap.gap_id] = gap

    def on_backfilled(self, made: Backfilled) -> None:
        """Take note of what was asked for, whatever came of it: it is not asked for again."""
        self._done.add((made.gap_id, made.symbol))
        for bar in made.bars:
            number = self._number.get(bar.timestamp_us)
            if bar.timeframe == "1m" and number is not None:
                self._seen[bar.symbol] = self._seen.get(bar.symbol, 0) | 1 << number

    def next(self, symbols: Collection[str], closed_through_us: int, now_us: int, delay_us: int) -> Wanted | None:
        """Give what to ask for next, when its minutes are closed and the broker had `delay_us` to write them."""
        while not self._queue:
            due = next(
                (gap for gap in self._gaps.values() if self._is_due(gap, closed_through_us, now_us, delay_us)), None
            )
            if due is None:
                return None
            del self._gaps[due.gap_id]
            self._queue.extend(self._of_gap(due, symbols))
        return self._queue.popleft()

    def made_of(
        self, wanted: Wanted, candles: Iterable[OHLCVBar], closed_through_us: int, *, recorded_at_us: int
    ) -> Backfilled:
        """Say what the broker's candles of the day fill, and where they disagree with what was published."""
        theirs = {bar.timestamp_us: bar for bar in candles}
        seen = self._seen.get(wanted.symbol, 0)
        missing = [minute for minute in wanted.minutes if not seen >> self._number[minute] & 1]
        came = [theirs[minute] for minute in missing if minute in theirs]
        filled = [msgspec.structs.replace(bar, origin=Origin.BACKFILL, seq=0) for bar in came if _is_sound(bar)]
        published = [
            bar for bar in self._newest.get(wanted.symbol, ())
            if wanted.from_us <= bar.timestamp_us < wanted.to_us and bar.timestamp_us in theirs
        ]  # fmt: skip
        differing = sum(_differ(bar, theirs[bar.timestamp_us]) for bar in published)
        outcome = "nothing" if not filled else "complete" if len(filled) == len(missing) else "partial"
        longer = self._longer(wanted.symbol, filled, closed_through_us)
        unsound = len(came) - len(filled)
        detail = f"{len(theirs)} candles of the day came, {len(missing)} minutes were missing"
        return Backfilled(
            self.session.exchange, wanted.symbol, wanted.from_us, wanted.to_us, wanted.gap_id, filled + longer, outcome,
            differing, detail + (f", {unsound} candles made no sense" if unsound else ""), recorded_at_us,
        )  # fmt: skip

    def failed(self, wanted: Wanted, error: str, *, recorded_at_us: int) -> Backfilled:
        """Say that it was given up."""
        return Backfilled(
            self.session.exchange, wanted.symbol, wanted.from_us, wanted.to_us, wanted.gap_id, [], "failed", 0, error,
            recorded_at_us,
        )  # fmt: skip

    def _is_due(self, gap: FeedGap, closed_through_us: int, now_us: int, delay_us: int) -> bool:
        """A gap that lasts is due once the session's last minute is closed."""
        last = self._range(gap)[1] - US_PER_MINUTE
        is_over = closed_through_us >= self.session.minutes[-1]
        return is_over or (bool(gap.to_us) and closed_through_us >= last and now_us >= last + US_PER_MINUTE + delay_us)

    def _range(self, gap: FeedGap) -> tuple[int, int]:
        """The whole minutes a gap touches, within the session."""
        end_us = min(gap.to_us or self.session.last_us, self.session.last_us)
        first = gap.timestamp_us // US_PER_MINUTE * US_PER_MINUTE
        return first, -(-max(end_us, first + 1) // US_PER_MINUTE) * US_PER_MINUTE

    def _of_gap(self, gap: FeedGap, symbols: Collection[str]) -> Iterable[Wanted]:
        from_us, to_us = self._range(gap)
        minutes = [minute for minute in self.session.minutes if from_us <= minute < to_us]
        for symbol in sorted(symbols):
            seen = self._seen.get(symbol, 0)
            missing = tuple(minute for minute in minutes if not seen >> self._number[minute] & 1)
            if missing and (gap.gap_id, symbol) not in self._done:
                yield Wanted(gap.gap_id, symbol, from_us, to_us, missing)

    def _longer(self, symbol: str, filled: Sequence[OHLCVBar], closed_through_us: int) -> list[OHLCVBar]:
        """Make the longer candles that ended without a single minute; one that had a minute was published."""
        out = []
        for timeframe in self.timeframes:
            last = {start: end for end, ended in closings(self.session, (timeframe,)).items() for _, start in ended}
            made: dict[int, OpenBar] = {}
            for bar in filled:
                start = self.session.bar_start(bar.timestamp_us, timeframe)
                if last[start] > closed_through_us or self._has_any(symbol, start, last[start]):
                    continue
                if start in made:
                    made[start].append(bar)
                else:
                    made[start] = begin(bar)
            out += [
                each.closed(symbol, timeframe, start, self.session.exchange, Origin.BACKFILL)
                for start, each in sorted(made.items())
            ]
        return out

    def _has_any(self, symbol: str, first: int, last: int) -> bool:
        """Whether any minute from first to last has a candle. A day's first minute is later than its start."""
        numbers = [number for minute, number in self._number.items() if first <= minute <= last]
        return any(self._seen.get(symbol, 0) >> number & 1 for number in numbers)


def _is_sound(bar: OHLCVBar) -> bool:
    """Whether the store would take it."""
    figures = (bar.open, bar.high, bar.low, bar.close)
    inside = bar.low <= min(bar.open, bar.close) and bar.high >= max(bar.open, bar.close)
    return all(map(math.isfinite, figures)) and bar.low > 0 and inside and bar.volume >= 0


def _differ(ours: OHLCVBar, theirs: OHLCVBar) -> bool:
    pairs = ((ours.open, theirs.open), (ours.high, theirs.high), (ours.low, theirs.low), (ours.close, theirs.close))
    return ours.volume != theirs.volume or any(abs(a - b) > _PRICE_TOLERANCE for a, b in pairs)
