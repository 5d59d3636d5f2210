"""Issue 4: the rule that takes a good row at a glance and the rules that say what is wrong with a bad one agree."""

from __future__ import annotations

from itertools import product

import duckdb
import pytest

from libs.core.clock import US_PER_MINUTE
from libs.dbaccess.importing import ImportRequest
from libs.dbaccess.importing.rows import _rules

PRICES = ("NULL", "'nan'", "'inf'", "'-inf'", "-1", "0", "5e-324", "2", "3")
OTHERS = {
    "ts_us": ("NULL", "-60000000", "0", str(30 * US_PER_MINUTE), "1", "10000000000000000", "10000000060000000"),
    "volume": ("NULL", "-1", "0", "7"),
    "symbol": ("NULL", "''", "'TCS'"),
}
FIELDS = {"candles": ("open", "high", "low", "close"), "ticks": ("price",)}


@pytest.mark.parametrize(("data_type", "timeframe"), [("candles", "1m"), ("candles", "1d"), ("ticks", None)])
def test_a_row_is_good_exactly_when_nothing_is_wrong_with_it(data_type, timeframe):
    """Every mixture of prices, with every other cell in turn and all of them together: missing, not finite, too low."""
    rules = _rules(ImportRequest(data_type, timeframe=timeframe))
    good = " AND ".join(f"({holds})" for _, holds, _ in rules)
    broken = " OR ".join(f"coalesce({broken}, false)" for _, _, broken in rules)
    prices, others = FIELDS[data_type], list(product(*OTHERS.values()))
    cells = ", ".join(f"(SELECT unnest([{', '.join(f'{p}::DOUBLE' for p in PRICES)}]) AS {name})" for name in prices)
    rows = ", ".join(f"({ts}::BIGINT, {volume}::BIGINT, {symbol}, false)" for ts, volume, symbol in others)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT count(*), count(*) FILTER ({good}), count(*) FILTER (coalesce({good}, false) = ({broken}))"
            f" FROM {cells}, (VALUES {rows}) AS o(ts_us, volume, symbol, bad_volume)"
        ).fetchone()

    assert found is not None
    total, taken, disagreed = found
    assert total == len(PRICES) ** len(prices) * len(others)
    assert taken > 0
    assert disagreed == 0
