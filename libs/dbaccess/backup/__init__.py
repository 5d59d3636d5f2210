"""Copies of the stores: made beside a living owner, checked before they count, pruned by age, put back on demand."""

from libs.dbaccess.backup.deployment import copy_before_deployment, copy_before_first_write, note_deployment
from libs.dbaccess.backup.listing import Copy, list_copies, newest_copy
from libs.dbaccess.backup.manager import BackupManager
from libs.dbaccess.backup.market import MARKET_LIST
from libs.dbaccess.backup.restore import Restored, restore_sqlite
from libs.dbaccess.backup.restore_market import restore_market

__all__ = [
    "MARKET_LIST",
    "BackupManager",
    "Copy",
    "Restored",
    "copy_before_deployment",
    "copy_before_first_write",
    "list_copies",
    "newest_copy",
    "note_deployment",
    "restore_market",
    "restore_sqlite",
]
