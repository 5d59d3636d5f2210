"""The Upstox broker: requests on threads of their own, the order stream as a hint, the books as what counts.

Nothing is sent twice. A request that could not leave in time is not sent at all, and that is known; one that left and
was not answered is unknown, and only the books or an operator say what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import SystemRandom
from typing import Any, TypeVar

from libs.brokers.answers import cancel_evidence, change_evidence, place_evidence
from libs.brokers.courier import Courier, outcome_of, too_late
from libs.brokers.interface import Answer, BookReader, Reports, require_approval
from libs.brokers.order_link import OrderLink
from libs.brokers.spelling import Speller, moment_us
from libs.brokers.switch import SwitchReader, UpstoxSwitch
from libs.contracts.market import OHLCVBar, Tick
from libs.core.clock import Clock
from libs.core.errors import FleetError, OutcomeUnknown, Refused, RetryLater
from libs.core.faults import crash_point
from libs.core.money import PAISE_PER_RUPEE
from libs.orders import evidence as ev
from libs.orders.model import FINAL, Change, Order, Product
from libs.orders.reconcile import AccountKey, BrokerBook
from libs.risk.verdict import Approved
from libs.settings.upstox import Upstox
from libs.upstox.orders import OrderCalls, OrderRow

Found = TypeVar("Found")

#: A fill on the stream names no trade: they are read, at most so often, and after so many in half an hour as seldom
#: as without a stream. The broker allows 2,000 reads in half an hour, all kinds together.
_TRADES_EVERY_NS = 1_000_000_000
_QUICK_READINGS, _HALF_HOUR_NS = 300, 1_800_000_000_000


class UpstoxBroker:
    """One account. `keys` gives the broker's name of each symbol; `is_busy` says whether any order is unsettled."""

    def __init__(
        self, calls: OrderCalls, settings: Upstox, clock: Clock, *, exchange: str,
        keys: Callable[[], Mapping[str, str]], market_us: Callable[[], int],
        is_busy: Callable[[], bool] = lambda: True, with_stream: bool = True,
    ) -> None:  # fmt: skip
        self.answered: Callable[[Answer], object] = lambda _answer: None
        self.reported: Callable[[Reports], object] = lambda _reports: None
        self.wake: Callable[[], object] = lambda: None
        self._calls = calls
        self._clock = clock
        self._market_us = market_us
        self._exchange, self._keys = exchange, keys
        self._speller = Speller(exchange, keys())
        self._wait_max_ns = settings.order_wait_max_ms * 1_000_000
        self._poll_ns = settings.poll_interval_ms * 1_000_000
        self._switch = UpstoxSwitch(calls, settings.switch_segments)
        self._courier = Courier(lambda: self.wake())  # noqa: PLW0108  # whoever wakes is set later
        self._link = OrderLink(
            calls.session, settings, clock, SystemRandom(), on_order=self._on_order, on_opened=self._on_opened
        ) if with_stream else None  # fmt: skip
        self._is_busy = is_busy
        self._readings_ns: deque[int] = deque([-_HALF_HOUR_NS] * _QUICK_READINGS, _QUICK_READINGS)
        self._is_reading = self._wants_trades = self._is_reconnected = False
        self._error = ""
        self.hints = self.readings = 0

    # -- requests -----------------------------------------------------------------------------------------------------

    def place(self, order: Order, approved: Approved) -> None:
        require_approval(order, approved)

        def call() -> tuple[str, ...]:
            spell = self._spelling(order.symbol)
            if not spell.knows(order.symbol):
                raise Refused(f"the instruments file has no {order.symbol}")
            try:
                return self._calls.place(spell.ask(order))
            finally:
                crash_point("engine.place.sent")

        self._send(order.order_id, "place", call, place_evidence)

    def cancel(self, order: Order, number: int) -> None:
        names = [child.broker_order_id for child in order.children if child.status not in FINAL]

        def call() -> None:
            try:
                self._cancel_each(names)
            finally:
                crash_point("engine.cancel.sent")

        self._send(order.order_id, "cancel", call, lambda done, at_us: cancel_evidence(done, number, at_us))

    def change(self, order: Order, change: Change) -> None:
        names = [child.broker_order_id for child in order.children]

        def call() -> None:
            if len(names) != 1:
                raise Refused(f"order {order.order_id} is {len(names)} orders at the broker: cancel and replace it")
            try:
                self._calls.modify(names[0], self._speller.terms(order, change))
            finally:
                crash_point("engine.change.sent")

        self._send(order.order_id, "change", call, lambda done, at_us: change_evidence(done, change, at_us))

    # -- the books ----------------------------------------------------------------------------------------------------

    def read_book(self, then: BookReader) -> None:
        at_us = self._market_us()
        self.readings += 1
        self._read("books", lambda: self.book(at_us), then)

    def read_switch(self, then: SwitchReader) -> None:
        self._read("kill switch", self._switch.read, then)

    def lock(self, then: SwitchReader) -> None:
        self._read("kill switch", self._switch.lock, then)

    def _read(self, what: str, call: Callable[[], Found], then: Callable[[Found | FleetError], None]) -> None:
        """Call in the reading thread, and hand over what came of it."""

        def work() -> None:
            found: Found | FleetError
            try:
                found = call()
            except FleetError as e:
                found = e
            except Exception as e:  # noqa: BLE001  # whatever a row may be made of must not end the fleet's only reader
                found = RetryLater(f"the broker's {what} cannot be read: {type(e).__name__}: {e}")
            self._courier.hand_over(lambda: then(found))

        self._courier.read(work)

    def book(self, at_us: int) -> BrokerBook:
        """Read everything, in this thread; `at_us` is before, so that a row never seems newer than it is.

        Trades first: the order of a trade that is shown is in the book.
        """
        calls, spell = self._calls, self._spelling()
        trades = tuple(spell.fill(row) for row in calls.trades())
        orders = tuple(spell.report(row, at_us) for row in calls.orders())
        positions: dict[AccountKey, int] = {}
        for row in calls.positions():
            key, quantity = spell.position(row)
            positions[key] = positions.get(key, 0) + quantity
        holdings = {}
        for row in calls.holdings():
            (exchange, symbol, _), quantity = spell.position(row)
            holdings[exchange, symbol, Product.DELIVERY] = quantity + row.t1_quantity
        funds = round(calls.funds() * PAISE_PER_RUPEE)
        return BrokerBook(orders=orders, trades=trades, positions=positions, holdings=holdings, funds_paise=funds)

    # -- what comes back ----------------------------------------------------------------------------------------------

    def deliver(self) -> int:
        count = self._courier.deliver()
        if self._link is not None:
            self._link.look()
        self._poll()
        return count

    def take_reconnected(self) -> bool:
        found, self._is_reconnected = self._is_reconnected, False
        return found

    def start(self, orders: Iterable[Order], held: Mapping[AccountKey, int]) -> None:  # noqa: ARG002  # it has its own
        try:
            self._calls.session.authorize()
        except FleetError as e:
            # Every request is refused until there is a token; each refusal looks for one.
            self._error = str(e)

    def on_tick(self, tick: Tick) -> None:
        """The exchange sees its own prices."""

    def on_bar(self, bar: OHLCVBar) -> None:
        """The exchange sees its own prices."""

    def end_day(self, now_us: int) -> None:  # noqa: ARG002  # its clock is the exchange's
        """Learn the new day's instruments. The broker ends its orders by itself; reconciliation sees how."""
        self._speller = Speller(self._exchange, self._keys())

    def _spelling(self, symbol: str = "") -> Speller:
        """Give the speller; where it lacks everything, or this symbol, the file may have come after we began."""
        if self._speller.is_empty or (symbol and not self._speller.knows(symbol)):
            self._speller = Speller(self._exchange, self._keys())
        return self._speller

    def status(self) -> dict[str, object]:
        link = self._link
        return {
            "broker": "upstox", "link": "open" if link and link.is_open else "away", "hints": self.hints,
            "readings": self.readings, "last_error": (link.last_error if link else "") or self._error,
        }  # fmt: skip

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        self._courier.close()
        self._calls.session.close()

    # -- how ----------------------------------------------------------------------------------------------------------

    def _cancel_each(self, names: list[str]) -> None:
        """Try every slice whatever becomes of the others; an unknown outcome outweighs a refusal."""
        errors: list[FleetError] = []
        for name in names:
            try:
                self._calls.cancel(name)
            except FleetError as e:
                errors.append(e)
        for error in sorted(errors, key=lambda each: not isinstance(each, OutcomeUnknown)):
            raise error

    def _send(
        self, order_id: str, request: str, call: Callable[[], Any],
        judge: Callable[[Callable[[], Any], int], tuple[ev.AnyEvidence | None, str]],
    ) -> None:  # fmt: skip
        asked_ns = self._clock.monotonic_ns()
        is_cancel = request == "cancel"

        def work() -> None:
            sent_ns = self._clock.monotonic_ns()
            waited_ns = sent_ns - asked_ns
            may_leave = is_cancel or waited_ns <= self._wait_max_ns
            outcome = outcome_of(call) if may_leave else too_late(waited_ns)
            answered_ns = self._clock.monotonic_ns()

            def tell() -> None:
                evidence, word = judge(outcome, self._market_us())
                self.answered(
                    Answer(
                        order_id=order_id, request=request, evidence=evidence, outcome=word, sent_ns=sent_ns,
                        answered_ns=answered_ns,
                    )
                )  # fmt: skip

            self._courier.hand_over(tell)

        (self._courier.cancel if is_cancel else self._courier.send)(work)

    def _on_opened(self) -> None:
        def tell() -> None:
            self._is_reconnected = True

        self._courier.hand_over(tell)

    def _on_order(self, row: OrderRow) -> None:
        def tell() -> None:
            self.hints += 1
            # As old as it says it is: an event that comes after its successors must not bring old terms back.
            at_us = moment_us(row.exchange_timestamp) or moment_us(row.order_timestamp)
            self._wants_trades |= bool(row.filled_quantity)
            self.reported([self._speller.report(row, at_us)])

        self._courier.hand_over(tell)

    def _poll(self) -> None:
        """Read orders and trades when a fill was hinted at, and now and then while an order is alive unheard."""
        now_ns = self._clock.monotonic_ns()
        since_ns = now_ns - self._readings_ns[-1]
        is_scarce = now_ns - self._readings_ns[0] < _HALF_HOUR_NS
        is_deaf = self._link is None or not self._link.is_open
        is_hinted = self._wants_trades and since_ns > (self._poll_ns if is_scarce else _TRADES_EVERY_NS)
        if self._is_reading or not (is_hinted or (is_deaf and since_ns > self._poll_ns and self._is_busy())):
            return
        self._is_reading, self._wants_trades = True, False
        self._readings_ns.append(now_ns)
        at_us = self._market_us()
        self._courier.read(lambda: self._read_reports(at_us))

    def _read_reports(self, at_us: int) -> None:
        reports: list[ev.BrokerReport | ev.TradeReport] = []
        error = ""
        try:
            fills = [self._speller.fill(row) for row in self._calls.trades()]
            reports += [self._speller.report(row, at_us) for row in self._calls.orders()]
            reports += [ev.TradeReport(at_us=fill.timestamp_us, fill=fill) for fill in fills]
        except Exception as e:  # noqa: BLE001  # the next reading, or the reconciliation, has what this one missed
            error = f"{type(e).__name__}: {e}"

        def tell() -> None:
            self._is_reading = False
            if error:
                self._wants_trades = True
            self.reported(reports)

        self._courier.hand_over(tell)
