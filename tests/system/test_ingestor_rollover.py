"""C5: the living ingestor rolls its day over, captures on, tells of it, and takes nothing into a day that is closed."""

from __future__ import annotations

import json
from datetime import date

from libs.dbaccess import DatabaseManager
from tests.kit.capture_checks import Witness
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import fleet, wait_until

MONDAY, TUESDAY = date(2026, 2, 2), date(2026, 2, 3)
SOON = {"TRADEFLEET_INGESTOR_ROLLOVER_DELAY_S": "60", "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "150"}


def test_day_goes_into_history_while_the_next_is_captured(data_root):
    with (
        running_simulator(start="2026-02-02T15:10:00", speed=60, symbols=8) as sim,
        ingestor(data_root, sim, **SOON) as captured,
        Witness(captured.settings()) as witness,
    ):
        captured.start()
        captured.wait_for(lambda status: status["capture"]["bars"] >= 8, "bars")
        # The last trade, the closing auction and the delay after them; the rest of the day at once.
        sim.clock(play_to="2026-02-02T16:30:00")
        status = captured.wait_for(lambda status: status["rollover"]["attempts"], "the rollover")
        assert status["rollover"]["error"] == ""
        assert status["rollover"]["in_history"]
        wait_until(lambda: "market.nse.eod|" in {message.topic for message in witness.candles}, "the word of it")
        monday = stored_seqs(data_root, MONDAY)
        assert len(monday) == status["capture"]["ticks"]

        # What comes of a closed day afterwards, as the greeting of a new connection does, is late.
        captured.kill()
        captured.start()
        sim.clock(jump_to="2026-02-03T09:14:00")
        captured.wait_for(lambda status: status["session"]["date"] == str(TUESDAY), "Tuesday")
        captured.wait_for(lambda status: status["capture"]["ticks"] >= 100, "Tuesday's ticks")
        asked = fleet("rollover", "--date", MONDAY, "--json", **captured.environment)
        assert asked.returncode == 0, asked.stderr
        assert '"in_history": true' in asked.stdout
        refused = fleet("rollover", "--date", TUESDAY, **captured.environment)
        assert refused.returncode == 1
        assert "lasts until" in refused.stderr
        archived = fleet("archive", "--json", **captured.environment)
        assert (archived.returncode, json.loads(archived.stdout)["days"]) == (0, []), archived.stderr
        assert captured.status()["archive"]["attempts"] == 1
        assert captured.stop() == 0

        assert stored_seqs(data_root, MONDAY) == monday
        tuesday = stored_seqs(data_root, TUESDAY)
        assert tuesday[0] > monday[-1]
        told = [tick.seq for tick in witness.ticks]
        assert told == sorted(set(told))
        assert set(monday) <= set(told)
        with DatabaseManager(data_root).live_buffer_reader() as connections:
            (days,) = connections["ticks"].execute("SELECT count(DISTINCT timestamp::DATE) FROM ticks").fetchall()[0]
        assert days == 1


def stored_seqs(data_root, day: date) -> list[int]:
    """Every tick of a day, wherever it is, as anybody reads it."""
    sql = f"SELECT seq FROM ticks WHERE timestamp::DATE = DATE '{day}' ORDER BY seq"
    done = fleet("query", sql, "--format", "csv", TRADEFLEET_DATA=str(data_root))
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()[1:]]
