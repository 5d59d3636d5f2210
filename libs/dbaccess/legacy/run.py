"""One migration: plan, copy, place table by table, remember what is done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from libs.core.errors import FleetError, Refused
from libs.core.faults import crash_point
from libs.dbaccess.files import make_directory, write_atomically
from libs.dbaccess.importing.moments import zone_named
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import exchange_name
from libs.dbaccess.legacy.market import ORDER, Part, is_market_table, parts_of, place_part, unknown_columns
from libs.dbaccess.legacy.report import MigrationReport, TableResult
from libs.dbaccess.legacy.small import SmallTables, is_small_table, plan_small
from libs.dbaccess.legacy.source import LegacyFile, copy_source, keep_table, open_copy, source_id
from libs.dbaccess.legacy.values import Context
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.owners import refuse_living_owner
from libs.dbaccess.roles import OWNERS, Role
from libs.settings import Settings

#: Known, and made anew by the fleet itself: nothing of them is placed.
_MADE_ANEW = {
    "candlestick_metadata": "the catalogue says what there is",
    "positions": "positions are taken over from the broker by reconciliation",
    "schema_version": "the stores have their own",
    "alembic_version": "the stores have their own",
    "schema_migrations": "the stores have their own",
}
_ENVIRONMENT = ("TRADING_DB_PATH", "TRADING_DATABASE_URL", "MARKET_DATABASE_URL", "ANALYTICS_DATABASE_URL")
Report = Callable[[int, int, str], None]


def sources_of_environment(environment: Mapping[str, str]) -> list[Path]:
    """Find the old files by the variables old installations used; `DATABASE_URL` means trading."""
    names = [name for name in _ENVIRONMENT if environment.get(name)]
    if "TRADING_DATABASE_URL" not in names and environment.get("DATABASE_URL"):
        names.append("DATABASE_URL")
    found = []
    for name in names:
        scheme, separator, path = environment[name].rpartition("://")
        if separator and scheme.split("+")[0] not in {"sqlite", "duckdb", "file"}:
            raise Refused(f"{name} is a {scheme} address; only SQLite and DuckDB files are taken over")
        # sqlite:///relative.db, sqlite:////absolute.db
        found.append(Path(path.removeprefix("/") if separator and scheme != "file" else path))
    return list(dict.fromkeys(found))


def migrate_legacy(
    root: Path | str,
    sources: Sequence[Path],
    *,
    settings: Settings,
    exchange: str | None = None,
    zone: str = "Asia/Kolkata",
    dry_run: bool = False,
    report: Report,
) -> MigrationReport:
    """Take over the tables of older installations; run it again after a kill, and it goes on where it was.

    The sources are copied byte by byte to `backups/migrated/<id>` first, and everything is read from the copy.
    `WriterLockHeld` while an owner of a store lives.
    """
    context = Context(exchange_name(exchange or settings.data.exchange), zone_named(zone).key)
    found = MigrationReport(dry_run)
    managers = {role: DatabaseManager(root, role, settings=settings) for role in set(OWNERS.values())}
    ingestor = managers[Role.INGESTOR]
    if not sources:
        raise Refused("no source was given, and no variable of an older installation names one")
    if dry_run:
        for source in sources:
            with _throw_away_copy(source) as copy, open_copy(copy, source) as old:
                found.tables += _planned(old, source, context)
        return found
    require_root(ingestor.layout)
    refuse_living_owner(ingestor.layout)
    for source in sources:
        folder = ingestor.layout.backups / "migrated" / source_id(source)
        make_directory(folder, ingestor.layout.root)
        copy = folder / source.name
        copy_source(source, copy)
        crash_point("legacy.copied.after")
        found.kept[str(source)] = str(copy)
        work = tempfile.mkdtemp(prefix=".work-", dir=folder)
        try:
            # The copy stays as the source was: an engine that opens it may fold its log in.
            opened = Path(work) / source.name
            copy_source(copy, opened)
            with open_copy(opened, source) as old:
                found.tables += _Migration(managers, old, source, folder, context, report).run()
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return found


@contextmanager
def _throw_away_copy(source: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fleet-migrate-") as folder:
        copy = Path(folder) / source.name
        copy_source(source, copy)
        yield copy


def _planned(old: LegacyFile, source: Path, context: Context) -> Iterator[TableResult]:
    for table in old.tables():
        rows, name = old.count(table), table.lower()
        if is_market_table(name):
            yield _market_planned(old, table, rows, source, context)
        elif is_small_table(name):
            target, extra, problems = plan_small(old, table)
            state = "failed" if problems else "planned"
            yield TableResult(source.name, table, rows, target, state, extra_columns=extra, problems=problems)
        else:
            yield _not_placed(source, table, rows)


def _market_planned(old: LegacyFile, table: str, rows: int, source: Path, context: Context) -> TableResult:
    try:
        parts = parts_of(old, table, context)
        extra = unknown_columns(old, table, parts[0]) if parts else ()
    except FleetError as e:
        return TableResult(source.name, table, rows, "", "failed", problems=(str(e),))
    target = ", ".join(sorted({part.target for part in parts}))
    return TableResult(source.name, table, rows, target, "planned", extra_columns=extra)


def _not_placed(source: Path, table: str, rows: int, checksum: str = "") -> TableResult:
    reason = _MADE_ANEW.get(table.lower())
    state = "kept" if reason else "unknown"
    problems = (reason,) if reason else ("no such table is known; it stays in the copy",)
    return TableResult(source.name, table, rows, "", state, checksum=checksum, problems=problems)


class _Migration:
    """The tables of one source, and the journal of those that are done."""

    def __init__(
        self, managers: Mapping[Role, DatabaseManager], old: LegacyFile, source: Path, folder: Path, context: Context,
        report: Report,
    ) -> None:  # fmt: skip
        self._managers = managers
        self._old = old
        self._source = source
        self._folder = folder
        self._context = context
        self._report = report
        self._journal = folder / "migration.json"
        done = msgspec.json.decode(self._journal.read_bytes(), type=list[TableResult]) if self._journal.exists() else []
        self._done = {each.table: each for each in done if each.state == "done"}

    def run(self) -> list[TableResult]:
        """Place every table and give what became of each."""
        results = []
        tables = self._old.tables()
        self._parts: dict[str, list[Part] | str] = {each: self._split(each) for each in tables if is_market_table(each)}
        for done, table in enumerate(sorted(tables, key=self._turn), 1):
            result = self._done.get(table)
            if result is not None:
                result = msgspec.structs.replace(result, state="done before")
            else:
                result = self._table(table)
                if result.state == "done" and not result.refused:
                    self._remember(result)
            results.append(result)
            self._report(done, len(tables), table)
        return sorted(results, key=lambda each: each.table)

    def _turn(self, table: str) -> tuple[int, int]:
        """Order the tables: people, orders, trades and what points at them, then the longest candles first."""
        if is_small_table(table.lower()):
            return 0, SmallTables.turn(table.lower())
        parts = self._parts.get(table, "")
        frames = [ORDER.index(part.timeframe) for part in parts if part.timeframe] if isinstance(parts, list) else []
        return 1, min(frames, default=len(ORDER))

    def _split(self, table: str) -> list[Part] | str:
        try:
            return parts_of(self._old, table, self._context)
        except FleetError as e:
            return str(e)

    def _table(self, table: str) -> TableResult:
        rows, name = self._old.count(table), table.lower()
        if is_market_table(name):
            return self._market(table, rows)
        checksum = self._old.checksum(table)
        if not is_small_table(name):
            return _not_placed(self._source, table, rows, checksum)
        small = SmallTables(self._managers, self._old, self._source, self._folder, self._context)
        return msgspec.structs.replace(small.place(table), rows=rows, checksum=checksum)

    def _market(self, table: str, rows: int) -> TableResult:
        parts = self._parts[table]
        result = TableResult(self._source.name, table, rows, "", "failed", checksum=self._old.checksum(table))
        if isinstance(parts, str):
            return msgspec.structs.replace(result, problems=(parts,))
        placed = there = refused = 0
        problems: list[str] = []
        extra: set[str] = set()
        scratch = self._folder / "scratch"
        make_directory(scratch, self._folder)
        for part in sorted(parts, key=lambda each: ORDER.index(each.timeframe) if each.timeframe else len(ORDER)):
            try:
                found = place_part(self._managers[Role.INGESTOR], self._old, part, self._context, scratch, self._report)
            except FleetError as e:
                problems.append(f"{part.target}: {e}")
                continue
            placed, refused = placed + found.rows_taken, refused + found.rows_refused
            there += found.rows_same + found.rows_repeated
            problems += [f"{count} x {reason}" for reason, count in found.refused.items()]
            extra |= {*found.plans[0].ignored} - set(part.equal)
        shutil.rmtree(scratch, ignore_errors=True)
        return msgspec.structs.replace(
            result,
            target=", ".join(sorted({part.target for part in parts})),
            state="failed" if placed + there + refused != rows else "done",
            placed=placed, there=there, refused=refused, problems=tuple(problems),
            extra_columns=tuple(sorted(extra)),
            extra_kept_in=keep_table(self._old, table, self._folder) if extra else "",
        )  # fmt: skip

    def _remember(self, result: TableResult) -> None:
        crash_point("legacy.table.before")
        self._done[result.table] = result
        write_atomically(self._journal, msgspec.json.format(msgspec.json.encode(list(self._done.values())), indent=1))
        crash_point("legacy.table.after")
