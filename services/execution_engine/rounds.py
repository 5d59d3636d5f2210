"""What is done by the clock: another day, marks and snapshots, locks, the kill file, automatic halts, retries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from libs.contracts.orders import OrderStatus
from libs.contracts.risk import TradingState
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, US_PER_SECOND, Clock, day_start_us, trading_date
from libs.dbaccess.trading.control import StateChange, clear_lock, set_lock
from libs.orders.positions import Position
from libs.risk.state import LossLocks
from libs.runtime.logs import get_logger
from libs.settings.execution import Execution
from services.execution_engine.closing import Closing
from services.execution_engine.engine import Engine
from services.execution_engine.states import ACCOUNT, RECOVERING
from services.execution_engine.watch import RULE


class Rounds:
    """Called often by the engine's thread; does what has come due."""

    def __init__(
        self, engine: Engine, closing: Closing, settings: Execution, clock: Clock, *, kill_file: Path,
        session_of: Callable[[date], Session | None],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._closing = closing
        self._settings = settings
        self._clock = clock
        self._kill_file = kill_file
        self._session_of = session_of
        self._session: Session | None = session_of(engine.desk.gate.state.day)
        self._minute = 0
        self._is_closed = False
        self._stored_locks: LossLocks = engine.desk.gate.state.locks
        self._guards_ns = self._cancels_ns = clock.monotonic_ns()
        self.on_new_day: Callable[[date], None] = lambda _day: None
        # Before the first signal can be taken, not at the first turn of the clock.
        self._look_for_kill_file()

    @property
    def is_open(self) -> bool:
        """Say whether the market trades, by its own clock."""
        now_us = self._engine.market.now_us()
        return self._session is not None and any(start <= now_us < end for start, end in self._session.spans)

    def enter(self, market_us: int) -> None:
        """Go over to another day before anything of it is looked at: yesterday's orders do not fill today."""
        market = self._engine.market
        start_us = day_start_us(self._engine.desk.gate.state.day)
        is_earlier = market_us < start_us and not market.is_known  # our guess at the day was the machine's
        if market_us >= start_us + US_PER_DAY or is_earlier:
            market.heard(market_us)
            self._begin_day(trading_date(market_us), market_us)

    def on_time(self) -> None:
        """Do what is due."""
        engine = self._engine
        self._look_for_kill_file()
        if engine.market.is_known:
            now_us = engine.market.now_us()
            if trading_date(now_us) != engine.desk.gate.state.day:
                self._begin_day(trading_date(now_us), now_us)
            if now_us // US_PER_MINUTE != self._minute:
                self._minute = now_us // US_PER_MINUTE
                self._look_at_hours()
                self.snapshot("minute")
            if self._session and now_us >= self._session.close_us and not self._is_closed:
                self._is_closed = True
                self.snapshot("close")
        self._keep_locks()
        for change in engine.watch.due(is_open=self.is_open):
            if engine.states.tighten(change):
                engine.desk.gate.state.trading_state = engine.states.account
        self._recover()
        if self.is_open:
            self._closing.step()
        self._retry_cancels()
        self._keep_guards()
        engine.desk.gate.state.trading_state = engine.states.account

    def snapshot(self, kind: str) -> None:
        """Write the whole account as it is; no limit is held against it here, for this instant is any."""
        desk, now_us = self._engine.desk, self._engine.market.now_us()
        state = desk.gate.state
        positions = desk.positions.open()
        values = {each.key: round(each.quantity * self._mark(each) * 100) for each in positions}
        unrealised = sum(each.unrealised_paise(self._mark(each)) for each in positions)
        realised = sum(each.realised_paise for each in desk.positions)
        fees = sum(each.fees_paise for each in desk.positions)
        gross, net = sum(abs(value) for value in values.values()), sum(values.values())
        with self._engine.store.transaction() as entry:
            entry.snapshot(
                timestamp_us=now_us // US_PER_MINUTE * US_PER_MINUTE, kind=kind, cash_paise=desk.equity_paise - net,
                equity_paise=desk.equity_paise, exposure_gross_paise=gross, exposure_net_paise=net,
                profit_realised_paise=realised, profit_unrealised_paise=unrealised, fees_paise=fees,
                drawdown_paise=max(0, state.equity.peak_paise - desk.equity_paise), positions_open=len(positions),
                orders_open=len(desk.orders.unsettled()),
            )  # fmt: skip
            for each in positions:
                self._engine.books.write_position(entry, each)
            entry.trading_day(
                day_start_us(state.day), state.equity.day_start_paise, state.equity.peak_paise, state.trades_account
            )

    def _mark(self, position: Position) -> float:
        key = position.key
        return self._engine.desk.gate.state.symbol(key.exchange, key.symbol).price or position.price_average

    def _look_at_hours(self) -> None:
        """Follow the calendar: the broker may give a date other hours after the engine began it."""
        day = self._engine.desk.gate.state.day
        session = self._session_of(day)
        if session != self._session:
            get_logger().warning("engine.hours_changed", date=day.isoformat(), spans=session.spans if session else ())
            self._session, self._is_closed = session, False
            self._engine.desk.on_hours(session)

    def _begin_day(self, day: date, now_us: int) -> None:
        engine = self._engine
        self._session = self._session_of(day)
        self._is_closed = False
        self._closing.end_day()
        self.on_new_day(day)
        engine.desk.on_day(day, self._session)
        engine.desk.mark()
        state = engine.desk.gate.state
        with engine.store.transaction() as entry:
            entry.trading_day(
                day_start_us(day), state.equity.day_start_paise, state.equity.peak_paise, state.trades_account
            )
            engine.store.outbox.prune(self._clock.now_us() - self._settings.outbox_keep_days * US_PER_DAY)
            if engine.states.find(ACCOUNT).cause == "daily_loss":
                clear_lock(entry.connection, "daily_loss", RULE, "a new day", now_us)
                engine.states.write(entry, _change(TradingState.ACTIVE, "daily_loss", "a new day", now_us))
        for order in list(engine.desk.orders):
            if order.is_settled and trading_date(order.created_us) < day:
                engine.desk.orders.retire(order.order_id)
                engine.timing.forget(order.order_id)

    def _look_for_kill_file(self) -> None:
        if self._engine.states.account is TradingState.HALTED or not self._kill_file.exists():
            return
        lines = self._kill_file.read_text("utf-8", errors="replace").splitlines()
        reason = (lines[0].strip() if lines else "") or "the kill file is there and gives no reason"
        change = _change(TradingState.HALTED, "file", reason, self._clock.now_us(), by=str(self._kill_file.name))
        self._engine.states.tighten(change)

    def _keep_locks(self) -> None:
        """Write a limit that was hit, and stop adding to positions because of it."""
        state = self._engine.desk.gate.state
        if state.locks == self._stored_locks:
            return
        equity, now_us = state.equity, self._clock.now_us()
        found = []
        if state.locks.day and state.locks.day != self._stored_locks.day:
            found.append(("daily_loss", {"loss": equity.loss_day_paise / 100}))
        if state.locks.is_drawdown and not self._stored_locks.is_drawdown:
            found.append(("drawdown", {"drawdown": equity.drawdown_paise / 100, "peak": equity.peak_paise / 100}))
        for kind, figures in found:
            with self._engine.store.transaction() as entry:
                set_lock(entry.connection, kind, state.day, figures, now_us)
                text = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
                entry.risk_event("lock", "error", f"{kind}: {text}", now_us, check=kind, figures=figures)
            self._engine.states.tighten(_change(TradingState.REDUCING, kind, f"the limit was hit: {text}", now_us))
        self._stored_locks = state.locks

    def _recover(self) -> None:
        """Lift what a rule set for a cause that is gone."""
        stored = self._engine.states.find(ACCOUNT)
        is_ours = stored.state is TradingState.REDUCING and stored.cause in RECOVERING and stored.set_by == RULE
        if is_ours and self._engine.watch.has_recovered(stored.cause):
            now_us = self._clock.now_us()
            self._engine.states.change(_change(TradingState.ACTIVE, stored.cause, f"{stored.cause} is over", now_us))

    def _retry_cancels(self) -> None:
        """Send a cancel again whose answer was lost: cancelling twice does nothing twice."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._cancels_ns < self._settings.cancel_retry_s * 1_000_000_000:
            return
        self._cancels_ns = now_ns
        for order in list(self._engine.desk.orders.unsettled()):
            if order.status is OrderStatus.CANCEL_SENT:
                self._engine.cancel(order.order_id, "the cancel before it was not answered")

    def _keep_guards(self) -> None:
        """Write trailing stops that moved, once a second at most."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._guards_ns >= US_PER_SECOND * 1000 and self._engine.books.guards_changed():
            self._guards_ns = now_ns
            with self._engine.store.transaction() as entry:
                self._engine.books.write_guards(entry)


def _change(state: TradingState, cause: str, reason: str, at_us: int, *, by: str = RULE) -> StateChange:
    return StateChange(state=state, cause=cause, reason=reason, set_by=by, at_us=at_us)
