"""What steers trading, as rows: states, locks, commands, reconciliations. Each inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec

from libs.contracts.risk import TradingState


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a trading state: which scope, to what, why, by whom."""

    state: TradingState
    cause: str
    reason: str
    set_by: str
    at_us: int
    scope_kind: str = "account"
    scope: str = ""
    command_id: str = ""


class DifferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing two books disagree on, and what was done about it."""

    kind: str
    resolution: str
    rule: str
    exchange: str = ""
    symbol: str = ""
    order_id: str = ""
    broker_order_id: str = ""
    ours: Mapping[str, Any] | None = None
    theirs: Mapping[str, Any] | None = None


def set_state(connection: sqlite3.Connection, change: StateChange) -> TradingState:
    """Write a trading state and its history; give the state before."""
    row = connection.execute(
        "SELECT state FROM trading_states WHERE scope_kind = ? AND scope = ?", (change.scope_kind, change.scope)
    ).fetchone()
    before = TradingState(row[0]) if row else TradingState.ACTIVE
    connection.execute(
        "INSERT OR REPLACE INTO trading_states VALUES (?, ?, ?, ?, ?, ?, ?)",
        (change.scope_kind, change.scope, change.state.value, change.cause, change.reason, change.set_by, change.at_us),
    )
    connection.execute(
        "INSERT INTO trading_state_changes (scope_kind, scope, state_from, state_to, cause, reason, set_by, "
        "command_id, at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (change.scope_kind, change.scope, before.value, change.state.value, change.cause, change.reason, change.set_by,
         change.command_id or None, change.at_us),
    )  # fmt: skip
    return before


def set_lock(connection: sqlite3.Connection, kind: str, day: date, figures: Mapping[str, float], at_us: int) -> None:
    """Write that a limit of the account was hit; while it holds it is one row."""
    connection.execute(
        "UPDATE risk_locks SET cleared_at_us = max(?, set_at_us), cleared_by = 'day', cleared_reason = 'a new day' "
        "WHERE kind = 'daily_loss' AND cleared_at_us IS NULL AND trading_date < ?",
        (at_us, day.isoformat()),
    )
    connection.execute(
        "INSERT OR IGNORE INTO risk_locks (kind, scope_kind, scope, trading_date, figures_json, set_at_us) "
        "VALUES (?, 'account', '', ?, ?, ?)",
        (kind, day.isoformat(), _json(dict(figures)), at_us),
    )


def clear_lock(connection: sqlite3.Connection, kind: str, by: str, reason: str, at_us: int) -> None:
    """Lift a lock of the account."""
    connection.execute(
        "UPDATE risk_locks SET cleared_at_us = max(?, set_at_us), cleared_by = ?, cleared_reason = ? "
        "WHERE kind = ? AND scope_kind = 'account' AND cleared_at_us IS NULL",
        (at_us, by, reason, kind),
    )


def lift_drawdown(
    connection: sqlite3.Connection, by: str, reason: str, at_us: int, *, equity_paise: int | None = None
) -> None:
    """Lift the account's drawdown lock, and measure it anew: from what the account is worth, or was last seen to be."""
    clear_lock(connection, "drawdown", by, reason, at_us)
    if equity_paise is None:
        last = "SELECT equity_paise FROM portfolio_snapshots ORDER BY timestamp_us DESC LIMIT 1"
        row = connection.execute(last).fetchone()
        equity_paise = row[0] if row else None
    if equity_paise is not None:
        connection.execute("UPDATE trading_days SET equity_high_paise = ?", (equity_paise,))


# -- commands ---------------------------------------------------------------------------------------------------------


def known_command(connection: sqlite3.Connection, command_id: str) -> tuple[str, Any] | None:
    """Give state and answer of a command that came before."""
    row = connection.execute("SELECT state, answer_json FROM commands WHERE command_id = ?", (command_id,)).fetchone()
    return (row[0], msgspec.json.decode(row[1]) if row[1] else None) if row else None


def accept_command(
    connection: sqlite3.Connection, command_id: str, kind: str, arguments: Mapping[str, Any], sender: str, at_us: int
) -> None:
    """Write a command before anything is done about it."""
    connection.execute(
        "INSERT INTO commands (command_id, kind, arguments_json, sender, state, received_at_us) "
        "VALUES (?, ?, ?, ?, 'accepted', ?)",
        (command_id, kind, _json(dict(arguments)), sender, at_us),
    )


def finish_command(connection: sqlite3.Connection, command_id: str, state: str, answer: Any, at_us: int) -> None:
    """Write how a command ended: done, refused or failed."""
    connection.execute(
        "UPDATE commands SET state = ?, answer_json = ?, finished_at_us = ? WHERE command_id = ?",
        (state, _json(answer if isinstance(answer, dict) else {"answer": answer}), at_us, command_id),
    )


def unfinished_commands(connection: sqlite3.Connection) -> list[tuple[str, str, dict[str, Any]]]:
    """List commands that were accepted and not finished: id, kind, arguments."""
    rows = connection.execute(
        "SELECT command_id, kind, arguments_json FROM commands WHERE state = 'accepted' ORDER BY received_at_us"
    ).fetchall()
    return [(row[0], row[1], msgspec.json.decode(row[2])) for row in rows]


# -- reconciliation ---------------------------------------------------------------------------------------------------


def reconciliation(
    connection: sqlite3.Connection, *, broker: str, cause: str, outcome: str, started_us: int, finished_us: int,
    differences: Iterable[DifferenceRow],
) -> int:  # fmt: skip
    """Write one comparison with what it found; give its number."""
    found = list(differences)
    done = connection.execute(
        "INSERT INTO reconciliations (broker, cause, outcome, differences, started_at_us, finished_at_us) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (broker, cause, outcome, len(found), started_us, max(started_us, finished_us)),
    )
    number = int(done.lastrowid or 0)
    for row in found:
        connection.execute(
            "INSERT INTO reconciliation_differences (reconciliation_id, kind, exchange, symbol, order_id, "
            "broker_order_id, ours_json, theirs_json, resolution, rule, resolved_by, resolved_at_us) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, row.kind, row.exchange, row.symbol, row.order_id or None, row.broker_order_id or None,
             None if row.ours is None else _json(dict(row.ours)),
             None if row.theirs is None else _json(dict(row.theirs)), row.resolution, row.rule,
             "rule" if row.resolution == "repaired" else None,
             finished_us if row.resolution == "repaired" else None),
        )  # fmt: skip
    return number


def sync_state(connection: sqlite3.Connection, broker: str, **columns: Any) -> None:
    """Write where we stand with a broker."""
    connection.execute("INSERT OR IGNORE INTO broker_sync_state (broker, state) VALUES (?, 'never')", (broker,))
    changes = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(
        f"UPDATE broker_sync_state SET {changes} WHERE broker = ?",  # our own names
        (*columns.values(), broker),
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
