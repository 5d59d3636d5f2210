"""SMA(10/30) cross by vectorbt. Arguments: columns, quantity. Prints fills, profit and the loop's seconds."""

import json
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt

columns, quantity = np.load(sys.argv[1]), int(sys.argv[2])
close, opens = pd.Series(columns["close"]), pd.Series(columns["open"])
start = time.perf_counter()
above = close.rolling(10).mean() > close.rolling(30).mean()
before = above.shift(1, fill_value=False)
may = ~pd.Series(columns["is_last"]) & (np.arange(len(close)) >= 31)
portfolio = vbt.Portfolio.from_signals(
    close, (above & ~before & may).shift(1, fill_value=False), (before & ~above & may).shift(1, fill_value=False),
    price=opens, size=quantity, init_cash=100_000_000, freq="1min",
)  # fmt: skip
fills, units = len(portfolio.orders.records), round(10_000 * portfolio.total_profit())
seconds = time.perf_counter() - start
print(json.dumps({"fills": fills, "units": int(units), "seconds": seconds}))
