"""The order journal's rules through the real engine: what is written when, and what counts as evidence."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest

from libs.brokers.interface import Answer
from libs.contracts.orders import OrderStatus, Side
from libs.contracts.risk import TradingState
from libs.core.errors import Refused, RetryLater
from libs.dbaccess import DatabaseManager, Role
from libs.orders import evidence as ev
from libs.orders.model import Fill, Order, Product, Purpose, order_id
from libs.orders.reconcile import BrokerBook
from libs.simulation.clock import ManualClock
from services.execution_engine.comparing import Comparing
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.signals import SignalSource
from tests.kit.crashes import Crash, crashing_at
from tests.kit.engine import START_US, Rig, engine_rig, make_signal
from tests.kit.engine_commands import LostWire, ask, handlers, rest
from tests.kit.orders import MINUTE_US
from tests.kit.roots import make_stores

EMPTY = BrokerBook(orders=(), trades=(), positions={})


@pytest.fixture
def rig(tmp_path):
    with engine_rig(tmp_path / "data") as made:
        made.tick(100.0)
        yield made


# -- the journal ------------------------------------------------------------------------------------------------------


class LookingWire(LostWire):
    """Looks into the store, beside its writer, at the instant a request leaves; and never answers."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.seen: list[tuple[str, int]] = []

    def place(self, order: Order, approved: Any) -> None:
        reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        sql = "SELECT status, sending_at_us IS NOT NULL FROM orders WHERE order_id = ?"
        self.seen += reader.execute(sql, (order.order_id,)).fetchall()
        reader.close()
        super().place(order, approved)


def test_sending_is_durable_before_the_request_leaves_and_it_leaves_once(tmp_path):
    """Another process sees `sent` before the broker can have the order; no time, tick or restart sends it again."""
    root = tmp_path / "data"
    wire = LookingWire(root / "trading" / "trading.db")
    with engine_rig(root, wire=wire) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        for _ in range(5):
            rig.tick(100.0, seconds=60)
        clock = rig.clock
    with engine_rig(root, clock=clock, wire=wire) as rig:
        rig.tick(100.0, seconds=60)

        assert rig.rows("SELECT status FROM orders") == [("unknown",)]
    assert wire.seen == [("sent", 1)]
    assert wire.sent == 1


def test_an_error_is_no_evidence_of_absence(tmp_path):
    """The broker says nothing of the order, or cannot be asked: it stays unknown, and only its own word ends it."""
    with engine_rig(tmp_path / "data", wire=LostWire()) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        (name,) = rig.rows("SELECT order_id FROM orders")[0]
        for _ in range(3):
            rig.reconciler.take(EMPTY, "timer", 0)
        rig.reconciler.failed("timer", 0, RetryLater("503"))
        assert rig.rows("SELECT status FROM orders") == [("unknown",)]
        assert rig.rows("SELECT outcome FROM reconciliations ORDER BY 1") == [("equal",), ("failed",)] + [
            ("raised",)
        ] * 2  # fmt: skip
        assert rig.rows("SELECT state, detail FROM broker_sync_state") == [("unreachable", "503")]

        shown = _row(name, "b1", OrderStatus.OPEN, rig.clock.now_us())
        rig.reconciler.take(msgspec.structs.replace(EMPTY, orders=(shown,)), "timer", 0)
        assert rig.rows("SELECT status FROM orders") == [("open",)]


def test_more_filled_than_traded_waits_for_the_trades(tmp_path):
    """Positions come of trades alone; what the broker's figure says is pending until they are shown."""
    with engine_rig(tmp_path / "data", wire=LostWire()) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        order = next(iter(rig.engine.desk.orders))
        filled = _row(order.order_id, "b1", OrderStatus.FILLED, rig.clock.now_us(), filled=10)
        rig.engine.reported([filled])
        assert rig.engine.desk.orders.get(order.order_id).fill_pending == 10
        assert rig.positions() == {}
        assert not rig.engine.desk.orders.get(order.order_id).is_settled

        for trade in (_fill("b1", "t1", 4, rig), _fill("b1", "t1", 4, rig), _fill("b1", "t2", 6, rig)):
            rig.engine.reported([ev.TradeReport(at_us=rig.clock.now_us(), fill=trade)])
        assert rig.positions() == {("trend", "ACME"): 10}
        assert rig.engine.desk.orders.get(order.order_id).is_settled
        assert rig.rows("SELECT count(*), sum(quantity) FROM trades") == [(2, 10)]


