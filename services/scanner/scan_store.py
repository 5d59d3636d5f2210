"""Results of scans in the signals store: the picks, who is picked for the first time today, and the outbox."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.contracts.analytics import ScanResult
from libs.contracts.topics import topic
from libs.core.clock import trading_date
from libs.dbaccess.outbox import Outbox

SCANS = "scans"

_PICK = "INSERT OR REPLACE INTO scan_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KNOWN = "SELECT 1 FROM scan_results WHERE scan_id = ? AND timestamp_us = ? AND exchange = ? AND timeframe = ? LIMIT 1"
_ALERT = """
INSERT INTO scan_alerts VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT DO UPDATE SET last_us = max(last_us, excluded.last_us), repeats = repeats + 1
RETURNING repeats
"""


def keep(connection: Any, outbox: Outbox, result: ScanResult, now_us: int) -> tuple[ScanResult, int] | None:
    """Write a result inside the caller's transaction; give it with who is new today, and its seq; None when known.

    A result without picks is told and leaves no row.
    """
    key = (result.scan_id, result.timestamp_us, result.exchange, result.timeframe)
    if connection.execute(_KNOWN, key).fetchone():
        return None
    day = trading_date(result.timestamp_us).isoformat()
    fresh = []
    for pick in result.picks:
        connection.execute(
            _PICK,
            (result.scan_id, result.exchange, pick.symbol, result.timeframe, result.timestamp_us, result.watchlist,
             pick.rank, pick.score, pick.confidence, msgspec.json.encode(pick.features).decode(), now_us),
        )  # fmt: skip
        alert = f"{result.scan_id} {result.exchange} {pick.symbol} {day}"
        values = (alert, result.scan_id, pick.symbol, result.timestamp_us, result.timestamp_us)
        if connection.execute(_ALERT, values).fetchone()[0] == 1:
            fresh.append(pick.symbol)
    told = msgspec.structs.replace(result, fresh=tuple(fresh))
    return told, outbox.append(SCANS, topic("scan", result.scan_id), told, result.timestamp_us, now_us)
