"""D1: bytes written once stay readable. Golden files are only ever added to.

A file is `<name>.<revision>.hex`: the MessagePack of the message of that name in SAMPLES, as it was written then.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from libs.contracts import (
    Backfilled,
    Decided,
    FeedGap,
    Health,
    MinuteClosed,
    OHLCVBar,
    OrderEvent,
    Origin,
    SessionChanged,
    SignalEvent,
    Tick,
    TradeEvent,
)
from libs.contracts.analytics import (
    ConfluenceInsight,
    Direction,
    FeatureSnapshot,
    MarketRegime,
    PatternFound,
    Reason,
    RegimeReading,
    ScanPick,
    ScanResult,
)
from libs.contracts.backtest import BacktestProgress
from libs.contracts.base import Message
from libs.contracts.health import Alert, Severity
from libs.contracts.instruments import Instrument
from libs.contracts.risk import PositionEvent, RiskEvent

GOLDEN = Path(__file__).parent / "golden" / "messages"
MOMENT = 1_770_003_900_000_000

SAMPLES: dict[str, Message] = {
    "tick": Tick("RELIANCE", MOMENT, 1411.05, volume=1402, bid=1411.0, ask=1411.1, volume_day=7_791_920, seq=42),
    "bar": OHLCVBar("RELIANCE", "1m", MOMENT, 1411.0, 1412.5, 1410.2, 1411.05, 120_400, seq=7),
    "instrument": Instrument(
        exchange="nse",
        symbol="RELIANCE",
        instrument_key="NSE_EQ|INE002A01018",
        segment="NSE_EQ",
        instrument_type="EQ",
        valid_from=date(2026, 2, 2),
        isin="INE002A01018",
        tick_size=0.1,
        freeze_quantity=71_000,
    ),
    "minute_closed": MinuteClosed("nse", MOMENT, 52, seq=99),
    "feed_gap": FeedGap("nse", MOMENT, "9f2c", "disconnect", MOMENT + 4_000_000, "close code 1006", MOMENT, seq=12),
    "backfilled": Backfilled(
        "nse",
        "RELIANCE",
        MOMENT,
        MOMENT + 120_000_000,
        "9f2c",
        [OHLCVBar("RELIANCE", "1m", MOMENT, 1411.0, 1412.5, 1410.2, 1411.05, 120_400, origin=Origin.BACKFILL)],
        "partial",
        1,
        "52 candles of the day came, 2 minutes were missing",
        MOMENT,
        seq=13,
    ),
    "scan": ScanResult(
        "gainers", MOMENT, (ScanPick("RELIANCE", 1, 3.2, 0.8, {"change_percent": 3.2}),), fresh=("RELIANCE",)
    ),
    "session_changed": SessionChanged("nse", MOMENT, "open", "2026-02-02", seq=1),
    "signal": SignalEvent(
        "c0ffee", "sma_cross", "RELIANCE", MOMENT, "enter_long", 0.8, {"fast": 10}, stop=1400.0, target=1430.0
    ),
    "decided": Decided("nse", MOMENT, 2, 88, "7c21"),
    "order": OrderEvent("o-1", "c0ffee", MOMENT, "RELIANCE", "limit", "buy", 10, 1411.05, "acknowledged"),
    "trade": TradeEvent("t-1", "c0ffee", MOMENT, "RELIANCE", "filled", "long", 10, 1411.05, Decimal("12.34")),
    "risk": RiskEvent("rejected", MOMENT, "too old", "stale_signal", {"age_us": 5.0}, "sma_cross", "RELIANCE"),
    "position": PositionEvent("sma_cross", "RELIANCE", MOMENT, -10, 1411.05, 1410.0, Decimal("12.34")),
    "backtest_progress": BacktestProgress(
        "run_20260202_101500_c0ffee12ab", MOMENT, "running", 187_500, 468_750, MOMENT, 1_000_123_45, "job-1"
    ),
    "confluence": ConfluenceInsight(
        "RELIANCE", MOMENT, Direction.BULLISH, 0.55, 0.9, (Reason("trend", "15m", 1.0, 6.0, 0.25),), version="1"
    ),
    "regime": RegimeReading("RELIANCE", MOMENT, MarketRegime.TREND_UP, 0.6, {"adx": 30.0}, version="1"),
    "pattern": PatternFound("RELIANCE", MOMENT, "hammer", Direction.BULLISH, 0.7, version="1"),
    "features": FeatureSnapshot("RELIANCE", MOMENT, "core.v1", {"rsi_14": 55.0}),
    "alert": Alert(
        "c0ffee", Severity.CRITICAL, "ops", MOMENT, "ingestor is silent", "no heartbeat for 15 s", 2, MOMENT
    ),
    "health": Health("ingestor", MOMENT, "green", 4711, figures={"ticks_per_second": 5000.0}),
}


def latest(name: str) -> Path:
    return max(GOLDEN.glob(f"{name}.*.hex"), key=lambda path: int(path.suffixes[0][1:]))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.hex")), ids=lambda path: path.name)
def test_every_byte_ever_written_can_be_read(path):
    sample = SAMPLES[path.name.split(".")[0]]
    found = msgspec.msgpack.decode(bytes.fromhex(path.read_text()), type=type(sample))

    assert found == msgspec.convert(msgspec.to_builtins(sample), type(sample))


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_today_is_the_latest_golden_file(name):
    """A new field is a new revision beside the old one: add the file, never change one."""
    assert msgspec.msgpack.encode(SAMPLES[name]).hex() == latest(name).read_text().strip()


@pytest.mark.parametrize("name", SAMPLES)
def test_unknown_fields_are_ignored(name):
    """A message of a newer fleet is understood by an older one."""
    tree = msgspec.to_builtins(SAMPLES[name]) | {"field_of_tomorrow": 1}
    kind = type(SAMPLES[name])

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tree), type=kind) == msgspec.convert(tree, kind)


def test_event_gives_an_aware_datetime():
    assert SAMPLES["bar"].timestamp.isoformat() == "2026-02-02T03:45:00+00:00"