class EarlyWire(LostWire):
    """Fills before it answers, and takes its time for both."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock

    def place(self, order: Order, approved: Any) -> None:
        sent_ns = self.clock.monotonic_ns()
        filled = _row(order.order_id, "b1", OrderStatus.FILLED, order.created_us, filled=10)
        fill = Fill(
            exchange="nse", broker_order_id="b1", trade_id="t1", symbol=order.symbol, side=order.side, quantity=10,
            price=100.0, timestamp_us=order.created_us, product=order.product,
        )  # fmt: skip
        self.clock.advance(0.002)
        self.reported([filled, ev.TradeReport(at_us=order.created_us, fill=fill)])
        self.clock.advance(0.003)
        accepted = ev.Accepted(at_us=order.created_us, broker_order_ids=("b1",))
        self.answered(
            Answer(
                order_id=order.order_id, request="place", evidence=accepted, outcome="accepted", sent_ns=sent_ns,
                answered_ns=self.clock.monotonic_ns(),
            )
        )  # fmt: skip


def test_every_step_of_an_order_has_its_microseconds(tmp_path):
    """F1: from the signal's bar to the fill, one row; also where the exchange was quicker than the answer."""
    clock = ManualClock(START_US)
    with engine_rig(tmp_path / "data", clock=clock, wire=EarlyWire(clock)) as rig:
        rig.tick(100.0)
        signal = rig.signal("enter_long")
        names = "tick_us, risk_us, journal_us, send_us, fill_us, acknowledge_us, total_us, outcome"
        rows = rig.rows(f"SELECT {names} FROM execution_log")
        assert rig.positions() == {("trend", "ACME"): 10}

    assert rows == [(signal.timestamp_us + MINUTE_US, 0, 0, 0, 2_000, 5_000, 5_000, "accepted")]


def _row(name: str, broker_id: str, status: OrderStatus, at_us: int, *, filled: int = 0) -> ev.BrokerReport:
    return ev.BrokerReport(
        at_us=at_us, broker_order_id=broker_id, status=status, quantity=10, quantity_filled=filled, tag=name
    )


def _fill(broker_id: str, trade_id: str, quantity: int, rig: Rig, symbol: str = "ACME") -> Fill:
    return Fill(
        exchange="nse", broker_order_id=broker_id, trade_id=trade_id, symbol=symbol, side=Side.BUY,
        quantity=quantity, price=100.0, timestamp_us=rig.clock.now_us(), product=Product.INTRADAY,
    )  # fmt: skip


# -- replacements -----------------------------------------------------------------------------------------------------


def test_an_order_is_replaced_by_what_it_did_not_trade(rig):
    """Cancelled first, with its trades all there; then what is left goes out at the new price, once."""
    first = rest(rig, quantity=10)
    rig.engine.reported([ev.TradeReport(at_us=rig.clock.now_us(), fill=_fill(f"paper-{first}", "t1", 4, rig))])
    second = ask(rig, "replace", order_id=first, price=101.0)["order_id"]
    rig.rounds.on_time()
    again = ask(rig, "replace", order_id=first, price=101.0)
    rig.tick(100.5)

    assert again == {"order_id": second}
    assert rig.rows("SELECT order_id, status, quantity, quantity_traded FROM orders ORDER BY rowid") == [
        (first, "cancelled", 10, 4), (second, "filled", 6, 6)
    ]  # fmt: skip
    assert rig.rows("SELECT replaces FROM orders WHERE order_id = ?", second) == [(first,)]
    assert rig.positions() == {("trend", "ACME"): 10}
    assert rig.rows("SELECT state FROM commands") == [("done",)]


