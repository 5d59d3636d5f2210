"""What can go wrong with a store, each of one of the four kinds."""

from __future__ import annotations

from pathlib import Path

from libs.core.errors import Corrupt, Refused, RetryLater


class OwnershipError(Refused):
    """The role does not own the store; nothing was touched."""


class WriterLockHeld(RetryLater):
    """Another owner holds the store's writer lock; names the path and the holder's pid."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        holder = f"process {pid}" if pid else "another process (it left no pid)"
        super().__init__(f"{path}: the writer lock is held by {holder}; one owner writes at a time")


class StoreMissing(Refused, FileNotFoundError):
    """There is no such store or day; names the path."""

    def __init__(self, path: Path, advice: str = "") -> None:
        self.path = path
        super().__init__(f"{path}: no such store{'; ' + advice if advice else ''}")


class ImmutableDay(Refused):
    """The day is closed; history is never opened for writing again."""


class RepeatedCandle(Refused):
    """A day was offered two candles of one symbol and minute; it holds each once."""


class StoreCorrupt(Corrupt):
    """A store's file does not hold what it must; names the file."""


class StoreBusy(RetryLater):
    """Somebody else has the store for longer than we waited; nothing was read or written. Names the path."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f"{path}: busy: {what}")


class DiskRefused(RetryLater, OSError):
    """The disk would not take what was written (full, read-only, failing); nothing of it was kept. Names the path."""


class SchemaTooNew(Refused):
    """The store was written by newer code than this; upgrade, or restore the backup made before that upgrade."""


class UnsafeName(Refused, ValueError):
    """A name or path that would leave the data root or change what a path means."""


class BadName(UnsafeName):
    """No symbol and no exchange is called so."""


class NoSuchRun(UnsafeName, FileNotFoundError):
    """A run id that no run can have."""
