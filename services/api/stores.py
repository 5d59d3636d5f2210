"""How the six stores are, told cheaply: opened as a reader would, not read through (`fleet health` does that)."""

from __future__ import annotations

from typing import Any

from libs.core.errors import Corrupt, FleetError
from libs.core.version import CODE_VERSION
from libs.dbaccess import DatabaseManager, Store
from libs.dbaccess.layout import Layout

_SQLITE = {
    "trading": Store.TRADING,
    "signals": Store.SIGNALS,
    "backtest": Store.BACKTEST_INDEX,
    "config": Store.CONFIG,
}


def urls(layout: Layout) -> dict[str, str]:
    """Where each store is, relative to the data root."""
    places = {"historical": layout.market, "live_buffer": layout.live}
    places |= {name: layout.store(store) for name, store in _SQLITE.items()}
    return {name: path.relative_to(layout.root).as_posix() for name, path in places.items()}


def states(db: DatabaseManager) -> dict[str, str]:
    """One word for each store: ok, missing, unavailable, corrupt."""
    found = {"historical": _state(lambda: _history(db)), "live_buffer": _state(lambda: _live(db))}
    for name, store in _SQLITE.items():
        found[name] = _state(lambda store=store: _sqlite(db, store))
    return found


def system_info(db: DatabaseManager, profile: str) -> dict[str, Any]:
    """What `/api/system/info` says."""
    found = states(db)
    return {
        "version": CODE_VERSION,
        "profile": profile,
        "database": {
            "status": "ok" if set(found.values()) == {"ok"} else "degraded",
            "type": "duckdb+sqlite",
            "databases": found,
            "urls": urls(db.layout),
        },
    }


def _state(look: Any) -> str:
    try:
        look()
    except FileNotFoundError:
        return "missing"
    except Corrupt:
        return "corrupt"
    except (FleetError, OSError):
        return "unavailable"
    return "ok"


def _history(db: DatabaseManager) -> None:
    if not db.layout.schema_version.exists():
        raise FileNotFoundError(db.layout.schema_version)


def _live(db: DatabaseManager) -> None:
    if not db.layout.live.exists():
        raise FileNotFoundError(db.layout.live)


def _sqlite(db: DatabaseManager, store: Store) -> None:
    with db.reader(store) as connection:
        connection.execute("SELECT count(*) FROM schema_migrations").fetchone()
