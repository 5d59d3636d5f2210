"""The engine on a real trading store and the paper exchange: a signal becomes an order, a trade, a position."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.contracts.market import Tick
from libs.contracts.orders import OrderStatus
from libs.contracts.risk import TradingState
from libs.dbaccess.trading.control import StateChange
from services.execution_engine.deciding import SignalPlace
from tests.kit.crashes import Crash, crashing_at
from tests.kit.engine import engine_rig, make_signal
from tests.kit.orders import MINUTE_US


@pytest.fixture
def rig(tmp_path):
    with engine_rig(tmp_path / "data") as made:
        made.tick(100.0)
        yield made


def test_a_signal_becomes_an_order_a_trade_and_a_position(rig):
    """F1: every step is a row that refers back to the signal."""
    signal = rig.signal("enter_long")
    rig.tick(100.5)

    order_id, status = rig.rows("SELECT order_id, status FROM orders WHERE signal_id_reference = ?", signal.signal_id)[
        0
    ]
    assert status == "filled"
    assert rig.rows("SELECT order_id, quantity, price FROM trades") == [(order_id, 10, 100.55)]
    assert rig.rows("SELECT strategy_id, symbol, quantity FROM positions") == [("trend", "ACME", 10)]
    assert rig.rows("SELECT decision, order_id, outbox_seq FROM processed_signals") == [("approved", order_id, 1)]
    assert rig.rows("SELECT action, outcome FROM execution_log") == [("place", "accepted")]
    assert rig.rows("SELECT fill_us IS NOT NULL, risk_us IS NOT NULL FROM execution_log") == [(1, 1)]


def test_a_signal_that_comes_again_is_decided_once(rig):
    """D1: by id, and by what it says when its parameters gave it another id."""
    signal = rig.signal("enter_long")
    rig.tick(100.0)
    rig.signal("enter_long", signal_id=signal.signal_id)
    rig.signal("enter_long", signal_id="the same bar under other parameters")

    assert len(rig.rows("SELECT 1 FROM orders")) == 1
    assert rig.rows("SELECT decision FROM processed_signals ORDER BY outbox_seq") == [("approved",), ("duplicate",)]
    assert rig.rows("SELECT outbox_seq FROM signal_cursors") == [(3,)]


def test_a_refusal_is_kept_with_its_figures(rig):
    """F2: what risk refused, why, and the numbers."""
    rig.signal("enter_long", symbol="GAMMA")

    assert rig.rows("SELECT check_name, symbol FROM risk_events") == [("instrument", "GAMMA")]
    assert rig.rows("SELECT decision FROM processed_signals") == [("rejected",)]


def test_a_stop_leaves_on_the_tick_that_reaches_it(rig):
    """F3: protective exits wait for nothing."""
    rig.signal("enter_long", stop=99.0)
    rig.tick(100.0)
    assert rig.positions() == {("trend", "ACME"): 10}

    rig.tick(98.5)
    rig.tick(98.4)

    assert rig.positions() == {}
    assert rig.rows("SELECT count(*) FROM exit_plans") == [(0,)]
    assert {row[0] for row in rig.rows("SELECT purpose FROM orders WHERE status = 'filled'")} == {"entry", "exit"}


def test_what_a_tick_made_due_meets_the_ticks_behind_it(rig):
    """Another symbol is half a second ahead when ACME reaches its stop; its next tick is still one behind the stop."""
    rig.signal("enter_long", stop=99.0)
    rig.tick(100.0)
    at_us = rig.clock.now_us()
    ticks = (("BETA", 900, 100.0), ("ACME", 400, 98.9), ("ACME", 700, 98.5))
    for symbol, after_ms, price in ticks:
        tick = Tick(symbol, at_us + after_ms * 1000, price, volume=1_000, bid=price - 0.05, ask=price + 0.05)
        rig.wire.on_tick(tick)
        rig.engine.on_tick(tick)

    assert rig.rows("SELECT created_at_us - ? FROM orders WHERE purpose = 'exit'", at_us) == [(400_000,)]
    assert rig.rows("SELECT timestamp_us - ?, price FROM trades WHERE side = 'sell'", at_us) == [(700_000, 98.45)]


def test_a_quote_of_long_ago_makes_nothing_due_back_then(rig):
    """A symbol that trades seldom is quoted with the time of its last trade: what leaves on it leaves now."""
    rig.signal("enter_long", stop=99.0)
    rig.tick(100.0)
    at_us = rig.clock.now_us()
    rig.tick(100.0, "BETA", seconds=30)
    rig.engine.on_tick(Tick("ACME", at_us, 98.9, volume=0))

    assert rig.rows("SELECT created_at_us - ? FROM orders WHERE purpose = 'exit'", at_us) == [(30_000_000,)]


def test_nothing_is_decided_before_its_bar_was_closed(tmp_path):
    """The last tick before the bar is closed, two seconds after its end, is at 1.9 s; a quote of it comes again."""
    with engine_rig(tmp_path / "data", grace_ms=2000) as rig:
        rig.tick(100.0, seconds=1.9)
        rig.signal("enter_long")
        rig.tick(100.0, seconds=0)
        assert rig.positions() == {}
        rig.tick(100.0, seconds=0.1)

        assert rig.positions() == {("trend", "ACME"): 10}


def test_a_restart_gives_everything_back(tmp_path):
    """F6: positions, guards, profit, cursor and trading state are what they were."""
    root = tmp_path / "data"
    with engine_rig(root, with_charges=True) as first:
        first.tick(100.0)
        first.signal("enter_long", stop=99.0, target=110.0)
        first.tick(100.0)
        first.tick(101.0)
        first.rounds.snapshot("manual")
        before = (first.positions(), first.engine.desk.equity_paise, dict(first.engine.desk.guards))
        cursor, clock = first.engine.cursor, first.clock
    with engine_rig(root, clock=clock, with_charges=True) as second:
        second.engine.desk.on_price("nse", "ACME", 101.0, clock.now_us())
        after = (second.positions(), second.engine.desk.equity_paise, dict(second.engine.desk.guards))

        assert after == before
        assert second.engine.cursor == cursor
        second.tick(98.0)
        second.tick(98.0)
        assert second.positions() == {}


def test_an_order_that_rests_over_a_restart_is_filled_once(tmp_path):
    root = tmp_path / "data"
    with engine_rig(root) as first:
        first.tick(100.0)
        first.signal("enter_long")
        clock = first.clock
    with engine_rig(root, clock=clock) as second:
        second.tick(100.0)
        second.tick(100.0)

        assert second.positions() == {("trend", "ACME"): 10}
        assert len(second.rows("SELECT 1 FROM orders")) == len(second.rows("SELECT 1 FROM trades")) == 1
        assert second.reconciler.take(second.wire.book(), "timer", 0).differences == ()


def test_the_kill_file_halts_and_the_state_survives(tmp_path):
    """F5: nothing is sent while halted; resuming takes a person."""
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        (root / "run").mkdir(exist_ok=True)
        (root / "run" / "KILL").write_text("fat finger\n")
        rig.tick(100.0)
        rig.signal("enter_long")

        assert rig.engine.states.account is TradingState.HALTED
        assert rig.rows("SELECT count(*) FROM orders") == [(0,)]
        assert rig.rows("SELECT reason, cause FROM trading_states") == [("fat finger", "file")]
        clock = rig.clock
    (root / "run" / "KILL").unlink()
    with engine_rig(root, clock=clock) as rig:
        rig.tick(100.0)

        assert rig.engine.states.account is TradingState.HALTED


def test_a_lost_day_stops_entries(tmp_path):
    """F5: the day's loss locks; what is open may still leave."""
    with engine_rig(tmp_path / "data", account_loss_day_max_rupees=50) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        rig.tick(90.0, seconds=60)
        rig.rounds.snapshot("minute")
        rig.rounds.on_time()
        assert rig.engine.states.account is TradingState.ACTIVE, "a snapshot's instant is any: no limit is held to it"
        rig.close_minute()

        assert rig.engine.states.account is TradingState.REDUCING
        assert rig.rows("SELECT kind FROM risk_locks") == [("daily_loss",)]
        rig.tick(100.0, "BETA")
        rig.signal("enter_long", symbol="BETA")
        rig.signal("exit_long")
        (reason,) = rig.rows("SELECT reason FROM processed_signals WHERE symbol = 'BETA'")[0]
        assert reason.startswith("daily_loss: "), "the limit is named, as in a backtest, and not the state it led to"
        rig.tick(90.0)
        assert rig.positions() == {}


