"""Giving a finished copy its name."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from libs.core.faults import crash_point
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, is_closed, sync_directory, sync_file

#: What a file system answers that has no hard links, or has the other file elsewhere.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


def place(target: Path, make: Callable[[Path], None]) -> None:
    """Give a finished copy its name; what is half done never has it."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        make(partial)
        if not is_closed(partial):
            partial.chmod(PRIVATE_FILE)
        sync_file(partial)
        crash_point("backup.rename.before")
        partial.replace(target)
        sync_directory(target.parent)
        crash_point("backup.rename.after")
    finally:
        partial.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or where the file system has none to give, a copy."""
    try:
        target.hardlink_to(source)
    except OSError as e:
        if e.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target)


def copy_checked(source: Path, target: Path, expected: str, checksum: Callable[[Path], str]) -> None:
    """Copy a cold file and compare what arrived with the checksum it must have."""
    shutil.copy2(source, target)
    if (found := checksum(target)) != expected:
        raise StoreCorrupt(f"{source}: its copy has checksum {found}, expected {expected}; the file or a disk is bad")
