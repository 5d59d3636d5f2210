"""An engine to kill: it trades a script against a simulator.

The script's place is read from the store alone, so that every life goes on where the last one died. It ends with 0
once every step was taken and everything is settled, or unknown with nothing of it at the broker.
"""

from __future__ import annotations

import json
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import msgspec

from libs.brokers.upstox import UpstoxBroker
from libs.contracts.bus import CommandRequest
from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.clock import SystemClock
from libs.core.errors import Refused, RetryLater
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.dbaccess.trading.control import known_command
from libs.orders.instrument import Instrument
from libs.orders.model import Order, Purpose, order_id
from libs.risk.request import OrderRequest
from libs.trading.decisions import Placed
from libs.upstox.credentials import Scope
from libs.upstox.session import BrokerSession
from services.exchange_sim.market.instruments import Listing
from services.execution_engine.building import build
from services.execution_engine.clearance import Clearance
from services.execution_engine.closing import Closing
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.engine import Engine
from services.execution_engine.handlers import Handlers
from services.execution_engine.last_lock import LastLock
from services.execution_engine.reconciliation import Reconciler
from services.execution_engine.recovery import resume
from services.execution_engine.replacing import name_of
from services.execution_engine.rounds import Rounds
from tests.kit.engine import engine_settings
from tests.kit.exchange_sim import TRADING_TOKEN
from tests.kit.orders import MINUTE_US
from tests.kit.own_orders import OwnOrders
from tests.kit.trading import session_of

SIM_SYMBOLS, SIM_SEED = 50, 7
#: A machine under load is slow, not wrong: with a twentieth of a processor a life takes more than a minute.
DEADLINE_S = 300.0
#: The broker answers on its own threads; a look in between costs it seven requests.
LOOK_EVERY_S = 0.02


