"""The only door to the stores: who may write what, how it is opened, and what is checked on the way."""

from libs.dbaccess.errors import (
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

__all__ = [
    "ImmutableDay",
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
