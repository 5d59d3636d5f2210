"""What is to run is picked up from the config store while the scanner runs; scans that were told can be heard again."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import pytest

from cli.main import main
from libs.contracts.analytics import ScanPick, ScanResult
from libs.core.clock import SystemClock
from libs.core.errors import FleetError
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.messaging import CommandClient
from services.scanner.service import serve
from services.scanner.store import SignalsStore
from tests.kit.processes import DEADLINE_S
from tests.kit.roots import copy_stores, settings
from tests.kit.short import tmp_path

__all__ = ["tmp_path"]

SCAN = "INSERT INTO scan_configs VALUES ('mine', 'gainers', '', 1, 'nse', '1m', NULL, '{}', 1)"
STRATEGY = (
    "INSERT INTO strategy_configs (instance, strategy, is_enabled, exchange, timeframe, symbols_json, updated_at_us) "
    "VALUES ('trend', 'sma_cross', 1, 'nse', '1m', '[\"STAR\"]', 1)"
)


class Talk:
    """A scanner in this process, asked from another thread as a command would."""

    def __init__(self, given):
        self._given = given

    def _ask(self):
        with CommandClient("scanner", settings=self._given) as client:
            try:
                return client.call("status", timeout_ms=1000)
            except FleetError:
                return None

    async def until(self, condition, what):
        """Give the first status that fulfils a condition; while it does not answer, there is none."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not ((status := await asyncio.to_thread(self._ask)) and condition(status)):  # noqa: ASYNC110  # no event crosses it
                    await asyncio.sleep(0.02)
        except TimeoutError as e:
            raise AssertionError(f"waited {DEADLINE_S} s in vain for: {what}") from e
        return status


@asynccontextmanager
async def scanner(given):
    stop = asyncio.Event()
    running = asyncio.create_task(serve(given, SystemClock(), stop))
    try:
        talk = Talk(given)
        await talk.until(lambda status: status.get("runs"), "the scanner")
        yield talk
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in left if "services.scanner" in str(task.get_coro())], "its loops end with it"


@pytest.fixture
def given(data_root):
    copy_stores(data_root)
    found = settings(TRADEFLEET_DATA=str(data_root))
    return msgspec.structs.replace(
        found, scanner=msgspec.structs.replace(found.scanner, config_poll_ms=50, strategies=[], scans=[])
    )


def configure(data_root, sql):
    with DatabaseManager(data_root, Role.API).config_writer() as config:
        config.execute(sql)


def test_other_scans_and_strategies_are_picked_up(given, data_root):
    """Other scans leave the strategies alone: a day that is begun anew would cost minutes."""

    async def story():
        async with scanner(given) as talk:
            before = await talk.until(bool, "a status")
            configure(data_root, SCAN)
            scans = await talk.until(lambda status: status["scans"] == ["mine"], "the scan")
            configure(data_root, STRATEGY)
            strategies = await talk.until(lambda status: status["instances"] == ["trend"], "the strategy")
            configure(data_root, "UPDATE scan_configs SET is_enabled = 0")
            none = await talk.until(lambda status: status["scans"] == [], "no scan")
            configure(data_root, "UPDATE scan_configs SET is_enabled = 1")
            again = await talk.until(lambda status: status["scans"] == ["mine"], "the scan again")
        return [before, scans, strategies, none, again]

    before, scans, strategies, none, again = asyncio.run(story())

    assert (before["scans"], before["instances"]) == ([], [])
    assert [each["runs"] for each in (before, scans, strategies, none, again)] == [1, 1, 2, 2, 2]
    assert strategies["origin"] == "config store"


def test_feed_shows_scans_that_were_told_before(given, data_root, monkeypatch, capsys):
    """`fleet feed scans --backfill` hears of today's from the scanner's outbox, in their order."""
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    now_us = SystemClock().now_us()
    with DatabaseManager(data_root, Role.SCANNER).writer_session(Store.SIGNALS) as session:
        for number in range(3):
            pick = ScanPick("STAR", 1, 2.0 + number, 0.5, {"change_percent": 2.0 + number})
            SignalsStore(session, SystemClock()).found([ScanResult("movers", now_us + number, (pick,))])

    async def story():
        async with scanner(given):
            return await asyncio.to_thread(main, ["feed", "scans", "--backfill", "--count", "3", "--json"])

    code = asyncio.run(story())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    assert code == 0
    assert [(each["scan_id"], each["picks"][0]["score"]) for each in told] == [
        ("movers", 2.0), ("movers", 3.0), ("movers", 4.0)
    ]  # fmt: skip
    assert [each["fresh"] for each in told] == [["STAR"], [], []]
