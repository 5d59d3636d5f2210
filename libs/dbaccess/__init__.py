"""The only door to the stores: who may write what, how it is opened, and what is checked on the way."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from libs.dbaccess.errors import (
    DiskRefused,
    ImmutableDay,
    OwnershipError,
    SchemaTooNew,
    StoreCorrupt,
    StoreMissing,
    UnsafeName,
    WriterLockHeld,
)
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Role, Store

if TYPE_CHECKING:
    from libs.dbaccess.backup import BackupManager
    from libs.dbaccess.health import HealthCheck
    from libs.dbaccess.manager import DatabaseManager
    from libs.dbaccess.queries import MarketDataQuery
    from libs.dbaccess.rollover import EODRollover

#: Loaded when first asked for: who only writes orders needs few of them, and who only catches our errors none.
_LATER = {
    "BackupManager": "libs.dbaccess.backup",
    "DatabaseManager": "libs.dbaccess.manager",
    "EODRollover": "libs.dbaccess.rollover",
    "HealthCheck": "libs.dbaccess.health",
    "MarketDataQuery": "libs.dbaccess.queries",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BackupManager",
    "DatabaseManager",
    "DiskRefused",
    "EODRollover",
    "HealthCheck",
    "ImmutableDay",
    "MarketDataQuery",
    "OwnershipError",
    "Role",
    "SchemaTooNew",
    "Store",
    "StoreCorrupt",
    "StoreMissing",
    "UnsafeName",
    "WriterLock",
    "WriterLockHeld",
]
