"""Give a store its room and its statistics back."""

from __future__ import annotations

from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.roles import Store


def optimize(db: DatabaseManager, store: str) -> tuple[int, int]:
    """Optimise a SQLite store by its name, or the live buffer; bytes before and after."""
    return optimize_live(db) if store == "live" else optimize_sqlite(db, Store(store))


def optimize_live(db: DatabaseManager) -> tuple[int, int]:
    """Checkpoint the live buffer's files under the ingestor's lock."""
    files = db.layout.live_files()
    before = sum(path.stat().st_size for path in files if path.exists())
    with db.live_buffer_writer() as buffer:
        buffer.flush()
    return before, sum(path.stat().st_size for path in files)


def optimize_sqlite(db: DatabaseManager, store: Store) -> tuple[int, int]:
    """Fold the write-ahead log in, VACUUM and ANALYZE under the owner's lock; bytes before and after."""
    path = db.layout.store(store)
    with db.writer_session(store) as session:
        session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        session.connection.execute("VACUUM")
        session.connection.execute("ANALYZE")
        session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before, path.stat().st_size
