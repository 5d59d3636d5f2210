"""All schemas in one place, one file a store, and who owns each table."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from libs.dbaccess.errors import SchemaTooNew
from libs.dbaccess.roles import OWNERS, Role, Store
from libs.dbaccess.schema import (
    backtest_index,
    backtest_run,
    catalogue,
    config,
    ledger,
    market,
    signals,
    trading,
)
from libs.dbaccess.schema.common import SCHEMA_MIGRATIONS
from libs.dbaccess.schema.describe import Table, tables


class StoreSchema(msgspec.Struct, frozen=True):
    """A file's engine, its current version, who writes it, and the statements that make it new.

    The version of a SQLite file counts migrations; a DuckDB file's is semantic.
    """

    engine: Literal["sqlite", "duckdb"]
    version: int | str
    store: Store
    statements: tuple[str, ...]

    @property
    def owner(self) -> Role:
        """The role that writes it."""
        return OWNERS[self.store]


def _sqlite(store: Store, statements: tuple[str, ...], version: int = 1) -> StoreSchema:
    return StoreSchema("sqlite", version, store, (SCHEMA_MIGRATIONS, *statements))


#: Every kind of file by name. The ledger is written under the live buffer's lock, which the ingestor holds all day;
#: the catalogue under that of history.
SCHEMAS: dict[str, StoreSchema] = {
    "history_ticks": StoreSchema("duckdb", market.VERSION, Store.HISTORY, (market.TICKS,)),
    "history_candles": StoreSchema("duckdb", market.VERSION, Store.HISTORY, (market.CANDLES_CLOSED,)),
    "catalogue": _sqlite(Store.HISTORY, catalogue.STATEMENTS, version=2),
    "live_ticks": StoreSchema("duckdb", market.VERSION, Store.LIVE, market.LIVE_TICKS),
    "live_candles": StoreSchema("duckdb", market.VERSION, Store.LIVE, market.LIVE_CANDLES),
    "ledger": _sqlite(Store.LIVE, ledger.STATEMENTS),
    "trading": _sqlite(Store.TRADING, trading.STATEMENTS, version=3),
    "signals": _sqlite(Store.SIGNALS, signals.STATEMENTS),
    "config": _sqlite(Store.CONFIG, config.STATEMENTS),
    "backtest_run": StoreSchema("duckdb", backtest_run.VERSION, Store.BACKTEST_RUN, backtest_run.STATEMENTS),
    "backtest_index": _sqlite(Store.BACKTEST_INDEX, backtest_index.STATEMENTS),
}

#: `file.table` to the role that writes it.
TABLE_OWNERS: dict[str, str] = {
    f"{name}.{table.name}": schema.owner.value
    for name, schema in SCHEMAS.items()
    for table in tables(schema.statements)
}


def day_ddl(data_type: str, every_row: Mapping[str, str | None] = {}) -> str:
    """Give the statement that makes the table of a closed day, `ticks` or `candles`.

    `every_row` says what is the same in all of its candles and therefore in none of the rows that are written.
    """
    return market.TICKS if data_type == "ticks" else market.closed_candles(every_row)


def live_ddl() -> dict[str, tuple[str, ...]]:
    """Give the statements of the live buffer's two files by the table each is named for."""
    return {"ticks": market.LIVE_TICKS, "candles": market.LIVE_CANDLES}


def run_ddl() -> tuple[str, ...]:
    """Give the statements that make the file of a backtest run."""
    return backtest_run.STATEMENTS


def table_names(store: str) -> tuple[str, ...]:
    """Name the tables of a store's file."""
    return tuple(table.name for table in tables(SCHEMAS[store].statements))


def first_table_names(store: str) -> tuple[str, ...]:
    """Name the tables of a store's file as version 1 made it."""
    statements = {"trading": trading.V1}.get(store, SCHEMAS[store].statements)
    return tuple(table.name for table in tables(statements))


def version_of(connection: sqlite3.Connection) -> int | None:
    """Give the version of an open SQLite store, None when it has no schema of ours yet."""
    has_record = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    found = connection.execute("SELECT max(version) FROM schema_migrations").fetchone() if has_record else (None,)
    return None if found[0] is None else int(found[0])


def refuse_newer(connection: sqlite3.Connection, store: str, path: Path | None = None) -> None:
    """Raise `SchemaTooNew` if newer code wrote the store."""
    found, known = version_of(connection), SCHEMAS[store].version
    if found is not None and found > int(known):
        raise SchemaTooNew(
            f"{path or store}: schema version {found} is newer than this code's {known}; "
            "upgrade the code, or restore the backup made before that upgrade"
        )


__all__ = [
    "SCHEMAS",
    "TABLE_OWNERS",
    "StoreSchema",
    "Table",
    "day_ddl",
    "first_table_names",
    "live_ddl",
    "refuse_newer",
    "run_ddl",
    "table_names",
    "tables",
    "version_of",
]
