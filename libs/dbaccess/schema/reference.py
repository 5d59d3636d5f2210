"""The reference page of the stores, made from the comments of their statements.

`docs/reference/stores.md` is `page()`; a test compares the two and says how to write it anew.
"""

from __future__ import annotations

from libs.dbaccess.schema import SCHEMAS, Table, tables

#: Where each file is below the data root.
FILES: dict[str, str] = {
    "history_ticks": "market_data/<exchange>/ticks/<date>.duckdb",
    "history_candles": "market_data/<exchange>/candles/<timeframe>/<date>.duckdb",
    "catalogue": "market_data/catalogue.db",
    "live_ticks": "live_buffer/ticks_today.duckdb",
    "live_candles": "live_buffer/candles_today.duckdb",
    "ledger": "market_data/ledger.db",
    "trading": "trading/trading.db",
    "signals": "signals/signals.db",
    "config": "config/config.db",
    "backtest_run": "backtest/runs/<run_id>.duckdb",
    "backtest_index": "backtest/summaries/backtest_index.db",
}

_INTRODUCTION = """\
# Stores

Every file below the data root, its tables and their columns.
This page is made from the comments in `libs/dbaccess/schema`; a test keeps it equal to them.
Times that end in `_us` are microseconds since the epoch, UTC; `TIMESTAMPTZ` is the same instant.
Money that ends in `_paise` is exact; prices are floats.
Texts that end in `_json` hold one JSON object or array.
An optional column may be NULL.
A table is written by its file's owner and by nobody else.
"""


def page() -> str:
    """Give the whole page."""
    return "\n".join([_INTRODUCTION, *(describe(store) for store in SCHEMAS)])


def describe(store: str) -> str:
    """Describe one file as Markdown: its engine, version and owner, then each table and column."""
    schema = SCHEMAS[store]
    head = (
        f"## {store}\n\n`{FILES[store]}`: {_ENGINES[schema.engine]}, schema version {schema.version}, "
        f"owned by `{schema.owner.value}`.\n"
    )
    return "\n".join([head, *(_table(table) for table in tables(schema.statements))])


_ENGINES = {"sqlite": "SQLite", "duckdb": "DuckDB"}


def _table(table: Table) -> str:
    rows = [
        f"| {column.name} | {column.type}{', optional' if column.is_optional else ''} | {_cell(column.meaning)} |"
        for column in table.columns
    ]
    return "\n".join([f"### {table.name}\n\n{table.meaning}\n\n| column | type | meaning |\n|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
