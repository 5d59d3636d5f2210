"""Changes of what the fleet is to do: watchlists, strategies, scans, risk limits, preferences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.core.errors import Refused
from libs.dbaccess.layout import exchange_name, symbol_name
from libs.risk.limits import LimitTree, Override
from libs.scanners.expression import Expression
from libs.settings.risk import Risk
from libs.strategies.interface import parameters_of
from libs.strategies.registry import find
from services.api.alerting import RemoveAlert, SaveAlert, remove_alert, save_alert
from services.api.changes import Asked, Connection, Done, Given, Name, NotThere, fetch
from services.api.corrections import SaveInstrument, save_instrument
from services.api.instruments import IMPORT, ImportInstruments, import_instruments

Timeframe = Annotated[str, Meta(pattern="^(1m|5m|15m|1h|4h|1d)$")]
#: The store's words for how wide a limit is, and the gate's.
_SCOPES = {"account": "all", "strategy": "strategy", "instrument": "symbol"}
Symbols = Annotated[list[str], Meta(max_length=5000)]


class SaveWatchlist(Given, frozen=True, kw_only=True):
    """A list and all that is on it, in order."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    symbols: Symbols
    exchange: str = "nse"


class RemoveWatchlist(Given, frozen=True, kw_only=True):
    """Take a list away."""

    name: str


class SaveStrategy(Given, frozen=True, kw_only=True):
    """One instance of a strategy, as it is to run."""

    instance: Name
    strategy: str
    timeframe: Timeframe
    symbols: Symbols
    exchange: str = "nse"
    is_enabled: bool = False
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class SaveScan(Given, frozen=True, kw_only=True):
    """A user's own scan, an expression over indicators."""

    scan_id: Name
    expression: Annotated[str, Meta(min_length=1, max_length=2000)]
    timeframe: Timeframe
    exchange: str = "nse"
    is_enabled: bool = False


class RemoveStrategy(Given, frozen=True, kw_only=True):
    """Take an instance away; it runs no more."""

    instance: Name


class RemoveScan(Given, frozen=True, kw_only=True):
    """Take a scan away."""

    scan_id: Name


class SaveLimit(Given, frozen=True, kw_only=True):
    """A limit of the risk gate; no value takes it away."""

    scope_kind: Annotated[str, Meta(pattern="^(account|strategy|instrument)$")] = "account"
    scope: Annotated[str, Meta(max_length=100)] = ""
    limit_name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{2,63}$")]
    value: Annotated[int, Meta(ge=0, le=2**53)] | None


class SavePreference(Given, frozen=True, kw_only=True):
    """A choice for the screens of who asks."""

    key: Annotated[str, Meta(pattern="^[a-z][a-z0-9_.]{0,63}$")]
    value: Annotated[str, Meta(max_length=10_000)]


def _one(connection: Connection, sql: str, *parameters: Any) -> dict[str, Any] | None:
    rows = fetch(connection, sql, *parameters)
    return rows[0] if rows else None


def _watchlist(connection: Connection, name: str) -> dict[str, Any] | None:
    row = _one(connection, "SELECT watchlist_id, name FROM watchlists WHERE name = ?", name)
    if row is None:
        return None
    items = fetch(
        connection, "SELECT symbol FROM watchlist_items WHERE watchlist_id = ? ORDER BY position", row["watchlist_id"]
    )
    return {**row, "symbols": [item["symbol"] for item in items]}


def _save_watchlist(connection: Connection, asked: Asked, given: SaveWatchlist) -> Done:
    exchange = exchange_name(given.exchange)
    symbols = list(dict.fromkeys(symbol_name(symbol) for symbol in given.symbols))
    before = _watchlist(connection, given.name)
    connection.execute(
        "INSERT INTO watchlists (name, created_at_us, updated_at_us) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET updated_at_us = excluded.updated_at_us",
        (given.name, asked.at_us, asked.at_us),
    )
    found = _watchlist(connection, given.name)
    number = found["watchlist_id"] if found else 0
    connection.execute("DELETE FROM watchlist_items WHERE watchlist_id = ?", (number,))
    connection.executemany(
        "INSERT INTO watchlist_items VALUES (?, ?, ?, ?)",
        [(number, exchange, symbol, position) for position, symbol in enumerate(symbols)],
    )
    after = _watchlist(connection, given.name)
    return Done("watchlists", given.name, before, after, after)


