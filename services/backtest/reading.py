"""What is read out of run files for screens: a run as one document, its trades, and how two runs differ."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.dbaccess import DatabaseManager
from libs.dbaccess.runs import RunConnection

#: What is different in every run, and what the file's own row has in text.
_ALWAYS_DIFFERENT = {"run_id", "created_at_us", "finished_at_us"}
#: Tables whose rows must be equal in two runs of the same inputs, and what puts them in order.
COMPARED = {
    "signals": "timestamp, strategy_id, symbol, signal_type, leg",
    "orders": "created, order_id",
    "trades": "trade_id",
    "equity_curve": "timestamp",
    "positions": "strategy_id, symbol",
    "metrics": "metric, scope",
    "log": "number",
}
_SHOWN_MAX = 5
#: What became of the signals; of those the gate refused, by which check.
_DECISIONS = (
    "SELECT decision, CASE decision WHEN 'rejected' THEN split_part(reason, ':', 1) ELSE '' END AS reason_of, "
    "count(*) AS signals FROM signals GROUP BY ALL ORDER BY signals DESC, decision, reason_of"
)


def describe(db: DatabaseManager, run_id: str) -> dict[str, Any]:
    """Give a run's own row, its figures by scope, its rows by kind, what became of its signals, and its log."""
    with db.backtest_reader(run_id) as connection:
        run = _rows(connection, "SELECT * FROM run")[0]
        figures: dict[str, dict[str, float | None]] = {}
        for row in _rows(connection, "SELECT scope, metric, value FROM metrics ORDER BY scope, metric"):
            figures.setdefault(row["scope"], {})[row["metric"]] = row["value"]
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]  # noqa: S608 - our own tables
            for table in COMPARED
        }
        decisions = _rows(connection, _DECISIONS)
        log = _rows(connection, "SELECT timestamp, level, event, detail_json FROM log ORDER BY number")
    for name in [name for name in run if name.endswith("_json")]:
        run[name.removesuffix("_json")] = msgspec.json.decode(run.pop(name))
    return {"run": run, "metrics": figures, "rows": counts, "decisions": decisions, "log": log}


def trades(db: DatabaseManager, run_id: str, symbols: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Give a run's fills in their order."""
    chosen = f" WHERE symbol IN ({', '.join('?' * len(symbols))})" if symbols else ""
    with db.backtest_reader(run_id) as connection:
        return _rows(connection, f"SELECT * FROM trades{chosen} ORDER BY trade_id", list(symbols))  # noqa: S608 - ours


def compare(db: DatabaseManager, first: str, second: str) -> dict[str, Any]:
    """Say how two runs differ: in what they were asked, and table by table; `equal` when in nothing."""
    with db.backtest_reader(first) as one, db.backtest_reader(second) as two:
        runs = [_rows(connection, "SELECT * FROM run")[0] for connection in (one, two)]
        asked = {
            name: [runs[0][name], runs[1][name]]
            for name in runs[0]
            if name not in _ALWAYS_DIFFERENT and runs[0][name] != runs[1][name]
        }
        tables = {table: _difference(one, two, table, order) for table, order in COMPARED.items()}
    differing = {table: found for table, found in tables.items() if found is not None}
    return {"equal": not asked and not differing, "run": asked, "tables": differing}


def _difference(one: RunConnection, two: RunConnection, table: str, order: str) -> dict[str, Any] | None:
    sql = f"SELECT * FROM {table} ORDER BY {order}"  # noqa: S608 - our own tables
    left, right = (_rows(connection, sql) for connection in (one, two))
    if left == right:
        return None
    odd = [number for number, (a, b) in enumerate(zip(left, right, strict=False)) if a != b]
    first = min(odd, default=min(len(left), len(right)))
    examples = [
        {"row": at, "first": left[at] if at < len(left) else None, "second": right[at] if at < len(right) else None}
        for at in (odd[:_SHOWN_MAX] or [first])
    ]
    return {"rows": [len(left), len(right)], "rows_different": len(odd) + abs(len(left) - len(right)),
            "examples": examples}  # fmt: skip


def _rows(connection: RunConnection, sql: str, values: list[str] | None = None) -> list[dict[str, Any]]:
    found = connection.execute(sql, values or [])
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def spell_decision(row: dict[str, Any]) -> str:
    """Say what became of signals, as `describe` counts them."""
    by = f" by {row['reason_of']}" if row["reason_of"] else ""
    return f"{row['decision']}{by}"
