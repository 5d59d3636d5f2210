"""Pins: a reader keeps what it reads, gives it back on every path, and a dead one's links are swept."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import psutil
import pytest

from libs.core.clock import SystemClock
from libs.core.errors import RetryLater
from libs.dbaccess import StoreCorrupt
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import live_buffer_reader, open_live_buffer, pin_snapshot, pins
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit.live import ticks

SETTINGS = Live(merge_minute_segments_min=2, merge_hour_segments_min=2, pin_retry_count_max=3)


@pytest.fixture
def layout(data_root):
    return Layout(data_root)


def opened(layout):
    return open_live_buffer(layout, SETTINGS, SystemClock(), exchange="nse", ddl=live_ddl())


def flush(buffer, batch):
    buffer.append("ticks", ticks(batch * 10, 10))
    buffer.flush()


def pinned(layout):
    return sorted(path.name for path in (layout.live / "pins").iterdir())


def test_merged_parts_stay_for_the_reader_that_pinned_them(layout):
    """The writer never waits for a reader: it removes the parts, and the reader's links keep the bytes."""
    with opened(layout) as buffer:
        flush(buffer, 0)
        flush(buffer, 1)
        with live_buffer_reader(layout, SETTINGS) as conns:
            parts = [path.name for path in conns["ticks"].snapshot.files("ticks")]
            buffer.finish_merges()
            flush(buffer, 2)
            count = conns["ticks"].execute("SELECT count(*), sum(seq) FROM ticks").fetchall()

        assert not any((layout.live / "segments" / name).exists() for name in parts)
        assert count == [(20, sum(range(20)))]


def test_pin_is_removed_when_the_block_raises(layout):
    with opened(layout) as buffer:
        flush(buffer, 0)
        with pytest.raises(ZeroDivisionError), pin_snapshot(layout, SETTINGS) as snapshot:
            assert pinned(layout) == [snapshot.directory.name]
            raise ZeroDivisionError

    assert pinned(layout) == []


def test_part_merged_away_meanwhile_sends_the_reader_to_the_new_manifest(layout, monkeypatch):
    with opened(layout) as buffer:
        flush(buffer, 0)
        flush(buffer, 1)
        outdated = buffer.manifest
        buffer.finish_merges()
        answers = iter([outdated, buffer.manifest])
        monkeypatch.setattr(pins, "read_manifest", lambda path: next(answers))
        with pin_snapshot(layout, SETTINGS) as snapshot:
            found = snapshot.generation, snapshot.rows("ticks"), len(snapshot.files("ticks"))

        assert found == (buffer.manifest.generation, 20, 1)
        assert pinned(layout) == []


def test_reader_that_is_always_outrun_is_told_to_try_again(layout, monkeypatch):
    """Every wait has an end: after the set number of attempts it says so, and leaves no links."""
    with opened(layout) as buffer:
        flush(buffer, 0)
        flush(buffer, 1)
        outdated = buffer.manifest
        buffer.finish_merges()
        generations = iter(range(100))
        monkeypatch.setattr(
            pins, "read_manifest", lambda path: msgspec.structs.replace(outdated, generation=next(generations))
        )
        with pytest.raises(RetryLater, match="3 times"), pin_snapshot(layout, SETTINGS):
            pass

        assert next(generations) == SETTINGS.pin_retry_count_max
        assert pinned(layout) == []


def test_segment_that_is_gone_for_good_is_named(layout):
    with opened(layout) as buffer:
        flush(buffer, 0)
    (segment,) = (layout.live / "segments").iterdir()
    segment.unlink()

    with pytest.raises(StoreCorrupt, match=segment.name), pin_snapshot(layout, SETTINGS):
        pass
    assert pinned(layout) == []


def test_pins_of_the_dead_are_swept_and_those_of_the_living_kept(layout):
    with opened(layout) as buffer:
        flush(buffer, 0)
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        started = int(psutil.Process().create_time())
        of_the_dead = f"{dead.pid}-{started}-abc"
        of_an_earlier_holder_of_our_pid = f"{os.getpid()}-{started - 3600}-abc"
        for name in (of_the_dead, of_an_earlier_holder_of_our_pid, "garbage"):
            (layout.live / "pins" / name).mkdir()
        with pin_snapshot(layout, SETTINGS) as snapshot:
            pins.sweep_pins(pins.LivePaths(layout))

            assert pinned(layout) == [snapshot.directory.name]


def test_next_owner_sweeps(layout):
    with opened(layout):
        (layout.live / "pins" / "999999999-1-abc").mkdir()
    with opened(layout):
        assert pinned(layout) == []
