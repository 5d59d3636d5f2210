"""D4: `fleet feed` and the three-line door, from processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from libs.messaging import Publisher, subscribe, subscribe_async
from libs.settings import load_settings
from tests.kit.journals import ListJournal, Owner
from tests.kit.paths import PROJECT
from tests.kit.processes import DEADLINE_S, fleet


@pytest.fixture
def owner(data_root):
    """An ingestor in a thread, which publishes bars and ticks for as long as the test runs."""
    settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_BUS_HEAD_INTERVAL_MS": "100"})
    stop, started = threading.Event(), threading.Event()
    with Publisher.open("ingestor", settings=settings, source=ListJournal()) as publisher:
        owner = Owner(publisher._source, publisher)

        def publish():
            for _ in range(20):
                owner.candle("RELIANCE")
                owner.candle("TCS")
            started.set()
            while not stop.wait(0.005):
                publisher.pump()
                owner.candle("RELIANCE")
                owner.ticks(["RELIANCE", "TCS"])

        thread = threading.Thread(target=publish)
        thread.start()
        assert started.wait(DEADLINE_S)
        yield owner
        stop.set()
        thread.join()


def feeding(data_root, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "feed", *arguments], cwd=PROJECT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"TRADEFLEET_DATA": str(data_root)},
    )  # fmt: skip


def test_backfilled_candles_as_json(owner, data_root):
    done = fleet(
        "feed",
        "candles",
        "--symbols",
        "RELIANCE",
        "--backfill",
        "--json",
        "--count",
        30,
        TRADEFLEET_DATA=str(data_root),
    )
    bars = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stderr
    assert len(bars) == 30
    assert {bar["symbol"] for bar in bars} == {"RELIANCE"}
    assert [bar["seq"] for bar in bars] == [*range(1, 41, 2), *range(41, 51)]
    assert {"timeframe", "timestamp_us", "open", "high", "low", "close", "volume"} <= set(bars[0])


def test_ticks_for_people(owner, data_root):
    done = fleet("feed", "ticks", "--symbols", "TCS", "--count", 3, TRADEFLEET_DATA=str(data_root))

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert all("TCS" in line and "price" in line for line in done.stdout.splitlines())


def test_control_c_ends_it_well(owner, data_root):
    """What was printed is out, the exit code is 0, and there is no traceback."""
    with feeding(data_root, "candles", "--json") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 0
    assert errors == ""
    assert all(json.loads(line)["timeframe"] == "1m" for line in [first, *rest.splitlines()])


def test_a_reader_that_goes_away_makes_no_noise(owner, data_root):
    with feeding(data_root, "candles", "--json") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        process.wait(DEADLINE_S)
        assert process.stderr is not None
        errors = process.stderr.read()

    assert errors == ""


def test_it_says_what_it_waits_for(data_root):
    with feeding(data_root, "signals") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)

    assert "waiting" in line
    assert process.returncode == 0


def test_wrong_use_is_explained():
    assert fleet("feed").returncode == 2
    assert fleet("feed", "candles", "--count", 0).returncode == 2
    assert "RELIANCE" not in fleet("feed", "prices").stdout


def test_three_lines_give_bars(owner, data_root, monkeypatch):
    """Endpoints come from the settings and the data root alone."""
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    seen = []
    for bar in subscribe("candle.1m", symbols=["RELIANCE"], backfill=True):
        seen.append(bar.seq)
        if len(seen) == 25:
            break

    assert seen == [*range(1, 41, 2), *range(41, 46)]


def test_three_lines_inside_an_event_loop(owner, data_root):
    async def read():
        seen = []
        async for bar in subscribe_async("candle.1m", symbols=["RELIANCE"], backfill=True, data_root=data_root):
            seen.append(bar.seq)
            if len(seen) == 25:
                return seen
        return seen

    assert asyncio.run(asyncio.wait_for(read(), DEADLINE_S)) == [*range(1, 41, 2), *range(41, 46)]


def test_addresses_may_be_given(owner, data_root, tmp_path):
    run = data_root / "run"
    endpoints = {"ingestor": {kind: f"ipc://{run}/ingestor.{kind}" for kind in ("publish", "replay")}}
    bars = subscribe("candle.1m", symbols=["TCS"], backfill=True, data_root=tmp_path / "other", endpoints=endpoints)

    assert [next(bars).seq for _ in range(20)] == list(range(2, 41, 2))


def test_a_publisher_runs_inside_an_event_loop(data_root):
    """`run()` answers joins and replays beside the owner's own tasks."""
    settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
    journal = ListJournal()

    async def both():
        with Publisher.open("ingestor", settings=settings, source=journal) as publisher:
            owner = Owner(journal, publisher)
            for _ in range(10):
                owner.candle()
            running = asyncio.create_task(publisher.run())
            seen = []
            async for bar in subscribe_async("candle.1m", backfill=True, settings=settings):
                seen.append(bar.seq)
                owner.candle()
                if len(seen) == 30:
                    break
            running.cancel()
            return seen

    assert asyncio.run(asyncio.wait_for(both(), DEADLINE_S)) == list(range(1, 31))
