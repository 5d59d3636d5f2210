"""Putting files in place: private, whole or not at all, and still there after a power cut."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
CLOSED_FILE = 0o444


def make_directory(path: Path, root: Path) -> None:
    """Make a directory below the root and its missing parents, 0700 each."""
    missing = []
    while not path.is_dir() and path != root.parent:
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def sync_file(path: Path) -> None:
    """Force a closed file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Force a rename inside the directory to the disk."""
    if os.name != "nt":  # Windows has no handle on a directory to sync
        sync_file(path)


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a small file so that a reader sees the old or the new one, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            rest = memoryview(data)
            while rest:  # a disk that is nearly full takes a part and says so only by the count
                rest = rest[os.write(descriptor, rest) :]
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)


def is_closed(path: Path) -> bool:
    """Whether a file's mode says that nobody may write it. Root is not stopped by modes, so the manager asks this."""
    return path.exists() and not path.stat().st_mode & 0o222


def checksum(path: Path) -> str:
    """Hash a closed file's bytes. Never call it on a live file: closing it again would drop its owner's lock."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
