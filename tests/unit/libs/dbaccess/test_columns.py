"""What a column cannot hold comes out as NULL in the table, and everything else as it went in."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

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


@pytest.mark.parametrize("text", ["", "ACME", "M&M's", '{"a": {0}}', "{}", "two\nlines", "नमस्ते", "a\x00b", "a''b\\"])
def test_a_text_that_every_row_has_comes_out_as_it_went_in(text):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows (n BIGINT, name VARCHAR)")
        insert(connection, "rows", {"name": texts([text] * 5000), "n": Column(np.arange(5000))})
        found = connection.execute("SELECT name, count(*) FROM rows GROUP BY name").fetchall()

    assert found == [(text, 5000)]


def test_only_a_text_that_every_row_has_is_spelled():
    assert "ACME" in texts(["ACME"] * 5000).expression
    assert texts([*["ACME"] * 4999, "BETA"]).expression == "{0}"
    assert texts(["two\nlines"] * 5000).expression == "{0}"


@pytest.mark.parametrize("prices", [[None] * 3, [None, 1.5, None], [1.5, None, 2.5], [1.5] * 3])
def test_floats_that_are_missing_come_out_missing(prices):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rows (n BIGINT, price DOUBLE)")
        insert(connection, "rows", {"price": floats(prices), "n": Column(np.arange(3))})
        found = connection.execute("SELECT price FROM rows ORDER BY n").fetchall()

    assert [price for (price,) in found] == prices
