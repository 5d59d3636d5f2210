"""The index of runs: written by the index role alone, out of the run files, from which it can be made again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from libs.core.clock import IST, Clock, to_us
from libs.dbaccess import DatabaseManager, StoreCorrupt, StoreMissing
from libs.dbaccess.runs import IndexConnection, RunConnection, Unfinished, killed_run_reader, unfinished_runs

#: Fields of the index's row, in the order `_ROW` asks for them.
_FROM_FILE = (
    "run_id", "strategy", "parameters_json", "exchange", "symbols_json", "timeframe", "date_from", "date_to",
    "fill_model", "cash_paise", "state", "error", "data_fingerprint", "code_version", "created_at_us",
    "finished_at_us",
)  # fmt: skip
_ROW = f"SELECT {', '.join(_FROM_FILE)} FROM run"  # noqa: S608 - our own columns


class RunRow(msgspec.Struct, kw_only=True):
    """One run as the index has it."""

    run_id: str
    strategy: str
    parameters_json: str
    exchange: str
    symbols_json: str
    timeframe: str
    date_from: str
    date_to: str
    fill_model: str
    cash_paise: int
    state: str
    error: str
    data_fingerprint: str
    code_version: str
    created_at_us: int
    finished_at_us: int | None
    equity_paise: int | None = None
    profit_paise: int | None = None
    fees_paise: int | None = None
    trades: int | None = None
    return_ratio: float | None = None
    sharpe: float | None = None
    drawdown_max_ratio: float | None = None
    metrics_json: str = "{}"
    path: str = ""
    bytes: int = 0
    pid: int | None = None
    is_kept: int = 0


COLUMNS = RunRow.__struct_fields__


class Changes(msgspec.Struct):
    """What a reconciliation did."""

    added: int = 0
    removed: int = 0
    killed: int = 0
    unreadable: list[str] = msgspec.field(default_factory=list)


def read_run(db: DatabaseManager, run_id: str) -> RunRow:
    """Read a run's row out of its file."""
    path = db.layout.backtest_run(run_id)
    with db.backtest_reader(run_id) as connection:
        row = _row(connection)
        figures = dict(connection.execute("SELECT metric, value FROM metrics WHERE scope = ''").fetchall())
    row.path = path.relative_to(db.layout.root).as_posix()
    row.bytes = path.stat().st_size
    row.metrics_json = msgspec.json.encode(figures, order="sorted").decode()
    for name in ("equity_paise", "profit_paise", "fees_paise", "trades"):
        value = figures.get(name)
        setattr(row, name, None if value is None else int(value))
    for name in ("return_ratio", "sharpe", "drawdown_max_ratio"):
        setattr(row, name, figures.get(name))
    return row


def listed_runs(db: DatabaseManager) -> list[RunRow]:
    """Give every run, newest first: those of the index, and those whose file it has not seen yet."""
    known = _indexed(db)
    rows = dict(known)
    files = _files(db)
    for run_id in files - known.keys():
        with suppress(StoreMissing, StoreCorrupt):  # cleaned up while we looked, or no run's file
            rows[run_id] = read_run(db, run_id)
    gone = {run_id for run_id, row in known.items() if run_id not in files and row.state not in {"killed", "running"}}
    for unfinished in unfinished_runs(db.layout.runs):
        if unfinished.run_id not in files:
            row = _unfinished_row(db, unfinished)
            if row is not None:
                rows[row.run_id] = row
            elif unfinished.run_id not in rows:
                rows[unfinished.run_id] = _going_on(unfinished)
    return sorted(
        (row for run_id, row in rows.items() if run_id not in gone), key=lambda row: (-row.created_at_us, row.run_id)
    )


