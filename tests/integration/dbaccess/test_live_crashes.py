"""A2: whatever the owner of the live buffer dies of, and wherever, no row is lost, doubled or seen half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from libs.core.clock import SystemClock
from libs.core.faults import POINTS
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import live_buffer_reader, open_live_buffer
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit import live_writer
from tests.kit.live import problems
from tests.kit.live_writer import Task
from tests.kit.paths import PROJECT
from tests.kit.processes import DEADLINE_S

BATCHES = 6
MERGING = Live(merge_minute_segments_min=2, merge_hour_segments_min=2)
LIVE_POINTS = [point for point in POINTS if point.startswith("live.")]
#: Passed while the next owner repairs.
RECOVERY_POINTS = ["live.segment.before", "live.segment.after", "live.recovery.before", "live.recovery.after"]


def live(task: Task, crash_at: str = "") -> subprocess.CompletedProcess[bytes]:
    """One life of the writer, to its end or to the crash point."""
    return subprocess.run(
        [sys.executable, "-m", "tests.kit.live_writer", msgspec.json.encode(task).decode()],
        cwd=PROJECT, env=os.environ | {"TRADEFLEET_CRASH_AT": crash_at}, capture_output=True, timeout=DEADLINE_S,
        check=False,
    )  # fmt: skip


def acknowledged(life: subprocess.CompletedProcess[bytes]) -> int:
    """Batches the writer knew to be flushed before it died."""
    lines = [msgspec.json.decode(line) for line in life.stdout.splitlines()]
    return max((line.get("batches", 0) for line in lines), default=0)


def batches_seen(layout: Layout, task: Task) -> int:
    """Whole batches in the newest snapshot, which must be consistent."""
    with live_buffer_reader(layout, task.live) as conns:
        manifest = conns["ticks"].snapshot.manifest
        wrong = problems(conns, manifest, ticks_a_batch=task.ticks, candles_a_batch=task.candles)
        (count,) = conns["ticks"].execute("SELECT count(*) FROM ticks").fetchall()[0]
    assert not wrong
    return count // task.ticks


def check_repaired(layout: Layout, task: Task) -> None:
    """Open as the next owner: the snapshot holds exactly what DuckDB holds, and no file is left that nobody lists."""
    with open_live_buffer(layout, task.live, SystemClock(), exchange="nse", ddl=live_ddl()) as buffer:
        for table in ("ticks", "candles"):
            rows = sorted(buffer[table].execute(f"SELECT * FROM {table}").fetchall())
            with live_buffer_reader(layout, task.live) as conns:
                assert sorted(conns[table].execute(f"SELECT * FROM {table}").fetchall()) == rows
        listed = set(buffer.manifest.files())
        assert {path.name for path in (layout.live / "segments").iterdir()} == listed
        assert list((layout.live / "pins").iterdir()) == []
    batches_seen(layout, task)


def survive(data_root, first: str, second: str = "") -> None:
    """Die at the first point, perhaps again at the second while recovering, then finish; check after every death."""
    layout = Layout(data_root)
    task = Task(root=str(data_root), batches=BATCHES, settle_merges=True, live=MERGING)
    life = live(task, first)
    assert life.returncode == -signal.SIGKILL, f"{first} was not reached: {life.stderr.decode()}"
    if (layout.live / "manifest.json").exists():
        assert batches_seen(layout, task) >= acknowledged(life)
    if second:
        (layout.live / "manifest.json").unlink(missing_ok=True)  # so that there is everything to rebuild
        assert live(task, second).returncode == -signal.SIGKILL, f"{second} was not reached"
    check_repaired(layout, task)

    live_writer.main(task)  # here, not in a process: this life is not killed

    assert batches_seen(layout, task) == BATCHES


@pytest.mark.parametrize("point", LIVE_POINTS)
def test_kill_at_every_point(data_root, point):
    """Once each in `make test`; the third hit is in the middle of the day."""
    survive(data_root, point if "recovery" in point else f"{point}:3")


def test_kill_while_recovering(data_root):
    survive(data_root, "live.manifest.before:5", "live.segment.after")


@pytest.mark.matrix
@pytest.mark.parametrize("hit", range(1, 11))
@pytest.mark.parametrize("point", [p for p in LIVE_POINTS if "recovery" not in p])
def test_kill_at_every_hit_of_every_point(data_root, point, hit):
    survive(data_root, f"{point}:{(hit + 1) // 2 if 'merge' in point else hit}")


@pytest.mark.matrix
@pytest.mark.parametrize(
    "first", ["live.manifest.before:5", "live.commit.after:9", "live.segment.after:7", "live.merge.after:3"]
)
@pytest.mark.parametrize("second", RECOVERY_POINTS)
def test_kill_twice(data_root, first, second):
    survive(data_root, first, second)


def test_kill_between_the_two_commits_leaves_each_file_its_own_watermark(data_root):
    """There is no transaction over two files: ticks are ahead by one flush, and both files and the manifest say so."""
    layout = Layout(data_root)
    task = Task(root=str(data_root), batches=BATCHES)
    assert live(task, "live.commit.after:7").returncode == -signal.SIGKILL
    with open_live_buffer(layout, Live(), SystemClock(), exchange="nse", ddl=live_ddl()) as buffer:
        ticks_at, candles_at = buffer.watermarks("ticks"), buffer.watermarks("candles")
        counts = [
            buffer[table].execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in ("ticks", "candles")
        ]

    # Commits come in pairs, ticks first: the seventh is the ticks of the fourth flush.
    assert ticks_at == {"tick": 399, "bar": 39}
    assert candles_at == {"tick": 299, "bar": 29}
    assert counts == [400, 30]
    live_writer.main(task)
    assert batches_seen(layout, task) == BATCHES
