"""One example of every message of the bus: the golden files hold their bytes, the reference page their JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from libs.contracts import (
    Decided,
    Health,
    HealthState,
    MinuteClosed,
    OHLCVBar,
    OrderEvent,
    OrderStatus,
    OrderType,
    SessionChanged,
    Side,
    SignalEvent,
    SignalType,
    Tick,
    TradeDirection,
    TradeEvent,
    TradeStatus,
)  # fmt: skip
from libs.contracts.analytics import ScanPick, ScanResult
from libs.contracts.bus import (
    CommandReply,
    CommandRequest,
    CommandStatus,
    Envelope,
    Heads,
    ReplayReply,
    ReplayRequest,
    StreamHead,
    TickBatch,
)  # fmt: skip
from libs.contracts.risk import PositionEvent

AT = 1_770_003_900_000_000
EPOCH = "5e0b7a1c9d2f4e68"

_TICK = Tick("RELIANCE", AT + 250_000, 1394.5, 120, 1394.45, 1394.5, 48_210, 7301, "nse", AT + 270_000)
_HEAD = StreamHead("candles", EPOCH, 1204, 901, 880, True, {"candle.1m.nse.RELIANCE|": 1201})


def _said(topic: str, stream: str, seq: int, payload: Any) -> tuple[str, Envelope[Any]]:
    return topic, Envelope(1, stream, EPOCH, seq, seq - 3, AT, AT + 20_000, AT + 20_150, payload)


#: Golden file, topic and envelope.
MESSAGES: dict[str, tuple[str, Envelope[Any]]] = {
    "tick": _said("tick.nse.RELIANCE|", "ticks", 7301, _TICK),
    "ticks": _said("ticks.nse|", "ticks", 7301, TickBatch([_TICK])),
    "candle": _said(
        "candle.1m.nse.RELIANCE|", "candles", 1201,
        OHLCVBar("RELIANCE", "1m", AT, 1394.0, 1395.2, 1393.6, 1394.5, 48_210, seq=1201),
    ),
    "signal": _said(
        "signal.sma_cross.RELIANCE|", "signals", 88,
        SignalEvent("0f3a", "sma_cross", "RELIANCE", AT, SignalType.ENTER_LONG, 0.7, {"fast": 1394.1}, stop=1380.0),
    ),
    "decided": _said("decided.nse|", "decisions", 31, Decided("nse", AT, 2, 88, "7c21")),
    "scan": _said(
        "scan.gainers|", "scans", 12,
        ScanResult("gainers", AT, (ScanPick("RELIANCE", 1, 3.2, 0.8, {"change_percent": 3.2}),), fresh=("RELIANCE",)),
    ),
    "order": _said(
        "order.RELIANCE|", "orders", 41,
        OrderEvent(
            "o-17", "0f3a", AT, "RELIANCE", OrderType.LIMIT, Side.BUY, 10, 1394.5, OrderStatus.OPEN, "nse", "sma_cross"
        ),
    ),
    "trade": _said(
        "trade.RELIANCE|", "trades", 12,
        TradeEvent(
            "t-9", "0f3a", AT, "RELIANCE", TradeStatus.FILLED, TradeDirection.LONG, 10, 1394.5, Decimal("23.41"),
            order_id="o-17",
        ),
    ),
    "position": _said(
        "position.RELIANCE|", "positions", 30,
        PositionEvent("sma_cross", "RELIANCE", AT, 10, 1394.5, 1396.0, Decimal("15.00")),
    ),
    "minute_closed": _said("market.nse.minute_closed|", "candles", 1204, MinuteClosed("nse", AT, 48, seq=1204)),
    "eod": _said(
        "market.nse.eod|", "candles", 98_201,
        SessionChanged("nse", AT + 24_300_000_000, "eod", "2026-02-02", seq=98_201),
    ),
    "health": _said(
        "telemetry.health.ingestor|", "telemetry", 300,
        Health("ingestor", AT, HealthState.GREEN, 4242, loop_lag_us=180, figures={"ticks_per_s": 812.0}),
    ),
    "heads": _said("head.candles|", "candles", 1204, Heads([_HEAD])),
}  # fmt: skip

#: What goes over the replay and command sockets, without topic and envelope.
FRAMES: dict[str, Any] = {
    "replay": ReplayRequest("r-1", "candles", ["candle.1m.nse."], 1180, 1204),
    "replayed": ReplayReply("r-1", "candles", EPOCH, [("candle.1m.nse.RELIANCE|", b"\x80")], 1204, 901),
    "command": CommandRequest("c-1", "halt", {"reason": "drill"}, AT + 5_000_000),
    "command-reply": CommandReply("c-1", CommandStatus.OK, result={"state": "halted"}, expires_us=AT + 5_000_000),
}