class Script:
    """Enter twice, rest a limit order, change it, replace it, cancel it; one entry leaves by signal, one by command."""

    def __init__(self, engine: Engine, handlers: Handlers, closing: Closing, symbols: list[str]) -> None:
        self.engine = engine
        self.handlers = handlers
        self.closing = closing
        self.bought, self.rested = symbols

    def step(self) -> bool:
        """Take the next step that was not taken; say whether there was one."""
        engine = self.engine
        limit = order_id(signal_id=f"limit-{self.rested}", purpose=Purpose.ENTRY)
        if not self._processed("enter"):
            self._signal("enter", SignalType.ENTER_LONG, 1)
        elif not self._processed("also"):
            self._signal("also", SignalType.ENTER_LONG, 2, "revert")
        elif limit not in engine.desk.orders:
            self._rest(limit)
        elif (order := engine.desk.orders.get(limit)).has_live_child and order.is_complete and not order.change_number:
            engine.change(limit, 6, None, None)
        elif order.has_live_child and not self._asked("replace"):
            price = order.price and round(order.price - 1)
            self._command("replace", order_id=limit, price=price)
        elif (second := self._replacement(limit)) and second.has_live_child and not second.cancel_number:
            engine.cancel(second.order_id, "the script wants it")
        elif not self._processed("exit") and self._is_still("trend"):
            self._signal("exit", SignalType.EXIT_LONG, 3)
        elif not self._asked("square_off") and self._is_still("trend") and self._is_still("revert"):
            # The other position, and what a refused exit left of the first one.
            self._command("square_off", symbol=self.bought)
        else:
            return False
        return True

    def is_over(self) -> bool:
        """Say whether nothing is left to do: all is settled and left, or an unknown order is in the way."""
        orders = list(self.engine.desk.orders)
        if any(order.status is OrderStatus.UNKNOWN for order in orders):
            return all(order.is_settled or order.status is OrderStatus.UNKNOWN for order in orders)
        return all(order.is_settled for order in orders) and not (self.closing.jobs or self.closing.replacing.jobs)

    def _asked(self, name: str) -> bool:
        return known_command(self.engine.store.session.connection, f"id of {name}") is not None

    def _command(self, name: str, **arguments: Any) -> None:
        self.handlers.handle(CommandRequest(f"id of {name}", name, arguments | {"sender": "script"}))

    def _replacement(self, limit: str) -> Order | None:
        orders = self.engine.desk.orders
        return orders.get(name_of(limit)) if name_of(limit) in orders else None

    def _is_still(self, strategy_id: str) -> bool:
        """Say whether nothing more will be heard of a strategy's orders by itself."""
        orders = [order for order in self.engine.desk.orders if order.strategy_id == strategy_id]
        return all(order.is_settled or order.status is OrderStatus.UNKNOWN for order in orders)

    def _processed(self, name: str) -> bool:
        connection = self.engine.store.session.connection
        return bool(connection.execute("SELECT 1 FROM processed_signals WHERE signal_id = ?", (name,)).fetchone())

    def _signal(self, name: str, kind: SignalType, seq: int, strategy_id: str = "trend") -> None:
        at_us = (self.engine.market.now_us() // MINUTE_US - 1) * MINUTE_US
        signal = SignalEvent(name, strategy_id, self.bought, at_us, kind)
        self.engine.on_signal(signal, SignalPlace("store", seq))

    def _rest(self, name: str) -> None:
        engine, state = self.engine, self.engine.desk.gate.state
        price = state.symbol("nse", self.rested).price
        request = OrderRequest(
            order_id=name, strategy_id="rester", symbol=self.rested, side=Side.BUY, quantity=10,
            order_type=OrderType.LIMIT, price=round(price * 0.97), signal_id=f"limit-{self.rested}",
        )  # fmt: skip
        decision = engine.desk.ask(request, engine.market.now_us(), "limit")
        assert isinstance(decision, Placed), decision
        with engine.store.transaction() as entry:
            engine.decider.write(entry, "", [decision], engine.market.now_us())
        engine.act([decision])


def main(root: str, url: str, *symbols: str) -> int:
    clock = SystemClock()
    listing = Listing(SIM_SYMBOLS, SIM_SEED).instruments
    keys = {each.symbol: each.key for each in listing if each.symbol in symbols}
    ticks = {each.symbol: each.tick_size for each in listing}
    settings = engine_settings(Path(root), price_age_max_s=0, signal_age_max_s=0, cancel_retry_s=1)
    settings = msgspec.structs.replace(
        settings, exchange_sim=msgspec.structs.replace(settings.exchange_sim, port=urlsplit(url).port),
        upstox=msgspec.structs.replace(settings.upstox, read_timeout_s=1),
    )  # fmt: skip
    manager = DatabaseManager(root, Role.EXECUTION_ENGINE, settings=settings, clock=clock)
    with manager.writer_session(Store.TRADING) as session:
        instruments = [Instrument(symbol=symbol, tick_size=ticks[symbol]) for symbol in symbols]
        engine, loaded = build(
            settings, clock, session, instruments=instruments, charges=None, session_of=session_of
        )  # fmt: skip
        calls = OwnOrders(BrokerSession.open(settings, Scope.TRADING), set(keys.values()))
        broker = UpstoxBroker(
            calls, settings.upstox, clock, exchange="nse", keys=lambda: keys, market_us=engine.market.now_us
        )  # fmt: skip
        broker.answered, broker.reported, engine.wire = engine.answered, engine.reported, broker
        resume(engine, loaded, manager)
        broker.start(engine.desk.orders, engine.desk.positions.net())
        closing, kill_file = Closing(engine, clock), Path(root) / "KILL"
        rounds = Rounds(engine, closing, settings.execution, clock, kill_file=kill_file, session_of=session_of)
        handlers = Handlers(
            engine, closing, clock, kill_file=kill_file, status=dict, reconcile=lambda: None,
            last_lock=LastLock(engine, clock), clearance=Clearance(engine, clock, is_needed=False),
        )  # fmt: skip
        script = Script(engine, handlers, closing, list(symbols))
        return live(engine, broker, rounds, Reconciler(engine, "upstox", clock), script, Market(url, keys))


class Market:
    """The simulator's time and prices, as an ingestor would bring them."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self._url = url
        self._keys = keys

    def now_us(self) -> int:
        return int(self._ask("/_sim/clock")["now_ms"]) * 1000

    def prices(self) -> dict[str, float]:
        symbols = {key: symbol for symbol, key in self._keys.items()}
        rows = self._ask(f"/v3/market-quote/ltp?instrument_key={quote(','.join(symbols))}")["data"].values()
        return {symbols[row["instrument_token"]]: row["last_price"] for row in rows}

    def _ask(self, path: str) -> Any:
        request = Request(self._url + path, headers={"Authorization": f"Bearer {TRADING_TOKEN}"})  # noqa: S310
        try:
            with urlopen(request, timeout=2) as response:  # noqa: S310
                return json.load(response)
        except (OSError, HTTPException) as e:
            raise RetryLater(str(e)) from e


def live(
    engine: Engine, broker: UpstoxBroker, rounds: Rounds, reconciler: Reconciler, script: Script, market: Market
) -> int:
    """Reconcile, go on with what was cut off, then take a step and look again, until all is over."""
    end, is_equal, is_resumed = time.monotonic() + DEADLINE_S, False, False
    while time.monotonic() < end:
        time.sleep(LOOK_EVERY_S)
        try:
            now_us = market.now_us()
            rounds.enter(now_us)
            engine.market.heard(now_us)
            broker.deliver()
            rounds.on_time()
            for symbol, price in market.prices().items():
                engine.desk.on_price("nse", symbol, price, engine.market.now_us())
            found = reconciler.take(broker.book(engine.market.now_us()), "timer", 0)
        except (RetryLater, Refused):
            continue  # the broker cannot be reached: nothing is decided
        if not is_resumed:
            is_resumed = True
            script.handlers.resume_unfinished()
        is_equal = not found.repairs and all(each.finding.value == "still_unknown" for each in found.differences)
        if engine.in_flight or script.step() or not is_equal:
            continue
        if script.is_over():
            broker.close()
            return 0
    sys.stderr.write(f"not over: {[(o.symbol, o.status, o.cancel_number, o.change) for o in engine.desk.orders]}\n")
    return 1
