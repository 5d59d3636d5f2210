"""Running the parts of a query: days read once, or attached in waves; united in chunks, and chunks side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import duckdb

from libs.core.errors import Refused, RetryLater
from libs.dbaccess.connections import duckdb_memory
from libs.dbaccess.queries.arrow import batches
from libs.dbaccess.queries.attached import AttachedDays
from libs.dbaccess.queries.catalogue import StoredFile
from libs.dbaccess.queries.damage import find_damage
from libs.dbaccess.queries.selects import Arm, together
from libs.settings.storage import Query

if TYPE_CHECKING:
    import pyarrow as pa

#: So many dates become one statement: the planner's cost grows faster than the number of its parts.
_CHUNK_DAYS = 25

Part = TypeVar("Part")
#: How the rows of a SELECT are taken out of DuckDB.
Fetch = Callable[[duckdb.DuckDBPyConnection, str, Mapping[str, object]], Part]


def fetch_table(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]) -> pa.Table:
    """Run a SELECT and give its rows as an Arrow table."""
    return batches(connection, sql, parameters).read_all()


class NotTogether(RetryLater):
    """Files could not be read together; attached one by one they can be, or it shows which one cannot and why."""


class Engine:
    """One in-memory connection with warm days. Not for several threads at once: its owner takes turns.

    To attach a file, plan its part and detach it takes about twice as long as to read it in one statement with
    others. So a day is read once, that way, the first time it is asked for, and attached the second time; with
    `days_at_once` it is never attached, and the threads have about so many files open between them.
    """

    def __init__(self, settings: Query, *, days_at_once: int | None = None) -> None:
        self._settings = settings
        self._keeps_days = days_at_once is None
        self._chunk_days = _CHUNK_DAYS
        if days_at_once is not None:
            self._chunk_days = max(1, days_at_once // settings.threads_max)
        self._read_before: set[Path] = set()
        self._closing = ExitStack()
        connection = self._closing.enter_context(
            # One thread a statement, several statements at once: so planning, the larger part, is shared out too.
            duckdb_memory(memory_max_mib=settings.memory_max_mib, threads_max=1)
        )
        connection.execute("SET temp_directory = ''")  # or it would spill into the caller's working directory
        # A footer is read once a file, not once a question; said to one connection, its cursors would not hear of it.
        connection.execute("SET GLOBAL parquet_metadata_cache = true")
        self.attached = AttachedDays(connection, settings.attached_days_max)
        self._cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        self._all_cursors = [connection.cursor() for _ in range(settings.threads_max)]
        for cursor in self._all_cursors:
            self._cursors.put(cursor)
        self._pool = ThreadPoolExecutor(settings.threads_max, thread_name_prefix="query")
        self._closing.callback(self._pool.shutdown)
        self._is_stopped = False

    def stop(self) -> None:
        """End what is being read, from any thread; it raises `duckdb.InterruptException` where it was asked for."""
        self._is_stopped = True
        for cursor in self._all_cursors:
            cursor.interrupt()

    def close(self) -> None:
        """Detach everything and end the threads."""
        self._closing.close()

    def run(
        self, arms: Sequence[Arm], parameters: Mapping[str, object], fetch: Fetch[Part], *, one_by_one: bool = False
    ) -> list[Part]:
        """Give the rows of the parts, in the order of the parts. `NotTogether`: ask a new engine, `one_by_one`."""
        parts: list[Part] = []
        once = set() if one_by_one else self._to_read_once(arms)
        for wave in _waves(arms, once, self.attached.days_max):
            self.attached.make_room(_files(wave, once))
            chunks = [wave[at : at + self._chunk_days] for at in range(0, len(wave), self._chunk_days)]
            if len(chunks) == 1:
                parts.append(self._chunk(wave, self.attached.aliases(_files(wave, once)), parameters, fetch))
            else:
                parts += self._side_by_side(chunks, once, parameters, fetch)
        return parts

    def _to_read_once(self, arms: Sequence[Arm]) -> set[Path]:
        """Choose the day files that are read together with others and not attached."""
        once = {arm.day_files[0].path for arm in arms if arm.condition is not None}
        if self._keeps_days:
            once -= self._read_before
            self._read_before |= once
        return once

    def _side_by_side(
        self, chunks: Sequence[Sequence[Arm]], once: Collection[Path], parameters: Mapping[str, object],
        fetch: Fetch[Part],
    ) -> list[Part]:  # fmt: skip
        """Read chunks while the days of later ones are still being attached."""
        running: list[Future[Part]] = []
        try:
            for chunk in chunks:
                aliases = self.attached.aliases(_files(chunk, once))
                running.append(self._pool.submit(self._chunk, chunk, aliases, parameters, fetch))
            return [future.result() for future in running]
        except BaseException:  # Ctrl-C too: nothing may go on reading days that the next query detaches
            for future in running:
                future.cancel()
            for cursor in self._all_cursors:
                cursor.interrupt()
            for future in running:
                if not future.cancelled():
                    future.exception()
            raise

    def _chunk(
        self, arms: Sequence[Arm], aliases: Mapping[Path, str], parameters: Mapping[str, object], fetch: Fetch[Part]
    ) -> Part:
        sql = " UNION ALL ".join(_selects(arms, aliases))
        cursor = self._cursors.get()
        try:
            self._refuse_if_stopped()
            return fetch(cursor, sql, parameters)
        except duckdb.InterruptException:
            raise
        except duckdb.OutOfMemoryException as e:
            raise Refused(
                f"the query needs more memory than query.memory_max_mib = {self._settings.memory_max_mib}; "
                "ask for fewer symbols or days at once, or raise it"
            ) from e
        except duckdb.Error as e:
            if any(_is_read_once(arm, aliases) for arm in arms):
                raise NotTogether(str(e)) from e
            raise (_damage(arms) or e) from e
        finally:
            self._cursors.put(cursor)

    def _refuse_if_stopped(self) -> None:
        if self._is_stopped:
            raise duckdb.InterruptException("stopped between two statements")


def _files(arms: Iterable[Arm], once: Collection[Path]) -> list[StoredFile]:
    """Give the day files to attach."""
    return [file for arm in arms for file in arm.day_files if file.path not in once]


def _is_read_once(arm: Arm, aliases: Mapping[Path, str]) -> bool:
    return arm.condition is not None and arm.day_files[0].path not in aliases


def _selects(arms: Sequence[Arm], aliases: Mapping[Path, str]) -> Iterator[str]:
    """Spell the SELECTs of a chunk: one for each attached day, one for the days read together."""
    for condition, some in groupby(arms, lambda arm: arm.condition if _is_read_once(arm, aliases) else None):
        if condition is None:
            yield from (arm.select(aliases) for arm in some)
        else:
            yield together(list(some))


def _waves(arms: Sequence[Arm], once: Collection[Path], files_max: int) -> Iterator[list[Arm]]:
    """Split the parts so that no wave needs more day files than may be attached at once."""
    wave: list[Arm] = []
    count = 0
    for arm in arms:
        files = len(_files([arm], once))
        if wave and count + files > files_max:
            yield wave
            wave, count = [], 0
        wave.append(arm)
        count += files
    if wave:
        yield wave


def _damage(arms: Sequence[Arm]) -> Exception | None:
    """Find the file that broke a chunk."""
    for arm in arms:
        if error := find_damage([file.path for file in arm.day_files], arm.parquet_files, arm.table, arm.columns):
            return error
    return None