def _remove_watchlist(connection: Connection, _: Asked, given: RemoveWatchlist) -> Done:
    before = _watchlist(connection, given.name)
    if before is None:
        raise NotThere(f"no watchlist {given.name!r}")
    for table in ("strategy_configs", "scan_configs"):
        users = _one(connection, f"SELECT 1 FROM {table} WHERE watchlist_id = ?", before["watchlist_id"])  # noqa: S608  # a name of ours
        if users:
            raise Refused(f"watchlist {given.name!r} is used in {table}; change that first")
    connection.execute("DELETE FROM watchlists WHERE watchlist_id = ?", (before["watchlist_id"],))
    return Done("watchlists", given.name, before, None, {"removed": given.name})


def _save_strategy(connection: Connection, asked: Asked, given: SaveStrategy) -> Done:
    check_parameters(given.strategy, given.parameters)
    if not given.symbols:
        raise Refused(f"strategy {given.instance!r}: expected at least one symbol")
    symbols = [symbol_name(symbol) for symbol in given.symbols]
    sql = "SELECT * FROM strategy_configs WHERE instance = ?"
    before = _one(connection, sql, given.instance)
    connection.execute(
        "INSERT INTO strategy_configs (instance, strategy, is_enabled, exchange, timeframe, symbols_json, "
        "parameters_json, updated_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (instance) DO UPDATE SET "
        "strategy = excluded.strategy, is_enabled = excluded.is_enabled, exchange = excluded.exchange, "
        "timeframe = excluded.timeframe, symbols_json = excluded.symbols_json, watchlist_id = NULL, "
        "parameters_json = excluded.parameters_json, version = version + 1, updated_at_us = excluded.updated_at_us",
        (given.instance, given.strategy, int(given.is_enabled), exchange_name(given.exchange), given.timeframe,
         msgspec.json.encode(symbols).decode(), msgspec.json.encode(given.parameters).decode(), asked.at_us),
    )  # fmt: skip
    after = _one(connection, sql, given.instance)
    return Done("strategy_configs", given.instance, before, after, after)


def check_parameters(strategy: str, parameters: dict[str, Any]) -> None:
    """Refuse a strategy nobody registered, and parameters it does not take."""
    parameters_of(find(strategy), parameters)


def _save_scan(connection: Connection, asked: Asked, given: SaveScan) -> Done:
    Expression(given.expression)  # refuses what is none
    sql = "SELECT * FROM scan_configs WHERE scan_id = ?"
    before = _one(connection, sql, given.scan_id)
    connection.execute(
        "INSERT INTO scan_configs (scan_id, scan, expression, is_enabled, exchange, timeframe, updated_at_us) "
        "VALUES (?, 'expression', ?, ?, ?, ?, ?) ON CONFLICT (scan_id) DO UPDATE SET expression = excluded.expression, "
        "is_enabled = excluded.is_enabled, exchange = excluded.exchange, timeframe = excluded.timeframe, "
        "updated_at_us = excluded.updated_at_us",
        (given.scan_id, given.expression, int(given.is_enabled), exchange_name(given.exchange), given.timeframe,
         asked.at_us),
    )  # fmt: skip
    after = _one(connection, sql, given.scan_id)
    return Done("scan_configs", given.scan_id, before, after, after)


def _remove(connection: Connection, table: str, column: str, key: str) -> Done:
    where = f"FROM {table} WHERE {column} = ?"
    before = _one(connection, f"SELECT * {where}", key)  # names of ours
    if before is None:
        raise NotThere(f"no {key!r} in {table}")
    connection.execute(f"DELETE {where}", (key,))  # names of ours
    return Done(table, key, before, None, {"removed": key})


