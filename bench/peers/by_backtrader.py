"""SMA(10/30) cross by backtrader. Arguments: columns, quantity. Prints fills, profit and the loop's seconds."""

import json
import sys
import time

import backtrader as bt
import numpy as np
import pandas as pd

columns, quantity = np.load(sys.argv[1]), int(sys.argv[2])
is_last = columns["is_last"]
fills = []


class Cross(bt.Strategy):
    def __init__(self):
        self.fast = bt.indicators.SMA(self.data.close, period=10)
        self.slow = bt.indicators.SMA(self.data.close, period=30)

    def next(self):
        row = len(self.data) - 1
        if row < 31 or is_last[row]:
            return
        above, was_above = self.fast[0] > self.slow[0], self.fast[-1] > self.slow[-1]
        if above and not was_above and not self.position:
            self.buy(size=quantity)
        elif was_above and not above and self.position:
            self.close()

    def notify_order(self, order):
        if order.status == order.Completed:
            fills.append(order)


frame = pd.DataFrame(
    {name: columns[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(columns["at_us"], unit="us"),
)
brain = bt.Cerebro(stdstats=False)
brain.adddata(bt.feeds.PandasData(dataname=frame))
brain.addstrategy(Cross)
brain.broker.setcash(100_000_000)
start = time.perf_counter()
brain.run()
seconds = time.perf_counter() - start
units = round(10_000 * (brain.broker.getvalue() - 100_000_000))
print(json.dumps({"fills": len(fills), "units": int(units), "seconds": seconds}))
