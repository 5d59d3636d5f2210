"""Columns between Arrow and numpy come out as pyarrow's own ways would have them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from libs.core.errors import Refused
from libs.dbaccess import buffers

STAMP = pa.timestamp("us", "UTC")


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 65])
def test_what_is_written_is_what_arrow_would_write(count):
    numbers = [None if row % 5 == 3 else row * 7 for row in range(count)]
    prices = [None if row % 4 == 1 else row / 8 for row in range(count)]
    texts = ["" if row % 3 == 1 else "₹" * (row % 3) + str(row) for row in range(count)]
    bits = np.arange(count) % 3 == 0

    assert buffers.integers(numbers).equals(pa.array(numbers, pa.int64()))
    assert buffers.stamps(numbers).equals(pa.array(numbers, pa.int64()).cast(STAMP))
    assert buffers.floats(prices).equals(pa.array(prices, pa.float64()))
    assert buffers.texts(texts).equals(pa.array(texts, pa.string()))
    assert buffers.flags(bits).equals(pa.array(bits))
    assert buffers.column_of(np.arange(count)).equals(pa.array(np.arange(count)))


@pytest.mark.parametrize(("start", "length"), [(0, 20), (3, 9), (8, 0), (11, 9)])
def test_what_is_read_is_what_was_there(start, length):
    """Slices begin in the middle of a byte of the bits that say what is missing, and columns come in pieces."""
    prices = [None if row % 4 == 1 else row / 8 for row in range(20)]
    whole = pa.chunked_array([pa.array(prices[:6]), pa.array([], pa.float64()), pa.array(prices[6:])])
    expected = np.array([np.nan if price is None else price for price in prices])[start : start + length]

    np.testing.assert_array_equal(buffers.numbers(whole.slice(start, length)), expected)
    np.testing.assert_array_equal(buffers.numbers(pa.array(prices).slice(start, length)), expected)
    instants = pa.array(range(20), STAMP).slice(start, length)
    np.testing.assert_array_equal(buffers.numbers(instants), np.arange(start, start + length))


def test_what_numpy_cannot_hold_is_refused():
    """A missing integer would come out as whatever lies in the buffer, and a text as its length."""
    with pytest.raises(Refused, match="1 of 2 values of type int64 are missing"):
        buffers.numbers(pa.array([1, None]))
    with pytest.raises(Refused, match="type string holds no numbers"):
        buffers.numbers(pa.array(["1"]))