def reconcile(db: DatabaseManager, connection: IndexConnection, clock: Clock) -> Changes:
    """Make the index say what the files say; call it inside a transaction of the index's writer."""
    changes = Changes()
    known = dict(connection.execute("SELECT run_id, state FROM runs").fetchall())
    files = _files(db)
    for run_id in sorted(files):
        if known.get(run_id) in {None, "running", "killed"}:
            try:
                put(connection, read_run(db, run_id))
                changes.added += 1
            except StoreCorrupt as e:
                changes.unreadable.append(f"{run_id}: {e}")
            except StoreMissing:
                continue
    waiting = {unfinished.run_id: unfinished for unfinished in unfinished_runs(db.layout.runs)}
    for run_id, unfinished in waiting.items():
        row = _unfinished_row(db, unfinished)
        if row is None or run_id in files or known.get(run_id) == row.state:
            continue
        if row.state == "killed":
            row.finished_at_us = clock.now_us()
            changes.killed += 1
        put(connection, row)
    for run_id, state in known.items():
        if run_id in files or run_id in waiting or state == "killed":
            continue
        if state == "running":
            continue_as_killed(connection, run_id, clock.now_us())
            changes.killed += 1
        else:
            connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
            changes.removed += 1
    return changes


def continue_as_killed(connection: IndexConnection, run_id: str, now_us: int) -> None:
    """Mark a run whose process and file are gone."""
    connection.execute(
        "UPDATE runs SET state = 'killed', error = ?, finished_at_us = ? WHERE run_id = ?",
        ("its process ended and left no file", now_us, run_id),
    )


def put(connection: IndexConnection, row: RunRow) -> None:
    """Insert a run or bring its row up to date; whether it is kept, and its sweep, stay."""
    marks = ", ".join("?" * len(COLUMNS))
    sets = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in {"run_id", "is_kept"})
    connection.execute(
        f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT (run_id) DO UPDATE SET {sets}",  # noqa: S608 - our own columns
        msgspec.structs.astuple(row),
    )


def rebuild(db: DatabaseManager, connection: IndexConnection, clock: Clock) -> Changes:
    """Forget every run and read all files again; runs that are kept stay kept."""
    kept = [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs WHERE is_kept = 1").fetchall()]
    connection.execute("DELETE FROM runs")
    changes = reconcile(db, connection, clock)
    connection.executemany("UPDATE runs SET is_kept = 1 WHERE run_id = ?", [(run_id,) for run_id in kept])
    return changes


def _indexed(db: DatabaseManager) -> dict[str, RunRow]:
    try:
        with db.backtest_index_reader() as connection:
            rows: Iterable[tuple[Any, ...]] = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM runs"  # noqa: S608 - our own columns
            ).fetchall()
    except StoreMissing:
        return {}
    return {row[0]: RunRow(**dict(zip(COLUMNS, row, strict=True))) for row in rows}


def _files(db: DatabaseManager) -> set[str]:
    return {path.stem for path in db.layout.runs.glob("run_*.duckdb")}


def _row(connection: RunConnection) -> RunRow:
    found = connection.execute(_ROW).fetchall()
    if len(found) != 1:
        raise StoreCorrupt(f"a run's file has one row in its table run, this one has {len(found)}")
    values = dict(zip(_FROM_FILE, found[0], strict=True))
    values["date_from"], values["date_to"] = str(values["date_from"]), str(values["date_to"])
    return RunRow(**values)


def _going_on(unfinished: Unfinished) -> RunRow:
    """Say that a run goes on: its process holds the file, so no more can be known."""
    started = datetime.strptime(unfinished.run_id[4:19], "%Y%m%d_%H%M%S").replace(tzinfo=IST)
    return RunRow(
        run_id=unfinished.run_id, strategy="", parameters_json="{}", exchange="", symbols_json="[]", timeframe="",
        date_from="", date_to="", fill_model="", cash_paise=0, state="running", error="", data_fingerprint="",
        code_version="", created_at_us=to_us(started), finished_at_us=None, pid=unfinished.pid,
    )  # fmt: skip


def _unfinished_row(db: DatabaseManager, unfinished: Unfinished) -> RunRow | None:
    """Give what is known of a run without its name: killed if nobody holds its file; None while it goes on."""
    try:
        with killed_run_reader(unfinished) as connection:
            if connection is None:
                return None
            row = _row(connection)
    except StoreCorrupt:  # killed before its first commit: nobody can say what it was
        return None
    row.state = "killed"
    row.error = f"process {unfinished.pid} ended before the run did"
    row.pid = unfinished.pid
    row.path = unfinished.path.relative_to(db.layout.root).as_posix()
    return row