def _remove_strategy(connection: Connection, _: Asked, given: RemoveStrategy) -> Done:
    return _remove(connection, "strategy_configs", "instance", given.instance)


def _remove_scan(connection: Connection, _: Asked, given: RemoveScan) -> Done:
    return _remove(connection, "scan_configs", "scan_id", given.scan_id)


def _save_limit(connection: Connection, asked: Asked, given: SaveLimit) -> Done:
    if (given.scope_kind == "account") != (given.scope == ""):
        raise Refused(f"scope {given.scope!r} does not fit scope_kind {given.scope_kind!r}")
    # As the engine will read it: one row it does not take would leave all limits unused.
    narrow = given.scope.rpartition(":")[2] if given.scope_kind == "instrument" else given.scope
    LimitTree(Risk(), [Override(_SCOPES[given.scope_kind], narrow, given.limit_name, float(given.value or 0))])
    key = (given.scope_kind, given.scope, given.limit_name)
    where = "scope_kind = ? AND scope = ? AND limit_name = ?"
    before = _one(connection, f"SELECT * FROM risk_limits WHERE {where}", *key)  # noqa: S608  # values are bound
    if given.value is None:
        connection.execute(f"DELETE FROM risk_limits WHERE {where}", key)  # noqa: S608  # values are bound
    else:
        connection.execute(
            "INSERT INTO risk_limits VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope_kind, scope, limit_name) "
            "DO UPDATE SET value = excluded.value, updated_at_us = excluded.updated_at_us",
            (*key, given.value, asked.at_us),
        )
    after = _one(connection, f"SELECT * FROM risk_limits WHERE {where}", *key)  # noqa: S608  # values are bound
    return Done("risk_limits", "/".join(key), before, after, after)


def preferences(connection: Connection, user: str) -> dict[str, str]:
    """Give a user's choices."""
    sql = "SELECT key, value_json FROM preferences JOIN users USING (user_id) WHERE name = ? ORDER BY key"
    return {row["key"]: msgspec.json.decode(row["value_json"], type=str) for row in fetch(connection, sql, user)}


def _save_preference(connection: Connection, asked: Asked, given: SavePreference) -> Done:
    before = preferences(connection, asked.actor).get(given.key)
    kept = connection.execute(
        "INSERT INTO preferences SELECT user_id, ?, ?, ? FROM users WHERE name = ? ON CONFLICT (user_id, key) "
        "DO UPDATE SET value_json = excluded.value_json, updated_at_us = excluded.updated_at_us",
        (given.key, msgspec.json.encode(given.value).decode(), asked.at_us, asked.actor),
    ).rowcount
    if not kept:
        raise NotThere(f"no user {asked.actor!r}: a preference is a user's own")
    was = None if before is None else {"value": before}
    return Done("preferences", f"{asked.actor}/{given.key}", was, {"value": given.value}, msgspec.to_builtins(given))


PREFERENCE = "preference.save"

CONFIGURATION: dict[str, tuple[type[Given], Callable[[Connection, Asked, Any], Done]]] = {
    "watchlist.save": (SaveWatchlist, _save_watchlist),
    "watchlist.remove": (RemoveWatchlist, _remove_watchlist),
    "strategy.save": (SaveStrategy, _save_strategy),
    "strategy.remove": (RemoveStrategy, _remove_strategy),
    "scan.save": (SaveScan, _save_scan),
    "scan.remove": (RemoveScan, _remove_scan),
    "limit.save": (SaveLimit, _save_limit),
    "alert.save": (SaveAlert, save_alert),
    "alert.remove": (RemoveAlert, remove_alert),
    "instrument.save": (SaveInstrument, save_instrument),
    PREFERENCE: (SavePreference, _save_preference),
    IMPORT: (ImportInstruments, import_instruments),
}
