"""C1: a recorded day through the real ingestor comes out as it went in, and never into the root it comes from."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from cli.replay import play
from libs.core.errors import Refused
from libs.runtime.process import WrongConfiguration
from services.ingestor.recording import check_recording
from tests.kit.capture_checks import Stored
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.roots import settings
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths

DAY = date(2026, 2, 2)
TICKS = ["symbol", "us", "price", "volume", "volume_day"]
CANDLES = ["symbol", "timeframe", "us", "open", "high", "low", "close", "volume"]


def test_a_recorded_day_is_replayed_as_it_was(data_root, tmp_path):  # noqa: F811  # the short one
    """Joined in mid-session, cut off once, with a price that was refused: ticks and candles are the same again."""
    with (
        running_simulator(speed=90, symbols=4, record_ticks=False) as sim,
        ingestor(data_root, sim, TRADEFLEET_FEED_BACKOFF_MIN_MS="100") as captured,
    ):
        captured.start()
        captured.wait_for(lambda status: status["capture"]["ticks"] > 100, "ticks")
        sim.add_fault("price_spike", factor=3.0, count=1)
        sim.add_fault("disconnect", stream="market", duration_s=1.0)
        captured.wait_for(lambda status: status["feed"]["connects"] >= 2, "another connection")
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 6, "minutes")
        assert captured.stop() == 0
    into = tmp_path / "r"
    found = play(data_root, DAY, into, timeout_s=120)
    again = play(data_root, DAY, into, timeout_s=120)
    before, after = Stored(data_root), Stored(into)

    assert len(before.ticks) > 200
    pd.testing.assert_frame_equal(before.ticks[TICKS], after.ticks[TICKS])
    pd.testing.assert_frame_equal(before.candles[CANDLES], after.candles[CANDLES])
    assert found["ticks"] == len(before.ticks)
    assert again["ticks"] == again["bars"] == 0, "what is there already is not replayed twice"
    with pytest.raises(Refused, match="own data root"):
        play(data_root, DAY, data_root)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"TRADEFLEET_REPLAY_ROOT": "{root}"}, "replay into another"),
        ({"TRADEFLEET_REPLAY_ROOT": "{root}/inside"}, "replay into another"),
        ({"TRADEFLEET_REPLAY_ROOT": ""}, "replay.root"),
        ({"TRADEFLEET_REPLAY_ROOT": "/other", "TRADEFLEET_REPLAY_DATE": "yesterday"}, "YYYY-MM-DD"),
        ({"TRADEFLEET_REPLAY_ROOT": "/other", "TRADEFLEET_PROFILE": "live"}, "live"),
    ],
)
def test_what_must_not_be_replayed_is_refused_before_anything_is_opened(tmp_path, given, said):  # noqa: F811
    """A day replayed into its own root would be written behind itself."""
    environment = {
        "TRADEFLEET_DATA": str(tmp_path), "TRADEFLEET_INGESTOR_FEED": "replay", "TRADEFLEET_REPLAY_DATE": "2026-02-02",
    } | {name: value.format(root=tmp_path) for name, value in given.items()}  # fmt: skip

    with pytest.raises(WrongConfiguration, match=said):
        check_recording(settings(**environment))
