"""SMA(10/30) cross by backtesting.py. Arguments: columns, quantity. Prints fills, profit and the loop's seconds."""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

columns, quantity = np.load(sys.argv[1]), int(sys.argv[2])
is_last = columns["is_last"]


def average(values, count):
    return pd.Series(values).rolling(count).mean()


class Cross(Strategy):
    def init(self):
        self.fast = self.I(average, self.data.Close, 10)
        self.slow = self.I(average, self.data.Close, 30)

    def next(self):
        # The first bar with both averages only says on which side they are.
        row = len(self.data) - 1
        if row < 31 or is_last[row]:
            return
        above, was_above = self.fast[-1] > self.slow[-1], self.fast[-2] > self.slow[-2]
        if above and not was_above and not self.position:
            self.buy(size=quantity)
        elif was_above and not above and self.position:
            self.position.close()


frame = pd.DataFrame(
    {name.title(): columns[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(columns["at_us"], unit="us"),
)
warnings.simplefilter("ignore")
test = Backtest(frame, Cross, cash=100_000_000, commission=0, trade_on_close=False, finalize_trades=False)
start = time.perf_counter()
stats = test.run()
seconds = time.perf_counter() - start
closed, left = stats["_trades"], stats["_strategy"].trades
units = round(10_000 * (closed["PnL"].sum() + sum(trade.pl for trade in left)))
print(json.dumps({"fills": 2 * len(closed) + len(left), "units": int(units), "seconds": seconds}))
