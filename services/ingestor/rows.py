"""Rows on their way from the journal to the stores, and the columns they become."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from libs.bars import Quarantined
from libs.contracts import Backfilled, FeedGap, OHLCVBar, Tick

_INSTANT = pa.timestamp("us", tz="UTC")


class LateTick(msgspec.Struct, frozen=True):
    """A tick whose bar was closed when it came. Its seq is its own; it is in no table of ticks."""

    tick: Tick
    bar_us: int


class Quarantine(msgspec.Struct, frozen=True):
    """What was refused, in the journal's words; `tick` is absent when the message could not be read."""

    reason: str
    detail: str
    received_us: int
    seq: int
    tick: Tick | None = None
    raw: bytes = b""

    @classmethod
    def of(cls, refused: Quarantined, seq: int) -> Quarantine:
        return cls(refused.reason.value, refused.detail, refused.tick.received_us, seq, refused.tick)


class Rows:
    """What was journalled and is in no store yet. Filled by the loop, emptied by `take`."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.bars: list[OHLCVBar] = []
        self.late: list[LateTick] = []
        self.quarantine: list[Quarantine] = []
        self.gaps: list[FeedGap] = []
        self.backfills: list[Backfilled] = []

    def __len__(self) -> int:
        few = len(self.late) + len(self.quarantine) + len(self.gaps) + len(self.backfills)
        return len(self.ticks) + len(self.bars) + few

    def candles(self) -> list[OHLCVBar]:
        """Everything for the table of candles: what was published, then what was got for gaps."""
        return self.bars + [bar for made in self.backfills for bar in made.bars]

    def add(self, other: Rows) -> None:
        """Take over what another has."""
        self.ticks += other.ticks
        self.bars += other.bars
        self.late += other.late
        self.quarantine += other.quarantine
        self.gaps += other.gaps
        self.backfills += other.backfills

    def take(self) -> Rows:
        """Hand everything over to the writer and begin anew."""
        taken = Rows()
        taken.ticks, self.ticks = self.ticks, []
        taken.bars, self.bars = self.bars, []
        taken.late, self.late = self.late, []
        taken.quarantine, self.quarantine = self.quarantine, []
        taken.gaps, self.gaps = self.gaps, []
        taken.backfills, self.backfills = self.backfills, []
        return taken


def tick_columns(ticks: Sequence[Tick]) -> pa.Table:
    """Give ticks as the columns of the `ticks` table."""
    return pa.table(
        {
            "symbol": pa.array([tick.symbol for tick in ticks], pa.string()),
            "timestamp": pa.array([tick.timestamp_us for tick in ticks], pa.int64()).cast(_INSTANT),
            "price": pa.array([tick.price for tick in ticks], pa.float64()),
            "volume": pa.array([tick.volume for tick in ticks], pa.int64()),
            "bid": pa.array([tick.bid for tick in ticks], pa.float64()),
            "ask": pa.array([tick.ask for tick in ticks], pa.float64()),
            "volume_day": pa.array([tick.volume_day for tick in ticks], pa.int64()),
            "open_interest": pa.array([tick.open_interest for tick in ticks], pa.float64()),
            "seq": pa.array([tick.seq for tick in ticks], pa.int64()),
        }
    )


def candle_columns(bars: Sequence[OHLCVBar]) -> pa.Table:
    """Give bars as the columns of the `candles` table."""
    return pa.table(
        {
            "symbol": pa.array([bar.symbol for bar in bars], pa.string()),
            "timeframe": pa.array([bar.timeframe for bar in bars], pa.string()),
            "timestamp": pa.array([bar.timestamp_us for bar in bars], pa.int64()).cast(_INSTANT),
            "open": pa.array([bar.open for bar in bars], pa.float64()),
            "high": pa.array([bar.high for bar in bars], pa.float64()),
            "low": pa.array([bar.low for bar in bars], pa.float64()),
            "close": pa.array([bar.close for bar in bars], pa.float64()),
            "volume": pa.array([bar.volume for bar in bars], pa.int64()),
            "origin": pa.array([bar.origin.value for bar in bars], pa.string()),
            "seq": pa.array([bar.seq or None for bar in bars], pa.int64()),
        }
    )
