"""Closed days attached read-only to one in-memory connection, kept warm, the longest unused detached first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from pathlib import Path

import duckdb

from libs.core.errors import Refused, RetryLater
from libs.dbaccess.connections import quote
from libs.dbaccess.errors import StoreBusy, StoreCorrupt
from libs.dbaccess.queries.catalogue import StoredFile


class DayGone(RetryLater):
    """A day was archived or removed between the listing and the opening; list again."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: gone since its folder was listed")


class AttachedDays:
    """Which day files a connection has open, under which alias."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, days_max: int) -> None:
        self._connection = connection
        self.days_max = min(days_max, _open_files_max() // 2)
        self._open: OrderedDict[Path, tuple[str, StoredFile]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self._open)

    def make_room(self, files: Collection[StoredFile]) -> None:
        """Detach what is in the way of these; at most `days_max` files at a time. None of them may be being read."""
        if len(files) > self.days_max:
            raise Refused(f"{len(files)} days wanted at once; query.attached_days_max allows {self.days_max}")
        for file in files:
            self._keep_if_same(file)
        missing = sum(file.path not in self._open for file in files)
        self._drop_idle(missing, {file.path for file in files})

    def aliases(self, files: Collection[StoredFile]) -> dict[Path, str]:
        """Attach what is not attached yet and give the alias of each; there is room for them."""
        for file in files:
            if file.path not in self._open:
                self._open[file.path] = (self._attach(file.path), file)
        return {file.path: self._open[file.path][0] for file in files}

    def _keep_if_same(self, file: StoredFile) -> None:
        """Move a warm day to the fresh end; one replaced on disk (a restored backup) is detached."""
        if file.path not in self._open:
            return
        if self._open[file.path][1].stamp == file.stamp:
            self._open.move_to_end(file.path)
        else:
            self._detach([file.path])

    def _drop_idle(self, count: int, wanted: set[Path]) -> None:
        surplus = len(self._open) + count - self.days_max
        if surplus > 0:
            idle = (path for path in self._open if path not in wanted)
            self._detach([path for path, _ in zip(idle, range(surplus), strict=False)])

    def _detach(self, paths: Iterable[Path]) -> None:
        for path in paths:
            alias, _ = self._open.pop(path)
            self._connection.execute(f"DETACH {alias}")

    def _attach(self, path: Path) -> str:
        self._count += 1  # an alias is never used twice, whatever the engine remembers of the old one
        alias = f"day{self._count}"
        try:
            self._connection.execute(f"ATTACH {quote(path)} AS {alias} (READ_ONLY)")
        except duckdb.Error as e:
            raise _attach_failure(path, e) from e
        return alias


def _attach_failure(path: Path, error: duckdb.Error) -> Exception:
    text = str(error)
    if not path.exists() and not path.is_symlink():
        return DayGone(path)
    if "Permission denied" in text:
        return Refused(f"{path}: may not be read by this user; a closed day has mode 0444 in a folder of mode 0700")
    if "Too many open files" in text:
        return Refused(f"{path}: the system's limit of open files is reached; lower query.attached_days_max")
    if "Could not set lock" in text or "Conflicting lock" in text:
        return StoreBusy(path, f"another process has this closed day open for writing: {text}")
    return StoreCorrupt(f"{path}: not a readable day of market data: {text}")


def _open_files_max() -> int:
    try:
        import resource
    except ImportError:  # Windows counts differently and allows thousands
        return 2048
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(soft, 16)
