"""Deleting runs: by name, or by the policy in `.cleanup_policy.json`. Only the index's owner does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.core.clock import US_PER_DAY, Clock
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager
from libs.dbaccess.runs import IndexConnection, killed_run_reader, unfinished_runs

_WITH_FIGURES = ("complete", "partial")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last so many runs, or those of the last so many days, whichever keeps more."""

    runs_keep: Annotated[int, Meta(ge=0)] = 100
    days_keep: Annotated[int, Meta(ge=0)] = 30


def read_policy(db: DatabaseManager) -> Policy:
    """Read the policy; without a file the defaults hold."""
    path = db.layout.runs.parent / ".cleanup_policy.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Policy)
    except FileNotFoundError:
        return Policy()
    except msgspec.DecodeError as e:
        raise Refused(f'{path}: {e}; expected for example {{"runs_keep": 100, "days_keep": 30}}') from e


def to_delete(connection: IndexConnection, policy: Policy, now_us: int) -> list[str]:
    """Name the runs no rule keeps, oldest first; running and kept ones stay.

    A run that failed or was killed has no figures anybody would miss: it takes no place among the last so many, and
    stays for the days alone.
    """
    rows = connection.execute(
        "SELECT run_id, created_at_us, is_kept, state FROM runs ORDER BY created_at_us DESC, run_id DESC"
    ).fetchall()
    oldest_us = now_us - policy.days_keep * US_PER_DAY
    place, surplus = 0, []
    for run_id, created_us, is_kept, state in rows:
        has_place = state in _WITH_FIGURES and place < policy.runs_keep
        place += state in _WITH_FIGURES
        if not has_place and created_us < oldest_us and not is_kept and state != "running":
            surplus.append(run_id)
    return surplus[::-1]


def clean_up(db: DatabaseManager, connection: IndexConnection, clock: Clock) -> list[str]:
    """Delete what the policy does not keep, and the files killed runs left behind; give the runs deleted."""
    names = to_delete(connection, read_policy(db), clock.now_us())
    for run_id in names:
        delete(db, connection, run_id)
    for unfinished in unfinished_runs(db.layout.runs):
        with killed_run_reader(unfinished) as opened:
            is_dead = opened is not None
        if is_dead:
            _unlink(unfinished.path)
    return names


def delete(db: DatabaseManager, connection: IndexConnection, run_id: str) -> None:
    """Delete one run: its file, then its row, so that a stop between the two leaves a row the next look removes."""
    _unlink(db.layout.confined(db.layout.backtest_run(run_id)))
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


def _unlink(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.with_name(file.name + ".wal").unlink(missing_ok=True)
