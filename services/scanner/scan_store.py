"""Results of scans in the signals store: the picks, who is picked for the first time today, and the outbox."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.contracts.analytics import ScanResult
from libs.contracts.topics import topic
from libs.core.clock import trading_date
from libs.core.version import CODE_VERSION
from libs.dbaccess.outbox import Outbox

SCANS = "scans"

_PICK = "INSERT OR REPLACE INTO scan_results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KNOWN = "SELECT 1 FROM scan_results WHERE scan_id = ? AND timestamp_us = ? AND exchange = ? AND timeframe = ? LIMIT 1"
_REACHED = "SELECT bar_us FROM runner_state WHERE runner = ? AND exchange = ? AND symbol = '' AND timeframe = ?"
_REACH = "INSERT OR REPLACE INTO runner_state VALUES (?, ?, '', ?, ?, '', ?, x'', 'active', '', ?)"
_ALERT = """
INSERT INTO scan_alerts VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT DO UPDATE SET last_us = max(last_us, excluded.last_us), repeats = repeats + 1
RETURNING repeats
"""


def keep(connection: Any, outbox: Outbox, result: ScanResult, now_us: int) -> tuple[ScanResult, int] | None:
    """Write a result inside the caller's transaction; give it with who is new today, and its seq; None when known.

    A result without picks leaves no row but the bar its scan has reached: what a restart scans again up to there that
    day is known.
    """
    if _is_known(connection, result):
        return None
    reached = (result.scan_id, result.exchange, result.timeframe, result.timestamp_us, CODE_VERSION, now_us)
    connection.execute(_REACH, reached)
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


def _is_known(connection: Any, result: ScanResult) -> bool:
    at_us = result.timestamp_us
    row = connection.execute(_REACHED, (result.scan_id, result.exchange, result.timeframe)).fetchone()
    if row and at_us <= row[0] and trading_date(at_us) == trading_date(row[0]):
        return True
    key = (result.scan_id, at_us, result.exchange, result.timeframe)
    return connection.execute(_KNOWN, key).fetchone() is not None
