"""SMA crosses of many pairs by vectorbt. Arguments: columns, quantity, pairs. Prints fast, slow and profit of each."""

import json
import sys

import numpy as np
import pandas as pd
import vectorbt as vbt

columns, quantity, pairs = np.load(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
close = pd.Series(columns["close"])
averages = {length: close.rolling(length).mean() for length in {each for pair in pairs for each in pair}}
rows = np.arange(len(close))
entries, exits = {}, {}
for fast, slow in pairs:
    above, equal = averages[fast] > averages[slow], averages[fast] == averages[slow]
    if equal.any():  # there the side is the last there was
        above = above.astype(float).mask(equal).ffill() > 0
    before = above.shift(1, fill_value=False)
    # The first bar with both averages only says on which side they are.
    may = ~pd.Series(columns["is_last"]) & (rows >= slow + 1)
    entries[fast, slow] = (above & ~before & may).shift(1, fill_value=False)
    exits[fast, slow] = (before & ~above & may).shift(1, fill_value=False)
portfolio = vbt.Portfolio.from_signals(
    close, pd.DataFrame(entries), pd.DataFrame(exits), price=pd.Series(columns["open"]), size=quantity,
    init_cash=100_000_000, freq="1min",
)  # fmt: skip
profits = (10_000 * portfolio.total_profit()).round().astype(int)
print(json.dumps([[fast, slow, int(profits[fast, slow])] for fast, slow in pairs]))
