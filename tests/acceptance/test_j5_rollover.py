"""J5: kill the rollover at every step; all data is recoverable, none of it doubled."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from libs.core.clock import SystemClock
from libs.dbaccess import EODRollover, MarketDataQuery, catalogue
from libs.dbaccess.layout import closed_days
from tests.kit.lives import Lives, lives_of
from tests.kit.market_days import arrow, stores
from tests.kit.rollover import FRIDAY, MONDAY, TUESDAY, WATERMARKS, day_ticks, everything, fill, ingestor, leftovers
from tests.kit.roots import make_stores

#: Each point of the rollover, and those it passes on the way; the number is the hit at which it dies.
KILLS = [
    "rollover.freeze.before", "rollover.freeze.after", "rollover.verify.before", "rollover.verify.after:2",
    "history.rename.after:2", "rollover.close.after:6", "rollover.certify.before:2", "rollover.fresh.before",
    "rollover.fresh.after:2", "rollover.swap.before", "rollover.swap.after", "rollover.swap.after:2",
    "live.recovery.after:2",
]  # fmt: skip


@pytest.fixture(scope="module")
def captured(tmp_path_factory) -> Path:
    """A root as the ingestor left it."""
    root = tmp_path_factory.mktemp("captured") / "data"
    root.mkdir(mode=0o700)
    make_stores(root)
    fill(root)
    return root


@pytest.fixture(scope="module")
def readable(captured):
    """What readers see of it, at any time."""
    return seen_by_readers(captured)


@pytest.fixture(scope="module")
def rolled(captured, tmp_path_factory):
    """What a rollover nobody killed makes of it."""
    root = copied(captured, tmp_path_factory.mktemp("rolled"))
    assert EODRollover(ingestor(root), root).execute(MONDAY) is True
    return everything(root)


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Rollovers to kill."""
    with lives_of("tests.kit.rollover", tmp_path_factory.mktemp("lives") / "errors") as begun:
        yield begun


@pytest.fixture(scope="module")
def lasts_s(captured, lives, tmp_path_factory) -> float:
    """How long a rollover takes here and now: in that time each of its instants lies."""
    root = copied(captured, tmp_path_factory.mktemp("timed"))
    began_ns = SystemClock().monotonic_ns()
    lives.begin(root, MONDAY)
    assert lives.end() == 0, lives.errors()
    return (SystemClock().monotonic_ns() - began_ns) / 1e9


def copied(captured: Path, into: Path) -> Path:
    root = into / "data"
    shutil.copytree(captured, root)
    return root


def seen_by_readers(root: Path) -> tuple[list[tuple], list[tuple]]:
    """Friday's and Monday's rows as anybody reads them, wherever they are."""
    with MarketDataQuery(stores(root)) as query:
        candles = query.get_candles("INFY", "nse", "1m", FRIDAY, TUESDAY)
        ticks = query.get_ticks("INFY", "nse", FRIDAY, TUESDAY)
    return [tuple(row) for row in candles.to_numpy()], [tuple(row) for row in ticks[["timestamp", "seq"]].to_numpy()]


def check_finished(root: Path, rolled, more_ticks: int = 0) -> None:
    """Run it again: everything is as if nobody had killed it, once, and nothing is left over."""
    assert EODRollover(ingestor(root)).execute(MONDAY) is True
    found = everything(root)
    assert len(found["live ticks"]) == len(rolled["live ticks"]) + more_ticks
    assert found | {"live ticks": []} == rolled | {"live ticks": []}
    assert set(rolled["live ticks"]) <= set(found["live ticks"])
    assert leftovers(root) == []
    db = ingestor(root)
    days = {path for folder, _ in db.layout.all_series() for _, path in closed_days(folder)}
    assert set(catalogue.checksums(db.layout, db.settings.sqlite)) == days
    assert {path.stat().st_mode & 0o777 for path in days} == {0o444}


def test_uninterrupted_rollover_moves_every_row_once(captured, rolled):
    """What the kills are compared with is right itself: each row of the buffer is in exactly one place."""
    before = everything(captured)

    assert sorted(row for name, rows in rolled.items() if "ticks" in name for row in rows) == before["live ticks"]
    assert sorted(row for name, rows in rolled.items() if "candles" in name for row in rows) == before["live candles"]
    assert {row[-1] for row in rolled["live ticks"]} == {201, 202, 203, 204, 205}
    assert len(rolled) == 9


@pytest.mark.parametrize("point", KILLS)
def test_killed_rollover_loses_and_doubles_nothing(captured, readable, rolled, lives, tmp_path, point):
    """Readers see every row right after the kill; another run ends as if there had been none.

    At every second point the ingestor comes back first and captures on, knowing nothing of a rollover.
    """
    root = copied(captured, tmp_path)
    lives.begin(root, MONDAY, crash_at=point)
    assert lives.end() == -signal.SIGKILL, lives.errors()

    assert seen_by_readers(root) == readable
    captures_on = KILLS.index(point) % 2 == 1
    if captures_on:
        with ingestor(root).live_buffer_writer() as buffer:
            assert buffer.watermarks("ticks") == buffer.watermarks("candles") == WATERMARKS
            buffer.append("ticks", arrow(day_ticks(TUESDAY, 301, 1)))
        assert seen_by_readers(root) == readable
    check_finished(root, rolled, more_ticks=int(captures_on))


def kill_at_random(
    captured, readable, rolled, lives: Lives, lasts_s: float, root: Path, seed: int, note: Callable[..., None]
) -> None:
    """Kill it at one or two instants of its work, and note the last point that each got to."""
    random = Random(seed)
    copied(captured, root)
    for number in range(random.randrange(1, 3)):
        passed = root / f"passed-{number}"
        passed.mkdir()
        lives.begin(root / "data", MONDAY, seen=passed)
        code = lives.end(random.uniform(0, lasts_s))
        assert code in {0, -signal.SIGKILL}, f"seed {seed}: {lives.errors()}"
        newest = max(passed.iterdir(), key=lambda path: path.stat().st_mtime_ns, default=Path("nothing"))
        note("died_after", newest.name if code else "its end")
        assert seen_by_readers(root / "data") == readable, f"seed {seed}"
    check_finished(root / "data", rolled)


@pytest.mark.parametrize("seed", range(8))
def test_rollover_killed_inside_its_steps(captured, readable, rolled, lives, lasts_s, tmp_path, record_property, seed):
    """A few kills at any instant; `make matrix` runs three hundred."""
    kill_at_random(captured, readable, rolled, lives, lasts_s, tmp_path, seed, record_property)


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(8, 308))
def test_rollover_killed_inside_its_steps_often(
    captured, readable, rolled, lives, lasts_s, tmp_path, record_property, seed
):
    """The same, until every instant had its turn; `--junit-xml` tells where each of them died."""
    kill_at_random(captured, readable, rolled, lives, lasts_s, tmp_path, seed, record_property)
