"""What a column cannot hold comes out as NULL in the table, and everything else as it went in."""

from __future__ import annotations

import duckdb
import numpy as np

from libs.dbaccess.columns import Column, floats, insert, integers, stamps, texts


def test_rows_come_out_as_they_went_in():
    """Numpy has no missing value: the one that stands for it must not be seen, and no other value be lost."""
    count = 3000
    names = [f"symbol {n}" if n % 7 else "" for n in range(count)]
    profits = [None if n < 2000 else n - 2500 for n in range(count)]
    prices = [None if n % 2 else n / 8 for n in range(count)]
    at_us = [None if n % 3 else 1_769_998_500_000_000 + n for n in range(count)]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows (n BIGINT, name VARCHAR, profit BIGINT, price DOUBLE, sent TIMESTAMPTZ)")
        insert(connection, "rows", {"name": texts(()), "n": integers(())})
        insert(
            connection, "rows",
            {"n": Column(np.arange(count)), "name": texts(names), "profit": integers(profits), "price": floats(prices),
             "sent": stamps(at_us)},
        )  # fmt: skip
        found = connection.execute("SELECT name, profit, price, epoch_us(sent) FROM rows ORDER BY n").fetchall()

    assert found == list(zip(names, profits, prices, at_us, strict=True))
