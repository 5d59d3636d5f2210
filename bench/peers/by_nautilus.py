"""SMA(10/30) cross by nautilus_trader. Arguments: columns, quantity. Prints fills, profit and the loop's seconds.

Its simulated exchange fills a market order given on a bar at that bar's close; the bench compares with that.
"""

import json
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import INR
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

columns, quantity = np.load(sys.argv[1]), int(sys.argv[2])
is_last = columns["is_last"].tolist()
CASH = 100_000_000
SHARE = Equity(
    instrument_id=InstrumentId(Symbol("S00"), Venue("NSE")), raw_symbol=Symbol("S00"), currency=INR, price_precision=4,
    price_increment=Price.from_str("0.0001"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
)  # fmt: skip
MINUTES = BarType.from_str("S00.NSE-1-MINUTE-LAST-EXTERNAL")


class Cross(Strategy):
    def __init__(self):
        super().__init__(StrategyConfig())
        self.fast, self.slow = SimpleMovingAverage(10), SimpleMovingAverage(30)
        self.row, self.was_above, self.cash, self.held, self.fills = -1, None, Decimal(0), Decimal(0), 0

    def on_start(self):
        self.register_indicator_for_bars(MINUTES, self.fast)
        self.register_indicator_for_bars(MINUTES, self.slow)
        self.subscribe_bars(MINUTES)

    def on_bar(self, _bar):
        self.row += 1
        if not self.slow.initialized:
            return
        above = self.fast.value > self.slow.value
        was_above, self.was_above = self.was_above, above
        if was_above is None or self.row < 31 or is_last[self.row]:
            return
        if above and not was_above and not self.held:
            self.give(OrderSide.BUY)
        elif was_above and not above and self.held:
            self.give(OrderSide.SELL)

    def give(self, side):
        self.submit_order(self.order_factory.market(SHARE.id, side, Quantity.from_int(quantity)))

    def on_order_filled(self, event):
        sign = 1 if event.order_side == OrderSide.BUY else -1
        self.fills += 1
        self.held += sign * event.last_qty.as_decimal()
        self.cash -= sign * event.last_qty.as_decimal() * event.last_px.as_decimal()


frame = pd.DataFrame(
    {name: columns[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(columns["at_us"], unit="us", utc=True),
)
engine = BacktestEngine(
    BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=False))
)
engine.add_venue(
    Venue("NSE"), oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=INR,
    starting_balances=[Money(CASH, INR)],
)  # fmt: skip
engine.add_instrument(SHARE)
engine.add_data(BarDataWrangler(MINUTES, SHARE).process(frame))
cross = Cross()
engine.add_strategy(cross)
start = time.perf_counter()
engine.run()
seconds = time.perf_counter() - start
worth = cross.cash + cross.held * Decimal(str(columns["close"][-1]))
print(json.dumps({"fills": cross.fills, "units": round(10_000 * worth), "seconds": seconds}))