def test_a_cancelled_order_is_over(rig):
    rig.signal("enter_long")
    order_id = rig.rows("SELECT order_id FROM orders")[0][0]

    assert rig.engine.cancel(order_id, "asked for")
    rig.tick(100.0)
    assert rig.engine.desk.orders.get(order_id).status is OrderStatus.CANCELLED
    assert rig.positions() == {}


def test_modified_terms_count(rig):
    rig.signal("enter_long")
    order_id = rig.rows("SELECT order_id FROM orders")[0][0]

    rig.engine.change(order_id, 4, None, None)
    rig.tick(100.0)
    assert rig.positions() == {("trend", "ACME"): 4}
    assert rig.rows("SELECT status, quantity FROM orders") == [("filled", 4)]


@pytest.mark.parametrize(
    ("point", "status", "orders"),
    [
        ("engine.intent.before", None, 0),
        ("engine.intent.after", "open", 1),
        ("engine.place.sending", "open", 1),
        ("engine.answer.after", "open", 1),
    ],
)
def test_what_may_have_left_is_told_from_what_did_not(tmp_path, point, status, orders):
    """F6: an intent without `sending` expires; with it, only evidence decides (paper: what may have left rests)."""
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        rig.tick(100.0)
        with pytest.raises(Crash), crashing_at(point):
            rig.signal("enter_long")
        clock = rig.clock
    with engine_rig(root, clock=clock) as rig:
        rig.engine.market.heard(clock.now_us())
        rig.reconciler.take(rig.wire.book(), "start", 0)
        found = rig.rows("SELECT status FROM orders")

        assert [row[0] for row in found] == [status] * orders
        assert len(rig.rows("SELECT 1 FROM processed_signals")) == orders


