"""SMA crosses of many pairs by a loop of numba's. Arguments: columns, quantity, pairs. Prints profits, and seconds."""

import json
import sys
import time

import numpy as np
from numba import njit


@njit
def profit(close, opens, is_last, fast, slow, quantity):
    """Add up what a long-only cross comes to, in ten-thousandths of a rupee: nothing else is kept."""
    fast_sum = slow_sum = cash = 0
    side = held = wanted = 0
    for row in range(len(close)):
        fast_sum += close[row] - (close[row - fast] if row >= fast else 0)
        slow_sum += close[row] - (close[row - slow] if row >= slow else 0)
        if row < slow - 1:
            continue
        above = fast_sum * slow - slow_sum * fast
        now = side if above == 0 else 1 if above > 0 else -1  # where they are equal, the side is the last there was
        turned, side = side == -now, now
        # The first bar with both averages only says on which side they are.
        if not turned or row <= slow or (now > 0) == (wanted > 0):
            continue
        wanted = 1 if now > 0 else 0
        if is_last[row] or held == wanted:
            continue
        cash += (held - wanted) * opens[row + 1] * quantity
        held = wanted
    return cash + held * close[-1] * quantity


columns, quantity, pairs = np.load(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
close, opens = (np.rint(columns[name] * 10_000).astype(np.int64) for name in ("close", "open"))
is_last = columns["is_last"]
profit(close[:500], opens[:500], is_last[:500], 2, 3, quantity)
begin = time.perf_counter()
found = [[fast, slow, int(profit(close, opens, is_last, fast, slow, quantity))] for fast, slow in pairs]
print(json.dumps({"profits": found, "seconds": time.perf_counter() - begin}))
