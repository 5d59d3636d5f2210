"""C5: the living ingestor rolls its day over, captures on, tells of it, and takes nothing into a day that is closed."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, MarketDataQuery
from tests.kit.capture_checks import Witness
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.market_days import at_us, close_day, tick
from tests.kit.processes import DEADLINE_S, fleet, wait_until
from tests.kit.roots import make_stores

MONDAY, TUESDAY = date(2026, 2, 2), date(2026, 2, 3)
#: Four months before: what the archive is for.
AGED = date(2025, 10, 1)
DIES_ARCHIVING = "archive.rename.after"
SOON = {"TRADEFLEET_INGESTOR_ROLLOVER_DELAY_S": "60", "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "150"}


@pytest.mark.timeout(400)
def test_day_goes_into_history_while_the_next_is_captured(data_root):
    make_stores(data_root)
    close_day(data_root, AGED, [tick("TCS", at_us(AGED, 600) + n, n, 100.0 + n) for n in range(50)], None)
    aged = ticks_of(data_root, AGED)
    with (
        running_simulator(start="2026-02-02T15:10:00", speed=60, symbols=4) as sim,
        ingestor(data_root, sim, **SOON, TRADEFLEET_CRASH_AT=DIES_ARCHIVING) as captured,
        Witness(captured.settings()) as witness,
    ):
        sim.clock(paused=True)  # its last minutes are few: they wait for who captures them
        captured.start()
        captured.wait_for(lambda status: status["feed"]["state"] == "live", "the feed")
        sim.clock(paused=False)
        captured.wait_for(lambda status: status["capture"]["bars"] >= 4, "bars")
        # The last trade, the closing auction and the delay after them; the rest of the day at once.
        sim.clock(paused=True, play_to="2026-02-02T16:30:00")  # however long it takes, Tuesday does not begin
        status = captured.wait_for(lambda status: status["rollover"]["attempts"], "the rollover")
        assert status["rollover"]["error"] == ""
        assert status["rollover"]["in_history"]
        wait_until(lambda: "market.nse.eod|" in {message.topic for message in witness.candles}, "the word of it")
        monday = stored_seqs(data_root, MONDAY)
        assert len(monday) == status["capture"]["ticks"]

        # It dies over the day that is due, which is then in both places; whoever reads it notices nothing.
        del captured.environment["TRADEFLEET_CRASH_AT"]
        asked = fleet("archive", "--json", **captured.environment)
        assert (asked.returncode, "no day is lost" in asked.stderr) == (1, True), asked.stderr
        assert captured.process.wait(DEADLINE_S) == -9
        pd.testing.assert_frame_equal(ticks_of(data_root, AGED), aged)
        # What comes of a closed day afterwards, as the greeting of a new connection does, is late.
        captured.start()
        sim.clock(paused=False, jump_to="2026-02-03T09:14:00")
        captured.wait_for(lambda status: status["session"]["date"] == str(TUESDAY), "Tuesday")
        captured.wait_for(lambda status: status["capture"]["ticks"] >= 100, "Tuesday's ticks")
        asked = fleet("rollover", "--date", MONDAY, "--json", **captured.environment)
        assert asked.returncode == 0, asked.stderr
        assert '"in_history": true' in asked.stdout
        refused = fleet("rollover", "--date", TUESDAY, **captured.environment)
        assert refused.returncode == 1
        assert "lasts until" in refused.stderr
        archived = fleet("archive", "--json", **captured.environment)
        assert archived.returncode == 0, archived.stderr
        assert [each["day"] for each in json.loads(archived.stdout)["days"]] == [str(AGED)]
        assert not (data_root / f"market_data/nse/ticks/{AGED}.duckdb").exists()
        pd.testing.assert_frame_equal(ticks_of(data_root, AGED), aged)
        assert len(aged) == 50
        assert captured.status()["archive"]["attempts"] == 1
        assert captured.stop() == 0

        assert stored_seqs(data_root, MONDAY) == monday
        said = [message.payload.trading_date for message in witness.candles if message.topic == "market.nse.eod|"]
        assert said == [str(MONDAY)], "once, though the ingestor was started again and asked again"
        tuesday = stored_seqs(data_root, TUESDAY)
        assert tuesday[0] > monday[-1]
        told = [tick.seq for tick in witness.ticks]
        assert told == sorted(set(told))
        assert set(monday) <= set(told)
        with DatabaseManager(data_root).live_buffer_reader() as connections:
            (days,) = connections["ticks"].execute("SELECT count(DISTINCT timestamp::DATE) FROM ticks").fetchall()[0]
        assert days == 1


def ticks_of(data_root, day: date) -> pd.DataFrame:
    with MarketDataQuery(DatabaseManager(data_root)) as query:
        return query.get_ticks("TCS", "nse", day, day + timedelta(days=1))


def stored_seqs(data_root, day: date) -> list[int]:
    """Every tick of a day, wherever it is, as anybody reads it."""
    sql = f"SELECT seq FROM ticks WHERE timestamp::DATE = DATE '{day}' ORDER BY seq"
    done = fleet("query", sql, "--format", "csv", TRADEFLEET_DATA=str(data_root))
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()[1:]]
