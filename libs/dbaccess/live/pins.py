"""Pins: a reader's own hard links to the segments of one manifest, so that nothing it reads is removed under it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.core.clock import Clock
from libs.core.errors import RetryLater
from libs.core.ids import random_id
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.layout import Layout
from libs.dbaccess.live.manifest import Manifest, read_manifest
from libs.dbaccess.live.paths import LivePaths
from libs.dbaccess.live.segments import quoted_list
from libs.settings.storage import Live

#: A start time is computed from the boot time, which the system's clock corrections move a little.
_START_TOLERANCE_S = 5


class Snapshot:
    """One generation of the live buffer, pinned: its files stay as long as the block that pinned it."""

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        self.manifest = manifest
        self.directory = directory

    @property
    def generation(self) -> int:
        return self.manifest.generation

    @property
    def published_at_us(self) -> int:
        return self.manifest.published_at_us

    def age_us(self, clock: Clock) -> int:
        """How long ago it was published: more than twice the flush interval says that the writer is not flushing."""
        return clock.now_us() - self.published_at_us

    def files(self, table: str) -> list[Path]:
        """The pinned Parquet files of a table, oldest rows first; each is sorted, together they are not."""
        return [self.directory / segment.file for segment in self.manifest.segments[table]]

    def rows(self, table: str) -> int:
        return sum(segment.rows for segment in self.manifest.segments[table])

    def select(self, table: str) -> str:
        """Give the SELECT of all rows with the table's columns and types, also when there are no rows yet."""
        columns = self.manifest.columns[table]
        if files := self.files(table):
            names = ", ".join(_identifier(column.name) for column in columns)
            return f"SELECT {names} FROM read_parquet({quoted_list(files)})"
        empty = ", ".join(f"NULL::{column.type} AS {_identifier(column.name)}" for column in columns)
        return f"SELECT {empty} WHERE false"


@contextmanager
def pin_snapshot(layout: Layout, settings: Live) -> Iterator[Snapshot]:
    """Pin the newest snapshot for the block. Never waits for the writer, and the writer never for this.

    Raise StoreMissing when nothing was ever captured, StoreCorrupt when a listed segment is gone for good, RetryLater
    when merges outran every attempt.
    """
    paths = LivePaths(layout)
    directory = paths.pins / f"{os.getpid()}-{_start_s(os.getpid())}-{random_id(12)}"
    try:
        manifest = _pin(paths, directory, settings.pin_retry_count_max)
        yield Snapshot(manifest, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _pin(paths: LivePaths, directory: Path, attempts_max: int) -> Manifest:
    """Link what the manifest lists; when a merge removed a part meanwhile, start again from the manifest it made."""
    generation, gone = -1, ""
    for _ in range(attempts_max):
        manifest = read_manifest(paths.manifest)
        if manifest.generation == generation:
            raise StoreCorrupt(
                f"{paths.segment(gone)}: listed in generation {generation} of {paths.manifest} and not there; "
                "the ingestor rebuilds it when it starts"
            )
        if not (gone := _link(paths, manifest, directory)):
            return manifest
        shutil.rmtree(directory)
        generation = manifest.generation
    raise RetryLater(f"{paths.manifest}: merged {attempts_max} times while this reader pinned it")


def _link(paths: LivePaths, manifest: Manifest, directory: Path) -> str:
    """Link every segment into the pin; give the name of the first that is gone, or nothing."""
    try:
        directory.mkdir(mode=0o700)
    except FileNotFoundError as e:
        raise StoreMissing(paths.pins, "the ingestor makes it when it starts") from e
    for name in manifest.files():
        try:
            os.link(paths.segment(name), directory / name)
        except FileNotFoundError:
            return name
    return ""


def sweep_pins(paths: LivePaths) -> int:
    """Remove the pins of processes that are gone, also when their pid was given to another; say how many."""
    swept = 0
    for directory in paths.pins.iterdir():
        if not _is_alive(directory.name):
            shutil.rmtree(directory, ignore_errors=True)
            swept += 1
    return swept


def _is_alive(name: str) -> bool:
    pid, _, rest = name.partition("-")
    started, _, _ = rest.partition("-")
    if not (pid.isdigit() and started.isdigit()):
        return False
    import psutil  # only where there are pins

    try:
        return abs(_start_s(int(pid)) - int(started)) <= _START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it is there, and not ours to judge
        return True


def _start_s(pid: int) -> int:
    """When a process started, to the second."""
    import psutil

    return int(psutil.Process(pid).create_time())


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
