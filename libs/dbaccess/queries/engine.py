"""Running the parts of a query: days attached in waves, their SELECTs united in chunks, chunks side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import duckdb

from libs.core.errors import Refused
from libs.dbaccess.connections import duckdb_memory
from libs.dbaccess.queries.arrow import batches
from libs.dbaccess.queries.attached import AttachedDays
from libs.dbaccess.queries.damage import find_damage
from libs.dbaccess.queries.selects import Arm
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


class Engine:
    """One in-memory connection with warm days. Not for several threads at once: its owner takes turns."""

    def __init__(self, settings: Query) -> None:
        self._settings = settings
        self._closing = ExitStack()
        connection = self._closing.enter_context(
            # One thread a statement, several statements at once: so planning, the larger part, is shared out too.
            duckdb_memory(memory_max_mib=settings.memory_max_mib, threads_max=1)
        )
        connection.execute("SET temp_directory = ''")  # or it would spill into the caller's working directory
        connection.execute("SET parquet_metadata_cache = true")  # a footer is read once a file, not once a question
        self.attached = AttachedDays(connection, settings.attached_days_max)
        self._cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        self._all_cursors = [connection.cursor() for _ in range(settings.threads_max)]
        for cursor in self._all_cursors:
            self._cursors.put(cursor)
        self._pool = ThreadPoolExecutor(settings.threads_max, thread_name_prefix="query")
        self._closing.callback(self._pool.shutdown)

    def close(self) -> None:
        """Detach everything and end the threads."""
        self._closing.close()

    def run(self, arms: Sequence[Arm], parameters: Mapping[str, object], fetch: Fetch[Part]) -> list[Part]:
        """Give the rows of the parts, in the order of the parts."""
        parts: list[Part] = []
        for wave in _waves(arms, self.attached.days_max):
            self.attached.make_room([file for arm in wave for file in arm.day_files])
            chunks = [wave[at : at + _CHUNK_DAYS] for at in range(0, len(wave), _CHUNK_DAYS)]
            if len(chunks) == 1:
                parts.append(self._chunk(wave, self._aliases(wave), parameters, fetch))
            else:
                parts += self._side_by_side(chunks, parameters, fetch)
        return parts

    def _aliases(self, arms: Sequence[Arm]) -> dict[Path, str]:
        return self.attached.aliases([file for arm in arms for file in arm.day_files])

    def _side_by_side(
        self, chunks: Sequence[Sequence[Arm]], parameters: Mapping[str, object], fetch: Fetch[Part]
    ) -> list[Part]:
        """Read chunks while the days of later ones are still being attached."""
        running: list[Future[Part]] = []
        try:
            for chunk in chunks:
                aliases = self._aliases(chunk)
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
        sql = " UNION ALL ".join(arm.select(aliases) for arm in arms)
        cursor = self._cursors.get()
        try:
            return fetch(cursor, sql, parameters)
        except duckdb.InterruptException:
            raise
        except duckdb.OutOfMemoryException as e:
            raise Refused(
                f"the query needs more memory than query.memory_max_mib = {self._settings.memory_max_mib}; "
                "ask for fewer symbols or days at once, or raise it"
            ) from e
        except duckdb.Error as e:
            raise (_damage(arms) or e) from e
        finally:
            self._cursors.put(cursor)


def _waves(arms: Sequence[Arm], files_max: int) -> Iterator[list[Arm]]:
    """Split the parts so that no wave needs more day files than may be attached at once."""
    wave: list[Arm] = []
    count = 0
    for arm in arms:
        if wave and count + len(arm.day_files) > files_max:
            yield wave
            wave, count = [], 0
        wave.append(arm)
        count += len(arm.day_files)
    if wave:
        yield wave


def _damage(arms: Sequence[Arm]) -> Exception | None:
    """Find the file that broke a chunk."""
    for arm in arms:
        if error := find_damage([file.path for file in arm.day_files], arm.parquet_files, arm.table, arm.columns):
            return error
    return None
