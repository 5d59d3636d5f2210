"""The engine, put together out of settings and an open store; services and tests build the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from libs.brokers.interface import Broker
from libs.brokers.registry import Desk as BrokerDesk
from libs.brokers.registry import make_broker
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_SECOND, Clock, trading_date
from libs.core.money import PAISE_PER_RUPEE
from libs.dbaccess import DatabaseManager
from libs.dbaccess.sqlite_session import SqliteSession
from libs.dbaccess.trading import Loaded, TradingStore, load
from libs.orders.charges import ChargeBook
from libs.orders.instrument import Instrument
from libs.orders.profit import opening_equity
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree
from libs.risk.rates import RateWindows
from libs.risk.state import RiskState
from libs.runtime.logs import get_logger
from libs.settings import Settings
from libs.trading.desk import Desk
from services.execution_engine.engine import Engine
from services.execution_engine.market_clock import MarketClock
from services.execution_engine.plans import make_plans, read_instruments, read_keys
from services.execution_engine.recovery import restore
from services.execution_engine.settings import lives_on_bars
from services.execution_engine.states import States
from services.execution_engine.watch import Watch


def build(
    settings: Settings, clock: Clock, session: SqliteSession, *, instruments: Iterable[Instrument],
    charges: ChargeBook | None, session_of: Callable[[date], Session | None], skew_max_us: int = 0,
) -> tuple[Engine, Loaded]:  # fmt: skip
    """Load the store and give the engine as it was; `resume` is the caller's next step, once the wire is there."""
    execution = settings.execution
    store = TradingStore(session, clock)
    loaded = load(session.connection)
    desk = make_desk(settings, clock, charges)
    for instrument in instruments:
        desk.gate.state.on_instrument(instrument)
    restore(desk, loaded, session_of)
    is_on_bars = lives_on_bars(execution)
    market = MarketClock(
        clock, silence_us=execution.market_silence_ms * 1000,
        closes_after_us=0 if is_on_bars else settings.ingestor.grace_ms * 1000,
    )  # fmt: skip
    watch = Watch(execution, market, clock, skew_max_us=skew_max_us)
    engine = Engine(
        desk, store, States(store, loaded.states), market, watch, clock, broker=execution.broker,
        exit_retry_us=execution.exit_retry_s * US_PER_SECOND, exits_on_bars=execution.exit_source == "bar",
        lives_on_bars=is_on_bars,
    )  # fmt: skip
    return engine, loaded


def make_desk(settings: Settings, clock: Clock, charges: ChargeBook | None) -> Desk:
    """Make a desk that knows nothing yet."""
    risk, day = settings.risk, trading_date(clock.now_us())
    cash_paise = settings.execution.capital_rupees * PAISE_PER_RUPEE
    windows = [
        (seconds * US_PER_SECOND, most)
        for seconds, most in zip(risk.order_rate_window_s, risk.order_rate_max, strict=True)
    ]
    rates = RateWindows(windows, entries_percent=risk.order_rate_entries_max_percent)
    state = RiskState(day=day, equity=opening_equity(day, cash_paise), rates=rates)
    default, named = make_plans(settings.execution)
    return Desk(
        gate=Gate(state, LimitTree(risk)), plans=named, cash_paise=cash_paise, charges=charges, risk=risk,
        default_plan=default,
    )  # fmt: skip


def known_instruments(manager: DatabaseManager, settings: Settings) -> list[Instrument]:
    """Read the instruments the ingestor keeps; none while it has kept no file."""
    try:
        return read_instruments(manager.layout.market, settings.data.exchange)
    except FileNotFoundError:
        get_logger().warning("engine.no_instruments", detail="the ingestor has kept no instruments file yet")
        return []


def wire_broker(engine: Engine, settings: Settings, clock: Clock, manager: DatabaseManager) -> Broker:
    """Make the broker of the settings, and let engine and broker know each other."""
    exchange = settings.data.exchange

    def tick_size(symbol: str) -> float:
        instrument = engine.desk.gate.state.symbol(exchange, symbol).instrument
        return instrument.tick_size if instrument else 0.05

    desk = BrokerDesk(
        keys=lambda: read_keys(manager.layout.market, exchange), tick_size=tick_size, market_us=engine.market.now_us,
        is_busy=lambda: bool(engine.desk.orders.unsettled()),
    )  # fmt: skip
    broker = make_broker(settings, clock, desk)
    broker.answered, broker.reported, engine.wire = engine.answered, engine.reported, broker
    return broker