@pytest.mark.parametrize(
    ("point", "hit"),
    [
        ("engine.command.accepted", 1), ("engine.cancel.sending", 1), ("engine.cancel.sent", 1),
        ("engine.replace.before", 1), ("engine.replace.after", 1), ("engine.place.sending", 2),
        ("engine.answer.after", 3),
    ],
)  # fmt: skip
def test_a_replacement_that_was_cut_off_is_one(point, hit, tmp_path):
    """A kill anywhere between the two orders buys nothing twice, and the command is ended or goes on."""
    root = tmp_path / "data"
    with engine_rig(root) as rig, crashing_at(point, hit):
        rig.tick(100.0)
        first = rest(rig)
        with pytest.raises(Crash):
            ask(rig, "replace", order_id=first, price=101.0)
            rig.rounds.on_time()
        clock = rig.clock
    with engine_rig(root, clock=clock) as rig:
        rig.engine.market.heard(clock.now_us())
        rig.reconciler.take(rig.wire.book(), "start", 0)
        handlers(rig).resume_unfinished()
        for _ in range(3):
            rig.tick(100.5, seconds=11)  # a cancel whose answer was lost is sent again

        assert rig.positions() in ({("trend", "ACME"): 10}, {})
        bought = rig.rows("SELECT coalesce(sum(quantity), 0) FROM trades")[0][0]
        assert bought == sum(rig.positions().values())
        # An intent that never left has expired: the operator is told, and asks again if he wants to.
        assert (bought == 10) == (point != "engine.replace.after")
        assert rig.rows("SELECT state FROM commands") == [("done" if bought else "failed",)]
        assert len(rig.rows("SELECT 1 FROM orders")) == 2


def test_what_is_filled_or_not_allowed_is_not_replaced(rig):
    """The cancel lost the race, or risk says no to the new price: the command says so, and nothing goes out."""
    first = rest(rig, price=101.0)
    rig.tick(100.0)
    with pytest.raises(Refused, match="nothing is left to replace"):
        for _ in range(2):  # the first answer is that it is under way, the second how it ended
            ask(rig, "replace", "filled", order_id=first, price=99.0)
    rig.signal("enter_long", strategy_id="revert")
    other = next(order for order in rig.engine.desk.orders if order.strategy_id == "revert")
    ask(rig, "replace", "far", order_id=other.order_id, price=500.0)
    rig.rounds.on_time()

    assert rig.rows("SELECT state, answer_json LIKE '%price_band%' FROM commands WHERE command_id = 'far'") == [
        ("refused", 1)
    ]
    assert rig.engine.desk.orders.get(other.order_id).status is OrderStatus.CANCELLED
    assert len(rig.rows("SELECT 1 FROM orders")) == 2


# -- reconciliation ---------------------------------------------------------------------------------------------------


