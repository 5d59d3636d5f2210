"""The ingestor as a process: one owner, clear refusals, and faults of the feed that become rows."""

from __future__ import annotations

import pytest

from libs.contracts import Health
from libs.core.clock import SystemClock, day_start_us, trading_date
from libs.dbaccess import DatabaseManager, Role, WriterLockHeld
from libs.messaging import subscribe
from libs.runtime.process import run_service
from services.exchange_sim.market.instruments import Listing
from services.ingestor.service import serve
from tests.kit.capture_checks import Stored
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import DEADLINE_S, wait_until


def test_second_ingestor_is_refused_and_the_first_goes_on(data_root):
    """J3: it says who holds the lock, and takes neither the store nor the sockets."""
    with running_simulator(speed=60, symbols=3, record_ticks=False) as sim, ingestor(data_root, sim) as first:
        first.start()
        first.wait_for(lambda status: status["capture"]["ticks"] > 0, "ticks")
        with ingestor(data_root, sim) as second:
            second.start()
            assert second.process is not None
            assert second.process.wait(DEADLINE_S) == 3
        assert first.process is not None
        assert f"held by process {first.process.pid}" in first.log.read_text()
        with pytest.raises(WriterLockHeld), DatabaseManager(data_root, Role.INGESTOR).live_buffer_writer():
            pass
        before = first.wait_for(lambda status: True, "its status")["capture"]["ticks"]
        first.wait_for(lambda status: status["capture"]["ticks"] > before, "more ticks")
        beat = next(subscribe("telemetry.health.ingestor", settings=first.settings()))

    assert isinstance(beat, Health)
    assert (beat.service, beat.pid, beat.state) == ("ingestor", first.process.pid, "green")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TRADEFLEET_UPSTOX_API_URL": "https://api.upstox.com"}, "this machine only"),
        ({"TRADEFLEET_FEED_MODE": "ltpc"}, "feed.mode"),
        ({"TRADEFLEET_DATA": "{root}/nonexistent"}, "fleet init"),
        ({"TRADEFLEET_UPSTOX_ANALYTICS_TOKEN_FILE": "/nonexistent/token"}, "/nonexistent/token"),
    ],
    ids=["host", "mode", "no root", "no token"],
)
def test_wrong_configuration_is_said_and_not_tried_again(data_root, monkeypatch, capsys, environment, said):
    """I1: supervisord restarts what failed; this would fail for ever. The code of a process is in test_fleet.py."""
    own = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_RUNTIME_START_SECONDS": "0"} | environment
    for name, value in own.items():
        monkeypatch.setenv(name, value.format(root=data_root))

    assert run_service("ingestor", serve, SystemClock()) == 78
    assert said in capsys.readouterr().err


def test_faults_of_the_feed_become_rows_and_no_bars(data_root):
    """C4: a lost connection is a gap with its end; a price from nowhere and bytes that are none are in quarantine."""
    with (
        running_simulator(speed=30, symbols=4, record_ticks=False) as sim,
        ingestor(data_root, sim, TRADEFLEET_FEED_BACKOFF_MIN_MS="100") as captured,
    ):
        captured.start()
        captured.wait_for(lambda status: status["capture"]["ticks"] > 50, "ticks")
        key = Listing(4, 7).instruments[0].key
        sim.add_fault("price_spike", instrument_key=key, factor=3.0, count=1)
        sim.add_fault("garbage", count=1)
        captured.wait_for(lambda status: status["capture"]["quarantined"] >= 2, "quarantine")
        sim.add_fault("close", stream="market", code=1000)
        captured.wait_for(lambda status: status["feed"]["connects"] >= 2, "another connection after code 1000")
        sim.add_fault("disconnect", stream="market", duration_s=1.0)
        captured.wait_for(lambda status: status["session"]["gap_since_us"] > 0, "a gap that lasts")
        captured.wait_for(
            lambda status: status["feed"]["connects"] >= 3 and not status["session"]["gap_since_us"], "its end"
        )
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 4, "bars")
        assert captured.stop() == 0
    stored = Stored(data_root)
    causes = [cause for _, _, cause in stored.gaps]

    assert causes[0] == "start"
    assert causes.count("disconnect") >= 2
    assert all(to_us > from_us for from_us, to_us, _ in stored.gaps)
    assert {reason for _, reason, _ in stored.quarantine} == {"jump", "unreadable"}
    reliance = stored.candles[stored.candles["symbol"] == "RELIANCE"]
    assert reliance["high"].max() < 1.25 * reliance["low"].min()
    assert {trading_date(int(us)) for us in stored.ticks["us"]} == {
        trading_date(day_start_us(trading_date(1_770_003_900_000_000)))
    }


def test_new_token_is_used_at_the_next_connect(data_root, tmp_path):
    """The token dies in mid-session; a new one in the file is enough."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    with running_simulator(speed=30, symbols=2, record_ticks=False) as sim:
        token.write_text(sim.token("analytics"))
        with ingestor(
            data_root, sim, TRADEFLEET_UPSTOX_ANALYTICS_TOKEN_FILE=str(token), TRADEFLEET_FEED_BACKOFF_MIN_MS="100"
        ) as captured:
            captured.start()
            captured.wait_for(lambda status: status["capture"]["ticks"] > 0, "ticks")
            sim.add_fault("token_death")
            captured.wait_for(lambda status: status["feed"]["refusals"] > 0, "a refusal")
            token.write_text(sim.token("analytics"))
            captured.wait_for(lambda status: status["feed"]["connects"] >= 2, "a connection with the new token")
            assert wait_until(lambda: sim.state()["connections"], "the simulator to see it")
