"""Tables that several SQLite stores share, and how statements are written here.

A statement keeps its comments: the line below CREATE TABLE says what a row is, the end of a column's line what the
column means. `docs/reference/stores.md` is made from them. Times are microseconds since the epoch, UTC (`…_us`), money
is whole paise (`…_paise`), prices are floats, texts that end in `_json` are JSON objects or arrays.
"""

from __future__ import annotations

#: The migrations' own record; made by the runner before the first of them.
SCHEMA_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    -- A migration that was applied to this store, written in the migration's own transaction.
    version INTEGER PRIMARY KEY CHECK (version > 0),  -- counts from 1, without holes
    name TEXT NOT NULL,  -- what it did, in a few words
    applied_at_us INTEGER NOT NULL,  -- when
    code_version TEXT NOT NULL,  -- version of the fleet that applied it
    checksum TEXT NOT NULL  -- hash of its statements: an applied migration is never edited
) STRICT
"""

IDENTITY: tuple[str, ...] = (
    """
CREATE TABLE store_identity (
    -- One row: which store this is. A store that was wiped and made again is another one.
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),  -- always 1
    store_uuid TEXT NOT NULL  -- random name given when the store was made
) STRICT
""",
    "INSERT INTO store_identity VALUES (1, lower(hex(randomblob(16))))",
)

OUTBOX: tuple[str, ...] = (
    """
CREATE TABLE streams (
    -- A stream of the bus that this store is the journal of.
    stream TEXT PRIMARY KEY,  -- its name on the bus
    epoch TEXT NOT NULL,  -- changes when the numbering begins again
    seq_last INTEGER NOT NULL CHECK (seq_last >= 0)  -- last position given out; outlives pruned messages
) STRICT
""",
    """
CREATE TABLE outbox (
    -- A message, stored before it is published; replays are answered from here.
    stream TEXT NOT NULL REFERENCES streams,  -- the stream that numbers it
    seq INTEGER NOT NULL CHECK (seq > 0),  -- position in the stream
    topic TEXT NOT NULL,  -- full topic with its terminator
    prev INTEGER NOT NULL CHECK (prev >= 0),  -- position of the message before it on the same topic, 0 if none
    timestamp_us INTEGER NOT NULL,  -- time of the event
    recorded_at_us INTEGER NOT NULL,  -- when it was stored
    payload BLOB NOT NULL,  -- msgpack of the contract's struct
    PRIMARY KEY (stream, seq),
    CHECK (prev < seq)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX outbox_by_topic ON outbox (stream, topic, seq)",
)


def append_only(table: str, *, deletes: bool = False) -> tuple[str, ...]:
    """Refuse updates of a table, and deletes unless its rows may be pruned."""
    kinds = ("UPDATE",) if deletes else ("UPDATE", "DELETE")
    return tuple(
        f"CREATE TRIGGER {table}_no_{kind.lower()} BEFORE {kind} ON {table}\n"
        f"BEGIN SELECT RAISE(ABORT, '{table}: rows are only added; no {kind}'); END"
        for kind in kinds
    )


def never_deleted(table: str) -> str:
    """Refuse deletes: what the table records did happen."""
    return (
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}\n"
        f"BEGIN SELECT RAISE(ABORT, '{table}: rows are never deleted'); END"
    )


def fixed_columns(table: str, *columns: str) -> str:
    """Refuse an update that changes one of the columns."""
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in columns)
    return (
        f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OF {', '.join(columns)} ON {table} WHEN {changed}\n"
        f"BEGIN SELECT RAISE(ABORT, '{table}: {', '.join(columns)} never change'); END"
    )