class Shown:
    """A broker whose books are what the test says; readings are answered when it says so."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.book: Any = None
        self.waiting: list[Any] = []
        self.is_back = False

    def read_book(self, then: Any) -> None:
        self.waiting.append(then)

    def take_reconnected(self) -> bool:
        found, self.is_back = self.is_back, False
        return found

    def answer(self) -> None:
        for then in list(self.waiting):
            self.waiting.remove(then)
            then(self.book or self._wire.book())


def test_books_are_compared_at_the_start_after_a_reconnect_and_by_the_clock(rig):
    """Each is a row with its cause; a reading that failed is one, too, and is tried again until there was one."""
    broker = Shown(rig.wire)
    comparing = Comparing(broker, rig.reconciler, rig.clock, interval_s=30)
    comparing.begin("start")
    assert not comparing.is_done_once
    broker.book = RetryLater("no route")
    broker.answer()
    assert not comparing.is_done_once, "an error is no comparison"
    rig.clock.advance(3)
    comparing.on_time()
    broker.book = None
    broker.answer()
    assert comparing.is_done_once
    broker.is_back = True
    comparing.on_time()
    comparing.begin("command")  # comes meanwhile: done afterwards
    broker.answer()
    broker.answer()
    rig.clock.advance(29)
    comparing.on_time()
    assert not broker.waiting
    rig.clock.advance(2)
    comparing.on_time()
    broker.answer()

    assert rig.rows("SELECT cause, outcome FROM reconciliations ORDER BY reconciliation_id") == [
        ("start", "failed"), ("start", "equal"), ("reconnect", "equal"), ("command", "equal"), ("timer", "equal")
    ]  # fmt: skip


def test_a_difference_is_believed_when_the_next_reading_shows_it_again(rig):
    """Orders, trades and positions are three requests, and trading goes on between them."""
    rig.signal("enter_long")
    rig.tick(100.0)
    broker = Shown(rig.wire)
    comparing = Comparing(broker, rig.reconciler, rig.clock, interval_s=30)
    broker.book = msgspec.structs.replace(rig.wire.book(), positions={("nse", "ACME", Product.INTRADAY): 0})
    comparing.begin("timer")
    broker.answer()
    assert rig.rows("SELECT count(*) FROM reconciliation_differences") == [(0,)]
    broker.book = None  # the second reading shows what is
    broker.answer()

    assert rig.rows("SELECT outcome FROM reconciliations") == [("equal",)] * 2
    assert rig.engine.states.account is TradingState.ACTIVE


@pytest.mark.parametrize(
    ("shows", "row"),
    [
        ("repair", ("trade", "repaired", "the broker's word is evidence")),
        ("no order", ("order", "raised", "missing_at_broker")),
        ("our tag", ("order", "raised", "not_in_journal")),
        ("no trade", ("trade", "raised", "trade_missing_at_broker")),
        ("stray trade", ("trade", "raised", "unexplained_trade")),
        ("position", ("position", "raised", "position")),
        ("stranger", ("foreign_order", "raised", "foreign_fill")),
    ],
)
def test_each_difference_is_a_row(shows, row, rig):
    """Orders, trades and positions: repaired by rule or raised to a person, and entries end where it may cost money."""
    rig.signal("enter_long")
    rig.tick(100.0)
    rig.tick(100.0, symbol="BETA")
    rig.signal("enter_long", symbol="BETA")  # rests
    book = _bent(rig, shows)
    for _ in range(2):
        rig.reconciler.take(book, "timer", 0, funds_paise=123)
    rig.rounds.on_time()

    assert row in rig.rows("SELECT kind, resolution, rule FROM reconciliation_differences")
    assert rig.rows("SELECT funds_paise FROM broker_sync_state") == [(123,)]
    scope = ("instrument", "nse:ACME") if shows == "stranger" else ("account", "")
    assert (rig.engine.states.find(scope).state is TradingState.ACTIVE) == (shows == "repair")
    assert rig.positions() == {("trend", "ACME"): 10} | ({("trend", "BETA"): 10} if shows == "repair" else {})


def _bent(rig: Rig, shows: str) -> BrokerBook:
    """The paper broker's book, as if it said otherwise."""
    book, now_us = rig.wire.book(), rig.clock.now_us()
    key = ("nse", "ACME", Product.INTRADAY)
    resting = next(row for row in book.orders if row.status is OrderStatus.OPEN)
    changes: dict[str, Any] = {}
    match shows:
        case "repair":
            trade = _fill(resting.broker_order_id, "t9", 10, rig, "BETA")
            held = {**book.positions, ("nse", "BETA", Product.INTRADAY): 10}
            changes = {"trades": (*book.trades, trade), "positions": held}
        case "no order":
            changes = {"orders": tuple(row for row in book.orders if row is not resting)}
        case "our tag":
            name = order_id(signal_id="never written", purpose=Purpose.ENTRY)
            changes = {"orders": (*book.orders, _row(name, "b9", OrderStatus.OPEN, now_us))}
        case "no trade":
            changes = {"trades": ()}
        case "stray trade":
            changes = {"trades": (*book.trades, _fill("nobody", "t9", 5, rig, "GAMMA"))}
        case "position":
            changes = {"positions": {key: 7}}
        case "stranger":
            stranger = _row("", "theirs", OrderStatus.FILLED, now_us, filled=5)
            trades = tuple(_fill("theirs", f"t{n}", 5, rig) for n in (8, 9))  # two, of one size
            changes = {"orders": (*book.orders, stranger), "trades": trades + book.trades, "positions": {key: 20}}
    return msgspec.structs.replace(book, **changes)


def test_foreign_fills_where_we_hold_are_adjustments_each(rig):
    """They are no trades of ours and move no position of ours; each is on record, and the instrument only reduces."""
    rig.signal("enter_long")
    rig.tick(100.0)
    rig.tick(100.0, symbol="BETA")
    rig.signal("enter_long", symbol="BETA")
    for _ in range(2):
        rig.reconciler.take(_bent(rig, "stranger"), "timer", 0)
    rig.rounds.on_time()
    rig.signal("enter_long", strategy_id="revert", signal_id="another")

    assert rig.rows("SELECT quantity FROM adjustments") == [(5,), (5,)]
    assert rig.rows("SELECT count(*) FROM reconciliation_differences WHERE rule = 'foreign_fill'") == [(2,)]
    assert rig.positions() == {("trend", "ACME"): 10}
    assert rig.rows("SELECT decision FROM processed_signals WHERE strategy_id = 'revert'") == [("rejected",)]