@pytest.mark.parametrize(
    ("point", "statuses"),
    [
        ("engine.intent.after", ["expired", "open"]),  # the exit may have left; the entry behind it had not its turn
        ("engine.place.sent", ["expired", "open"]),
        ("engine.answer.after", ["expired", "open"]),
    ],
)
def test_what_had_not_its_turn_never_left(tmp_path, point, statuses):
    """Of two orders from one signal only the first is marked `sending` with the decision; the other stays an intent."""
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        with pytest.raises(Crash), crashing_at(point):
            rig.signal("enter_short", signal_id="turn")
        clock = rig.clock
    with engine_rig(root, clock=clock) as rig:
        rig.engine.market.heard(clock.now_us())
        rig.reconciler.take(rig.wire.book(), "start", 0)
        found = rig.rows("SELECT status FROM orders WHERE signal_id_reference = 'turn' ORDER BY purpose")

        assert [row[0] for row in found] == statuses


def test_request_leaves_before_its_events_are_published(rig):
    """What others hear can wait for what must leave; they hear it all, in the sequence it was stored."""
    heard, place = [], rig.engine.wire.place
    rig.engine.store.publish = lambda message: heard.append((message.topic, message.seq))

    def placed(*request):
        heard.append("leaves")
        place(*request)

    rig.engine.wire.place = placed
    rig.signal("enter_long")

    orders = [each[1] for each in heard[1:] if each[0].startswith("order.")]
    assert heard[0] == "leaves"
    assert len(orders) == 3  # intent, sending, answer
    assert orders == sorted(orders)


def test_the_days_counts_survive_a_restart(tmp_path):
    """A limit of trades a day is one of the day, not one of the process."""
    root = tmp_path / "data"
    with engine_rig(root, symbol_trades_day_max=1) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        rig.signal("exit_long")
        rig.tick(100.0)
        clock = rig.clock
    with engine_rig(root, clock=clock, symbol_trades_day_max=1) as rig:
        rig.tick(100.0, seconds=120)
        rig.signal("enter_long", signal_id="again")

        assert rig.rows("SELECT check_name FROM risk_events WHERE kind = 'rejected'") == [("daily_trades",)]


