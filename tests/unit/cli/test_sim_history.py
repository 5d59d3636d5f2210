"""`fleet sim history`: the same past every time, and the one the simulator itself answers with."""

from __future__ import annotations

from datetime import date

from cli.sim_history import candles
from libs.settings import load_settings

LAST = date(2026, 2, 2)


def test_the_past_is_the_same_every_time_and_ends_where_it_was_asked_to():
    settings = load_settings(environment={"TRADEFLEET_EXCHANGE_SIM_SYMBOLS": "5"})
    table = candles(settings, 5, 2, LAST)

    assert table.equals(candles(settings, 5, 2, LAST))
    days = {each.date() for each in table["timestamp"].to_pylist()}
    assert days == {date(2026, 1, 29), date(2026, 1, 30), LAST}
    assert len(set(table["symbol"].to_pylist())) == 3, "two shares and the index"
    assert table.num_rows > 2 * 3 * 360


def test_another_seed_is_another_past():
    first, second = (
        candles(load_settings(environment={"TRADEFLEET_EXCHANGE_SIM_SEED": seed}), 1, 1, LAST) for seed in ("7", "8")
    )

    assert not first.equals(second)
