"""Our books against the broker's: repairs are applied, what no rule repairs is raised once it is seen twice.

Orders, trades and positions are three requests, and trading goes on between them. So a difference counts only when
the next reading shows the same one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.contracts.risk import TradingState
from libs.core.clock import Clock, trading_date
from libs.core.faults import crash_point
from libs.dbaccess.trading.control import DifferenceRow, reconciliation, sync_state
from libs.orders.evidence import BrokerReport, TradeReport
from libs.orders.model import Fill
from libs.orders.reconcile import BrokerBook, Difference, Finding, Repair, compare
from services.execution_engine.engine import Engine

_KINDS = {
    Finding.STILL_UNKNOWN: "order", Finding.MISSING_AT_BROKER: "order", Finding.NOT_IN_JOURNAL: "order",
    Finding.CONTRADICTION: "order", Finding.FILL_PENDING: "trade", Finding.TRADE_MISSING_AT_BROKER: "trade",
    Finding.UNEXPLAINED_TRADE: "trade", Finding.FOREIGN_FILL: "foreign_order", Finding.POSITION: "position",
}  # fmt: skip
#: What each confirmed finding does to trading. An unknown order blocks its own instrument for its strategy already.
_STATES = {
    Finding.NOT_IN_JOURNAL: TradingState.HALTED, Finding.CONTRADICTION: TradingState.HALTED,
    Finding.POSITION: TradingState.REDUCING, Finding.MISSING_AT_BROKER: TradingState.REDUCING,
    Finding.TRADE_MISSING_AT_BROKER: TradingState.REDUCING, Finding.UNEXPLAINED_TRADE: TradingState.REDUCING,
    Finding.FOREIGN_FILL: TradingState.REDUCING,
}  # fmt: skip


class Reconciled(msgspec.Struct, frozen=True):
    """How a comparison ended. `again`: something differs that was not seen before; look again soon."""

    outcome: str
    repairs: int
    differences: tuple[Difference, ...]
    again: bool


class Reconciler:
    """Compares, repairs, writes what it found, and tells the watch what asks for a halt."""

    def __init__(self, engine: Engine, broker: str, clock: Clock) -> None:
        self._engine = engine
        self._broker = broker
        self._clock = clock
        self._doubts: frozenset[str] = frozenset()
        self._raised: frozenset[str] = frozenset()
        self.last_us = 0
        self.is_done_once = False

    def take(self, book: BrokerBook, cause: str, started_us: int, *, funds_paise: int | None = None) -> Reconciled:
        """Compare with what the broker showed and act on it."""
        desk = self._engine.desk
        found = compare(desk.orders, book, desk.positions.net())
        crash_point("engine.reconcile.before")
        repaired = [self._repair_row(each) for each in found.repairs]
        self._engine.reported(self._evidence(book, found.differences))
        differences = tuple(each for each in found.differences if not self._is_under_way(each))
        names = frozenset(self._name(each) for each in differences)
        confirmed = [each for each in differences if self._name(each) in self._doubts]
        fresh = [each for each in confirmed if self._name(each) not in self._raised]
        outcome = "raised" if confirmed else "repaired" if found.repairs else "equal"
        rows = repaired + [self._row(each) for each in fresh]
        finished_us = self._clock.now_us()
        with self._engine.store.transaction() as entry:
            reconciliation(
                entry.connection, broker=self._broker, cause=cause, outcome=outcome, started_us=started_us,
                finished_us=finished_us, differences=rows,
            )  # fmt: skip
            sync_state(
                entry.connection, self._broker, state="differing" if confirmed else "equal",
                attempted_at_us=started_us, orders_seen=len(book.orders), trades_seen=len(book.trades),
                positions_seen=len(book.positions), detail="",
                **({} if confirmed else {"reconciled_at_us": finished_us}),
                **({} if funds_paise is None else {"funds_paise": funds_paise}),
            )  # fmt: skip
            for each in fresh:
                entry.risk_event(
                    "reconciliation", "error", f"{each.finding}: {each.detail}", finished_us, symbol="",
                    figures={name: float(value) for name, value in each.figures.items()},
                )  # fmt: skip
                if each.finding is Finding.FOREIGN_FILL:
                    for fill in _foreign(book, each.subject, self._engine):
                        entry.adjustment(":".join(fill.key), fill, "foreign_fill", msgspec.to_builtins(fill), "rule")
        crash_point("engine.reconcile.after")
        for each in fresh:
            self._halt(each)
        if funds_paise is not None:
            desk.gate.state.on_funds(funds_paise, desk.orders.unsettled())
        again = bool(names - self._doubts)
        self._doubts, self._raised = names, self._raised & names | {self._name(each) for each in fresh}
        self.last_us = finished_us
        self.is_done_once = True
        return Reconciled(outcome, len(found.repairs), differences, again)

    def begins(self) -> None:
        """A reading of the broker's books is asked for."""
        self._engine.desk.gate.state.funds.asked()

    def ages(self, age_us: int) -> None:
        """The last reading was asked for so long ago."""
        self._engine.desk.gate.state.funds.age_us = age_us

    def failed(self, cause: str, started_us: int, error: Exception) -> None:
        """Write that the broker could not be asked; that proves nothing about any order."""
        finished_us = self._clock.now_us()
        with self._engine.store.transaction() as entry:
            reconciliation(
                entry.connection, broker=self._broker, cause=cause, outcome="failed", started_us=started_us,
                finished_us=finished_us, differences=(),
            )  # fmt: skip
            sync_state(
                entry.connection, self._broker, state="unreachable", attempted_at_us=started_us, detail=str(error)
            )

    def _evidence(self, book: BrokerBook, differences: Iterable[Difference]) -> list[BrokerReport | TradeReport]:
        """Give all the broker showed, but for orders about which it says what cannot be true.

        More than the repairs: a row may say that an order is over without changing what it came to.
        """
        untrue = {each.subject for each in differences if each.finding is Finding.CONTRADICTION}
        shown: list[BrokerReport | TradeReport] = list(book.orders)
        shown += [TradeReport(at_us=fill.timestamp_us, fill=fill) for fill in book.trades]
        return [each for each in shown if (self._engine.books.owner_of(each) or "") not in untrue]

    def _is_under_way(self, each: Difference) -> bool:
        """An order whose request is on its way differs because nobody could know better yet."""
        return any((each.subject, request) in self._engine.in_flight for request in ("place", "cancel", "change"))

    def _halt(self, each: Difference) -> None:
        watch = self._engine.watch
        state = _STATES.get(each.finding)
        if each.finding is Finding.STILL_UNKNOWN and self._is_of_earlier_day(each.subject):
            watch.difference(TradingState.HALTED, f"an earlier day's order {each.subject} is unknown: settle it")
        elif each.finding is Finding.POSITION:
            # What we would exit may not be there: nothing is sent in that instrument until a person looked.
            watch.difference(TradingState.HALTED, each.detail, scope=each.subject)
            watch.difference(TradingState.REDUCING, each.detail)
        elif each.finding is Finding.FOREIGN_FILL:
            watch.difference(TradingState.REDUCING, each.detail, scope=each.subject)
        elif state is not None:
            watch.difference(state, f"{each.finding}: {each.detail}")

    def _name(self, each: Difference) -> str:
        """Name a difference so that it is raised once, and again when it means more than it did."""
        name = f"{each.finding}|{each.subject}|{sorted(each.figures.items())}"
        if each.finding is Finding.FOREIGN_FILL:
            return f"{name}|{each.detail}"  # each trade of somebody else's is one, be its size what another's was
        if each.finding is Finding.STILL_UNKNOWN and self._is_of_earlier_day(each.subject):
            return f"{name}|of an earlier day"  # over night, in this process: the broker's book has it no more
        return name

    def _is_of_earlier_day(self, order_id: str) -> bool:
        order = self._engine.desk.orders.get(order_id)
        return trading_date(order.created_us) < self._engine.desk.gate.state.day

    def _repair_row(self, repair: Repair) -> DifferenceRow:
        order = self._engine.desk.orders.get(repair.order_id)
        evidence = repair.evidence
        is_trade = isinstance(evidence, TradeReport)
        told = evidence.fill if isinstance(evidence, TradeReport) else evidence
        return DifferenceRow(
            kind="trade" if is_trade else "order", resolution="repaired", rule="the broker's word is evidence",
            exchange=order.exchange, symbol=order.symbol, order_id=order.order_id, broker_order_id=told.broker_order_id,
            ours={"status": order.status.value, "traded": order.quantity_traded},
            theirs=msgspec.to_builtins(evidence),
        )  # fmt: skip

    def _row(self, each: Difference) -> DifferenceRow:
        orders = self._engine.desk.orders
        order = orders.get(each.subject) if each.subject in orders else None
        exchange, _, symbol = each.subject.partition(":")
        return DifferenceRow(
            kind=_KINDS[each.finding], resolution="raised", rule=each.finding.value,
            exchange=order.exchange if order else exchange if symbol else "",
            symbol=order.symbol if order else symbol, order_id=order.order_id if order else "",
            broker_order_id="" if order or symbol else each.subject, ours={"detail": each.detail},
            theirs=dict(each.figures),
        )  # fmt: skip


def _foreign(book: BrokerBook, subject: str, engine: Engine) -> list[Fill]:
    return [
        fill
        for fill in book.trades
        if f"{fill.exchange}:{fill.symbol}" == subject and engine.desk.orders.owner_of(fill.broker_order_id) is None
    ]
