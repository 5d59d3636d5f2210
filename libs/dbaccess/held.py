"""Writer locks as a manager holds them: once a store, shared by its own threads, released when the last is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.dbaccess.locks import WriterLock


class HeldLocks:
    """The locks of one manager. Two managers are two owners, even in one process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Path, tuple[WriterLock, int]] = {}

    @contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Hold the lock for the block; nested and parallel holders of this manager share it."""
        with self._guard:
            lock, users = self._locks.get(path, (WriterLock(path), 0))
            if users == 0:
                lock.__enter__()
            self._locks[path] = (lock, users + 1)
        try:
            yield
        finally:
            with self._guard:
                lock, users = self._locks[path]
                if users == 1:
                    lock.release()
                    del self._locks[path]
                else:
                    self._locks[path] = (lock, users - 1)