def test_what_the_fleet_did_not_place_is_left_alone(rig):
    """Orders of the account's owner, in instruments we do not hold: seen, never touched, no reason to stop."""
    theirs = _row("", "theirs", OrderStatus.OPEN, rig.clock.now_us(), filled=5)
    trade = _fill("theirs", "t1", 5, rig, "GAMMA")
    book = BrokerBook(orders=(theirs,), trades=(trade,), positions={("nse", "GAMMA", Product.INTRADAY): 5})
    for _ in range(3):
        assert rig.reconciler.take(book, "timer", 0).outcome == "equal"
    ask(rig, "halt", reason="fire drill", flatten=True)
    rig.tick(100.0)

    assert rig.rows("SELECT count(*) FROM orders") == rig.rows("SELECT count(*) FROM adjustments") == [(0,)]
    assert rig.positions() == {}
    assert rig.rows("SELECT state FROM commands") == [("done",)], "a flatten closes ours, and waits for nothing else"


# -- signals ----------------------------------------------------------------------------------------------------------


def store_signals(rig: Rig, *names: str, first: int = 1) -> None:
    """Write signals as the scanner does: one strategy each, on the minute that ended last."""
    manager = DatabaseManager(rig.settings.data_root, Role.SCANNER, settings=rig.settings, clock=rig.clock)
    with manager.signals_writer() as connection:
        for number, name in enumerate(names, first):
            made = make_signal(rig.clock, "enter_long", signal_id=f"id {name}", strategy_id=name)
            connection.execute(
                "INSERT INTO signals (signal_id, outbox_seq, strategy_id, exchange, symbol, timeframe, timestamp_us, "
                "signal_type, confidence, created_at_us) VALUES (?, ?, ?, 'nse', 'ACME', '1m', ?, 'enter_long', 1, 1)",
                (made.signal_id, number, name, made.timestamp_us),
            )


def test_a_wiped_signals_store_is_noticed_and_read_again(rig):
    """Another uuid: its places mean nothing. Today is read anew; what was decided stays decided, what is new is not."""
    reader = DatabaseManager(rig.settings.data_root, Role.EXECUTION_ENGINE, settings=rig.settings, clock=rig.clock)
    is_open = []
    source = SignalSource(reader, rig.engine, may_begin=lambda: bool(is_open))
    store_signals(rig, "one", "two", "three")
    assert source.catch_up() == 0, "before the first comparison no signal is taken"
    is_open.append(True)
    assert (source.catch_up(), source.catch_up()) == (3, 0)
    before = rig.engine.cursor
    for path in (reader.layout.root / "signals").glob("signals.db*"):
        path.unlink()
    make_stores(reader.layout.root)
    store_signals(rig, "two", "four")  # recomputed in another sequence; fewer than the cursor has seen
    assert (source.catch_up(), source.catch_up()) == (2, 0)

    assert source.rescans == 2  # the first store we ever saw, and the one that took its place
    assert rig.engine.cursor.store_uuid != before.store_uuid
    assert rig.engine.cursor.outbox_seq == 2
    assert sorted(row[0] for row in rig.rows("SELECT strategy_id FROM orders")) == ["four", "one", "three", "two"]


def test_a_late_entry_is_stale_and_a_late_exit_still_counts(rig):
    rig.signal("enter_long")
    rig.tick(100.0)
    rig.clock.advance(3600)
    rig.tick(100.0)
    late = rig.clock.now_us() // MINUTE_US * MINUTE_US - 30 * MINUTE_US
    for kind, strategy in (("enter_long", "revert"), ("exit_long", "trend")):
        made = msgspec.structs.replace(make_signal(rig.clock, kind, strategy_id=strategy), timestamp_us=late)
        rig.seq += 1
        rig.engine.on_signal(made, SignalPlace("store", rig.engine.cursor.outbox_seq + 1))
    rig.tick(100.0)

    assert rig.rows("SELECT decision FROM processed_signals ORDER BY outbox_seq") == [
        ("approved",), ("stale",), ("approved",)
    ]  # fmt: skip
    assert rig.positions() == {}


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_the_account_is_written_each_minute_and_at_the_close(tmp_path):
    """A3: equity, cash and exposure by the minute of the market, and once when the session is over."""
    with engine_rig(tmp_path / "data") as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        for _ in range(4):
            rig.tick(102.0, seconds=30)
        rig.tick(102.0, seconds=6 * 3600)
        rows = rig.rows(
            "SELECT timestamp_us / 60000000, kind, equity_paise - cash_paise, positions_open FROM portfolio_snapshots"
        )

    minutes = [row[0] for row in rows if row[1] == "minute"]
    assert len(minutes) == len(set(minutes)) == 4
    assert [row[1] for row in rows].count("close") == 1
    assert rows[-1][2:] == (10 * 102_00, 1)