def test_a_cause_that_ends_takes_no_other_with_it(rig):
    """A stale feed that is back must not lift a halt that came for another reason meanwhile."""
    rig.engine.states.tighten(_reducing("stale_feed"))
    rig.engine.states.tighten(_reducing("reject_storm"))
    rig.engine.states.tighten(_reducing("lost_heartbeat"))
    rig.tick(100.0)

    assert rig.engine.states.find(("account", "")).cause == "reject_storm"
    assert rig.engine.states.account is TradingState.REDUCING


def test_a_feed_that_is_back_is_traded_on(rig):
    rig.engine.states.tighten(_reducing("stale_feed"))
    rig.tick(100.0)

    assert rig.engine.states.account is TradingState.ACTIVE
    assert [row[0] for row in rig.rows("SELECT state_to FROM trading_state_changes")] == ["reducing", "active"]


def test_hours_the_broker_gives_later_are_followed(tmp_path):
    """An early close that was learned after the day began: no entries after it, and the square-off comes before it."""
    with engine_rig(tmp_path / "data", square_off=True) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        assert rig.positions() == {("trend", "ACME"): 10}
        session = rig.rounds._session
        assert session is not None
        close_us = rig.clock.now_us() + 60_000_000
        shorter = replace(session, spans=((session.spans[0][0], close_us),))
        rig.rounds._session_of = lambda _day: shorter
        rig.tick(100.0, seconds=61)
        rig.tick(100.0)
        rig.tick(100.0)

        assert not rig.rounds.is_open
        assert rig.engine.desk.gate.state.spans == shorter.spans
        assert all(guard.square_off_us < close_us for guard in rig.engine.desk.guards.values())


def test_another_day_begins(rig):
    """Orders of a day expire with it, its figures are kept, and the next day's begin."""
    rig.signal("enter_long")
    rig.tick(100.0, seconds=86_400)

    assert rig.rows("SELECT status FROM orders") == [("expired",)]
    assert rig.rows("SELECT trading_date FROM trading_days ORDER BY 1") == [("2026-02-02",), ("2026-02-03",)]


def _reducing(cause: str) -> StateChange:
    return StateChange(state=TradingState.REDUCING, cause=cause, reason="a test", set_by="rule", at_us=1)


def test_an_exit_within_a_bar_takes_no_room_from_what_is_decided_behind_it(tmp_path):
    """One request a second may leave: the stop went at the bar's open, a minute before its end and the entry."""
    lives_on_bars = {"paper_fill": "next_bar_open", "exit_source": "bar", "stop_percent": 1.0}
    with engine_rig(tmp_path, order_rate_max=[1, 500, 2000], **lives_on_bars) as rig:
        rig.bar(100.0)
        rig.signal("enter_long")
        rig.clock.advance(60)
        rig.bar(100.0)
        rig.clock.advance(60)
        rig.bar(98.0)
        rig.bar(50.0, "BETA")
        assert rig.positions() == {}
        rig.signal("enter_long", "BETA")

        assert rig.rows("SELECT decision, reason FROM processed_signals WHERE symbol = 'BETA'") == [("approved", "")]


def test_a_tick_at_a_bars_end_is_newer_than_its_close(tmp_path):
    """Exchanges stamp trades by the second: the first of a minute must not be undone by the bar that closes later."""
    with engine_rig(tmp_path) as rig:
        rig.tick(101.0, seconds=0)
        rig.bar(100.0)

        assert rig.engine.desk.gate.state.symbol("nse", "ACME").price == 101.0


def test_an_order_fills_on_no_tick_older_than_its_signal(rig):
    """A signal comes over another socket than the ticks and may overtake those of its own bar: they are the past.

    After a restart the order rests from when it was made, as well; without one it must do no better.
    """
    now_us = rig.clock.now_us()
    bar_end_us = (now_us // MINUTE_US + 1) * MINUTE_US
    signal = replace(make_signal(rig.clock, "enter_long"), timestamp_us=bar_end_us - MINUTE_US)
    rig.engine.on_signal(signal, SignalPlace("store", 1))
    rig.tick(90.0, seconds=1)
    late = rig.positions()
    rig.tick(100.0, seconds=(bar_end_us - rig.clock.now_us()) / 1e6)

    assert late == {}, "bought on a tick of the bar the signal was made of"
    assert rig.rows("SELECT quantity, price FROM trades") == [(10, 100.05)]
