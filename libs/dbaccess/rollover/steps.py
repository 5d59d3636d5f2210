"""The record of a rollover in the ledger: each finished step of each day, for whoever asks what happened at night."""

from __future__ import annotations

from datetime import date

import msgspec

from libs.dbaccess.manager import DatabaseManager

_INSERT = """
INSERT INTO rollover_steps (exchange, trading_date, number, step, detail_json, recorded_at_us)
SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5
FROM rollover_steps WHERE exchange = ?1 AND trading_date = ?2
"""
#: An older version told of a day without noting it, and did not write `begun` either: its days are not told anew.
_UNTOLD = """
SELECT trading_date FROM rollover_steps WHERE exchange = ? GROUP BY trading_date
HAVING max(step = 'begun') = 1 AND max(step IN ('closed', 'same')) = 1 AND max(step = 'told') = 0
ORDER BY trading_date
"""


def record_step(db: DatabaseManager, exchange: str, day: date, step: str, **detail: str | int) -> None:
    """Add a finished step. Only a record: what is left to do is read off the files, which cannot disagree with it."""
    values = (exchange, day.isoformat(), step, msgspec.json.encode(detail).decode(), db.clock.now_us())
    with db.ledger_session() as session, session.transaction() as connection:
        connection.execute(_INSERT, values)


def untold_days(db: DatabaseManager, exchange: str) -> list[date]:
    """Give the days that went into history and of which no `told` is recorded, oldest first.

    Only of days whose rollover noted that it had `begun`: who notes that notes `told`, too.
    """
    with db.ledger_reader() as ledger:
        rows = ledger.execute(_UNTOLD, (exchange,)).fetchall()
    return [date.fromisoformat(day) for (day,) in rows]
