"""F4: whoever stands behind the interface, an order goes out once, approved, and the books say what it became."""

from __future__ import annotations

import msgspec
import pytest

from libs.brokers.paper import PaperBroker
from libs.contracts.market import Tick
from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.core.errors import Corrupt
from libs.orders import evidence as ev
from libs.orders.fills import FillSettings
from libs.orders.model import Change, Product
from libs.simulation.clock import ManualClock
from services.exchange_sim.market.instruments import Listing
from tests.kit.broker_bench import Bench, upstox_broker
from tests.kit.exchange_sim import TRADING_TOKEN, running_simulator
from tests.kit.recorded_book import KEY, RecordedBook
from tests.kit.recorded_broker import recorded_broker
from tests.kit.risk import NOW_US

_GENEROUS = {
    "TRADEFLEET_EXCHANGE_SIM_ORDERS_PER_SECOND_MAX": "1000", "TRADEFLEET_EXCHANGE_SIM_REQUESTS_PER_SECOND_MAX": "1000",
}  # fmt: skip


@pytest.fixture(scope="module")
def sim():
    with running_simulator(record_ticks=False, **_GENEROUS) as running:
        yield running


@pytest.fixture(params=["paper", "upstox", "recorded"])
def bench(request):
    if request.param == "paper":
        clock = ManualClock(NOW_US)
        broker = PaperBroker(
            FillSettings(), clock, exchange="nse", fills_on_bars=False, tick_size=lambda _symbol: 0.05,
            market_us=clock.now_us,
        )  # fmt: skip
        tick = Tick("ACME", NOW_US + 1_000_000, 100.0, volume=1_000, bid=99.95, ask=100.05)
        yield Bench(broker, 100.0, lambda: broker.on_tick(tick))
        return
    if request.param == "recorded":  # the broker's own rows, through the same SDK
        with recorded_broker() as recorded:
            RecordedBook(recorded)
            broker = upstox_broker(recorded.port, KEY, with_stream=False, poll_interval_ms=50)
            yield Bench(broker, 570.0)
            broker.close()
        return
    sim = request.getfixturevalue("sim")
    sim.clear_faults()
    key = next(each.key for each in Listing(50, 7).instruments if not each.is_index)
    rows = sim.ask("GET", f"/v3/market-quote/ltp?instrument_key={key.replace('|', '%7C')}", token=TRADING_TOKEN)[1]
    broker = upstox_broker(sim.port, key, with_stream=True)
    bench = Bench(broker, next(iter(rows["data"].values()))["last_price"])
    bench.until(lambda: broker.status()["link"] == "open", "the order stream")
    try:
        yield bench
    finally:
        broker.close()


def far_below(bench: Bench) -> float:
    return float(round(bench.price * 0.97))


def test_a_market_order_fills_and_everything_shows_it(bench):
    before = bench.book().positions.get(("nse", "ACME", Product.INTRADAY), 0)
    order = bench.place()
    name = order.children[0].broker_order_id
    bench.until(
        lambda: sum(r.fill.quantity for r in {
            r.fill.key: r for r in bench.reports
            if isinstance(r, ev.TradeReport) and r.fill.broker_order_id == name
        }.values()) == 10, "its trades",
    )  # fmt: skip

    book = bench.book()
    row = next(each for each in book.orders if each.tag == order.order_id)
    assert (row.status, row.quantity_filled, row.broker_order_id) == (OrderStatus.FILLED, 10, name)
    assert sum(fill.quantity for fill in book.trades if fill.broker_order_id == name) == 10
    assert book.positions["nse", "ACME", Product.INTRADAY] == before + 10
    assert [each.tag for each in book.orders].count(order.order_id) == 1


def test_an_order_without_its_approval_never_leaves(bench):
    order, _ = bench.approve()
    _, of_another = bench.approve()
    for approval in (None, of_another, object()):
        with pytest.raises(Corrupt):
            bench.broker.place(order, approval)
    larger = msgspec.structs.replace(order, quantity=11)
    with pytest.raises(Corrupt):
        bench.broker.place(larger, bench.approve()[1])

    assert order.order_id not in {row.tag for row in bench.book().orders}


def test_a_resting_order_is_changed_and_cancelled(bench):
    price = far_below(bench)
    order = bench.place(order_type=OrderType.LIMIT, price=price)
    bench.until(lambda: bench.row(order).status is OrderStatus.OPEN, "the order to rest")
    bench.broker.change(order, Change(1, 6, price - 1, None))
    assert isinstance(bench.answer("change").evidence, ev.ChangeAccepted)
    bench.until(lambda: bench.row(order).quantity == 6, "the new terms")
    assert bench.row(order).price == price - 1

    bench.broker.cancel(order, 1)
    assert bench.answer("cancel").evidence is None  # only a report says that it worked
    bench.until(lambda: bench.row(order).status is OrderStatus.CANCELLED, "the cancel")


def test_what_is_over_cannot_be_cancelled(bench):
    order = bench.place(side=Side.BUY)
    bench.until(lambda: bench.row(order).status is OrderStatus.FILLED, "the fill")
    bench.broker.cancel(order, 1)

    assert isinstance(bench.answer("cancel").evidence, ev.CancelRefused)
