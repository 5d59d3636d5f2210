"""Facades that only read: one row a list, paged and filtered, over the stores as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Store
from services.api.changes import fetch


class View(msgspec.Struct, frozen=True):
    """A list: where it is, what it can be filtered by, its time, its order."""

    store: Store
    table: str
    time: str
    filters: tuple[str, ...]
    order: str
    columns: str = "*"


VIEWS: dict[str, View] = {
    "signals": View(Store.SIGNALS, "signals", "timestamp_us", ("symbol", "strategy_id", "signal_type"),
                    "outbox_seq DESC"),
    "scans": View(Store.SIGNALS, "scan_results", "timestamp_us", ("symbol", "scan_id"),
                  "timestamp_us DESC, scan_id, rank"),
    "orders": View(Store.TRADING, "orders", "created_at_us", ("symbol", "strategy_id", "status"),
                   "created_at_us DESC, order_id"),
    "trades": View(Store.TRADING, "trades", "timestamp_us", ("symbol", "strategy_id"), "timestamp_us DESC, trade_id"),
    "positions": View(Store.TRADING, "positions", "updated_at_us", ("symbol", "strategy_id"),
                      "quantity = 0, strategy_id, symbol"),
    "risk_events": View(Store.TRADING, "risk_events", "timestamp_us", ("symbol", "strategy_id", "kind", "severity"),
                        "event_id DESC"),
    "trading_states": View(Store.TRADING, "trading_states", "since_us", ("scope_kind", "state"), "scope_kind, scope"),
    "runs": View(Store.BACKTEST_INDEX, "runs", "created_at_us", ("strategy", "state"), "created_at_us DESC, run_id"),
    "jobs": View(Store.BACKTEST_INDEX, "jobs", "requested_at_us", ("state",), "requested_at_us DESC"),
    "watchlists": View(Store.CONFIG, "watchlists", "updated_at_us", ("name",), "name",
                       "*, (SELECT json_group_array(symbol) FROM (SELECT symbol FROM watchlist_items i WHERE "
                       "i.watchlist_id = watchlists.watchlist_id ORDER BY position)) AS symbols_json"),
    "strategy_configs": View(Store.CONFIG, "strategy_configs", "updated_at_us", ("instance", "strategy"), "instance"),
    "scan_configs": View(Store.CONFIG, "scan_configs", "updated_at_us", ("scan_id",), "scan_id"),
    "risk_limits": View(Store.CONFIG, "risk_limits", "updated_at_us", ("scope_kind", "scope"),
                        "scope_kind, scope, limit_name"),
    "alert_settings": View(Store.CONFIG, "alert_settings", "updated_at_us", ("name",), "name",
                           "name, target_secret AS target, CASE severity_min WHEN 'error' THEN 'critical' ELSE "
                           "severity_min END AS severity_min, quiet_from, quiet_to, is_enabled, updated_at_us"),
    "instruments": View(Store.CONFIG, "instruments", "imported_at_us", ("symbol", "exchange"),
                        "exchange, symbol, valid_from DESC"),
    "audit": View(Store.CONFIG, "audit_log", "at_us", ("actor", "subject", "action"), "audit_id DESC"),
    "sessions": View(Store.CONFIG, "sessions", "created_at_us", (), "revoked_at_us IS NOT NULL, seen_at_us DESC",
                     "substr(session_hash, 1, 16) AS session_id, "
                     "(SELECT name FROM users u WHERE u.user_id = sessions.user_id) AS name, address, user_agent, "
                     "created_at_us, seen_at_us, expires_at_us, revoked_at_us"),
    "tokens": View(Store.CONFIG, "api_tokens", "created_at_us", (), "created_at_us DESC",
                   "(SELECT name FROM users u WHERE u.user_id = api_tokens.user_id) AS name, name AS token_name, "
                   "scopes_json, created_at_us, expires_at_us, used_at_us, revoked_at_us"),
    "users": View(Store.CONFIG, "users", "created_at_us", ("name",), "name",
                  "user_id, name, (SELECT min(role) FROM user_roles r WHERE r.user_id = users.user_id) AS role, "
                  "is_active, failed_logins, created_at_us, updated_at_us"),
}  # fmt: skip
#: What only an admin may read.
ADMIN_VIEWS = ("audit", "sessions", "tokens", "users")


class Rows(msgspec.Struct, frozen=True):
    """One page of a list. `next_offset` is missing on the last."""

    rows: list[dict[str, Any]]
    limit: int
    offset: int
    next_offset: int | None


class Wanted(msgspec.Struct, frozen=True):
    """Which rows: equal to these, at or after `from_us`, before `to_us`."""

    filters: dict[str, str]
    from_us: int | None
    to_us: int | None
    limit: int
    offset: int


def read(db: DatabaseManager, view: View, wanted: Wanted) -> Rows:
    """Read one page beside the store's writer."""
    conditions: list[str] = []
    values: list[Any] = []
    for name, value in wanted.filters.items():
        if name not in view.filters:
            raise Refused(f"this list has no filter {name!r}; it has {', '.join(view.filters) or 'none'}")
        conditions.append(f"{name} = ?")
        values.append(value)
    for bound, sign in ((wanted.from_us, ">="), (wanted.to_us, "<")):
        if bound is not None:
            conditions.append(f"{view.time} {sign} ?")
            values.append(bound)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    sql = f"SELECT {view.columns} FROM {view.table} {where}ORDER BY {view.order} LIMIT ? OFFSET ?"  # noqa: S608  # names of ours, values bound
    with db.reader(view.store) as connection:
        rows = fetch(connection, sql, *values, wanted.limit + 1, wanted.offset)
    more = len(rows) > wanted.limit
    return Rows(rows[: wanted.limit], wanted.limit, wanted.offset, wanted.offset + wanted.limit if more else None)
