"""The writer lock: the only lock that counts.

DuckDB's and SQLite's own locks are POSIX locks, which vanish when the same process opens and closes the file another
way. This one is a lock on a file of its own, taken before a store is opened, and the system releases it when its holder
dies, however it dies. The file stays behind: deleting a lock file in use would let two holders in.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from libs.core.clock import SystemClock
from libs.dbaccess.errors import WriterLockHeld
from libs.dbaccess.files import make_directory

#: So long an owner waits for somebody who only looks, and puts no pid into the file.
_LOOKED_AT_S = 5.0
_AGAIN_S = 0.002


class WriterLock:
    """An exclusive, advisory lock on a path; never waits for an owner, and for one who only looks not long."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lock; False when somebody else (or another WriterLock of this process) holds it."""
        return self._acquire(f"{os.getpid()}\n")

    def acquire_to_look(self) -> bool:
        """Take a lock that is free to look at what it guards; an owner who starts meanwhile waits instead of failing.

        Look and release: the owner does not wait for long.
        """
        return self._acquire("")

    def _acquire(self, name: str) -> bool:
        if self._file is not None:
            return True
        make_directory(self.path.parent, Path(self.path.anchor))
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a link would have somebody else's file emptied
        file = os.fdopen(os.open(self.path, flags, 0o600), "r+", encoding="ascii", errors="replace")
        try:
            if not self._lock(file):
                file.close()
                return False
            # The pid is information: a disk too full for it must not keep an owner from its store.
            with suppress(OSError):
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), name.encode("ascii"))
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def _lock(self, file: IO[str]) -> bool:
        """Take the system's lock; somebody who only looks is out of the way soon."""
        clock = SystemClock()
        end_ns = clock.monotonic_ns() + int(_LOOKED_AT_S * 1e9)
        while not _take(file):
            if self._has_owner() or clock.monotonic_ns() > end_ns:
                return False
            clock.sleep(_AGAIN_S)
        return True

    def _has_owner(self) -> bool:
        """Whether who holds it named itself and lives; what a dead owner left says nothing of who holds it now."""
        pid = self.holder()
        if pid is None:
            return False
        import psutil  # only where somebody is in the way

        return bool(psutil.pid_exists(pid))

    def release(self) -> None:
        """Give the lock back; the file stays, empty, so that a pid in a free lock means its holder died.

        Harmless when not held.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.seek(0)
            file.truncate()
            _give_back(file)
        finally:
            file.close()

    def holder(self) -> int | None:
        """Read the pid of the holder, or the one a dead holder left: information, the lock itself is the system's."""
        try:
            return int(self.path.read_text("ascii").strip() or 0) or None
        except (OSError, ValueError):  # absent, garbage, or (Windows) unreadable while it is held
            return None

    def is_held_by_anyone(self) -> bool:
        """Say whether the lock is held right now, for reports; the pid in the file is left alone."""
        if self._file is not None:
            return True
        try:
            file = self._opened_to_look()
        except FileNotFoundError:
            return False
        with file:
            if not _take(file):
                return True
            _give_back(file)
        return False

    def _opened_to_look(self) -> IO[str]:
        try:
            return self.path.open("r+", encoding="ascii", errors="replace")
        except OSError as e:
            if e.errno != errno.EROFS:
                raise
            return self.path.open(encoding="ascii", errors="replace")  # which is enough for a lock of a whole file

    def __enter__(self) -> Self:
        if not self.acquire():
            raise WriterLockHeld(self.path, self.holder())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _take(file: IO[str]) -> bool:
    import portalocker  # here, for it takes longer to load than a reader, who locks nothing, takes to open its store

    try:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.exceptions.AlreadyLocked:
        return False
    return True


def _give_back(file: IO[str]) -> None:
    import portalocker

    portalocker.unlock(file)
