"""F6: a start gives everything back, and what it costs does not grow with all that was ever traded."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pytest

from libs.core.clock import US_PER_DAY
from libs.dbaccess import DatabaseManager, Role, Store
from libs.dbaccess.trading import load, rows
from libs.dbaccess.trading.holdings import read_rows
from libs.orders.positions import PositionBook
from libs.simulation.clock import ManualClock
from services.scanner.store import SignalsStore
from tests.kit.engine import START_US, SYMBOLS, engine_rig
from tests.kit.orders import MINUTE_US

_TABLES = {
    "orders": ("order_id", "replaces", "created_at_us", "sending_at_us", "updated_at_us"),
    "broker_orders": ("broker_order_id", "order_id", "first_seen_us", "updated_at_us"),
    "trades": ("broker_order_id", "trade_id", "order_id", "timestamp_us", "recorded_at_us"),
}


def round_trip(rig, strategy="trend") -> None:
    for kind in ("enter_long", "exit_long"):
        rig.signal(kind, strategy_id=strategy)
        rig.tick(100.0)


def multiply(connection: sqlite3.Connection, times: int) -> None:
    """Let the one round trip there is have been made on each of so many days before."""
    for table, names in _TABLES.items():
        found = read_rows(connection, f"SELECT * FROM {table}")
        earlier = [before(row, names, number) for row in found for number in range(1, times + 1)]
        places = ", ".join("?" * len(found[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", earlier)
    for name in ("profit_realised_paise", "fees_paise", "trades"):
        connection.execute(f"UPDATE positions SET {name} = {name} * {times + 1}")


def before(row: dict[str, Any], names: tuple[str, ...], days: int) -> tuple[Any, ...]:
    changed = dict(row)
    for name in names:
        if row[name] is not None:
            changed[name] = row[name] - days * US_PER_DAY if name.endswith("_us") else f"{days}-{row[name]}"
    if "trading_date" in row:
        changed["trading_date"] = str(date.fromisoformat(row["trading_date"]) - timedelta(days))
    return tuple(changed.values())


def steps_of_load(path) -> int:
    """Count what SQLite executes for a start, in hundreds of its instructions."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 100)
        load(connection)
    return steps


def test_a_start_costs_what_is_open_and_today_whatever_was_before(tmp_path):
    """Counted in SQLite's own instructions and in objects made: years of trades add nothing to either."""
    found = {}
    for times in (20, 1_000):
        root = tmp_path / f"data{times}"
        with engine_rig(root, with_charges=True) as rig:
            rig.tick(100.0)
            round_trip(rig)
            rig.rounds.snapshot("minute")
        path = root / "trading" / "trading.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            multiply(connection, times)
            trades = connection.execute("SELECT count(*), sum(fees_paise) FROM trades").fetchone()
        with engine_rig(root, with_charges=True, clock=ManualClock(START_US + 10 * MINUTE_US)) as rig:
            [position] = list(rig.engine.desk.positions)
            desk = rig.engine.desk
            found[times] = (steps_of_load(path), len(desk.positions._seen), len(list(desk.orders)))
            assert trades == (2 * (times + 1), position.fees_paise), "what was before still counts"
            assert rig.engine.desk.equity_paise == 1_000_000_00 + position.realised_paise - position.fees_paise
            rig.tick(100.0)
            round_trip(rig)
            assert rig.rows("SELECT trades, quantity FROM positions") == [(2 * (times + 1) + 2, 0)]

    (few, *objects), (many, *same) = found[20], found[1_000]
    assert objects == same == [2, 2]
    assert many <= few * 1.1, found


@pytest.mark.parametrize("seed", range(2))
def test_positions_read_back_are_the_sum_of_all_fills(tmp_path, seed):
    """Over nights, turned round, closed and opened again: the short way back and the long one give the same."""
    rng, clock, lives = random.Random(seed), ManualClock(START_US), 4
    for _ in range(lives):
        with engine_rig(tmp_path / "data", clock=clock, with_charges=True) as rig:
            held = sorted(rig.engine.desk.positions, key=lambda each: each.key)
            compare(rig.engine.store.session.connection, held)
            for symbol in SYMBOLS:
                rig.tick(100.0, symbol)
            for _ in range(6):
                symbol, strategy = rng.choice(SYMBOLS), rng.choice(["trend", "revert"])
                kind = rng.choice(["enter_long", "enter_short", "exit_long", "exit_short"])
                rig.signal(kind, symbol, strategy_id=strategy, signal_id=f"{seed}-{rig.seq}", leg=rig.seq)
                rig.tick(rng.randrange(9_900, 10_100, 5) / 100, symbol)
            if rng.random() < 0.7:
                clock.advance(US_PER_DAY / 1e6)


def compare(connection: sqlite3.Connection, held) -> None:
    book = PositionBook(
        rows.fill_of(row) for row in read_rows(connection, "SELECT * FROM trades WHERE status = 'filled'")
    )
    whole = sorted(book, key=lambda each: each.key)
    figures = [(p.key, p.quantity, p.cost_paise, p.realised_paise, p.fees_paise) for p in whole]
    assert [(p.key, p.quantity, p.cost_paise, p.realised_paise, p.fees_paise) for p in held] == figures
    assert [p.opened_us for p in held if p.quantity] == [p.opened_us for p in whole if p.quantity]


def test_what_fills_after_a_restart_is_guarded_by_its_signal(tmp_path):
    """An entry at work while the engine was down must not become a position nobody would leave at its stop."""
    clock = ManualClock(START_US)
    with engine_rig(tmp_path, clock=clock) as rig:
        rig.tick(100.0, seconds=0)
        said = rig.signal("enter_long", stop=95.0, target=110.0)
    scanner = DatabaseManager(tmp_path, Role.SCANNER, clock=clock)
    with scanner.writer_session(Store.SIGNALS) as session:
        SignalsStore(session, clock).decide("nse", said.timestamp_us, [said])

    with engine_rig(tmp_path, clock=clock) as rig:
        rig.tick(100.0)
        (guard,) = rig.engine.desk.guards.values()
        assert rig.positions() == {("trend", "ACME"): 10}
        assert (guard.stop, guard.target) == (95.0, 110.0)


@pytest.mark.parametrize(("prices", "is_trailed"), [([100.0, 100.5], False), ([100.0, 104.0], True)])
def test_a_stop_is_called_what_it_is_after_a_restart(tmp_path, prices, is_trailed):
    """A stop of 1 % that the trail of 2 % has not passed yet stays one: its exit is named by its reason."""
    clock = ManualClock(START_US)
    rules = {"stop_percent": 1.0, "trail_percent": 2.0}
    with engine_rig(tmp_path, clock=clock, **rules) as rig:
        rig.tick(100.0, seconds=0)
        rig.signal("enter_long")
        for price in prices:
            rig.tick(price)
        rig.clock.advance(2)
        rig.rounds.on_time()
        before = dict(rig.engine.desk.guards)

    with engine_rig(tmp_path, clock=clock, **rules) as rig:
        assert rig.engine.desk.guards == before
        assert [guard.is_trailed for guard in before.values()] == [is_trailed]
