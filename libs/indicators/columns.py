"""Columns in, columns out: kernels compiled at their first call, and the rule for missing values."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.core.errors import Refused

P = ParamSpec("P")
R = TypeVar("R")

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Column: TypeAlias = npt.ArrayLike

_IST_OFFSET_US = 330 * US_PER_MINUTE


#: So many rows a process walks in plain Python before it compiles: about what importing numba costs.
WALKED_ROWS_MAX = 200_000
_rows_walked = 0
_has_compiled = False


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop over columns with numba once there is enough to walk, kept on disk for the next process.

    Importing numba takes more than a second: whoever only streams never pays it, nor who has a few days of minutes.
    Kernels do the same arithmetic in the same order as the streaming forms (no fast-math), so that the plain, the
    compiled and the streaming form agree to the bit.
    """
    compiled: Callable[P, R] | None = None

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal compiled
        if compiled is None:
            if _may_walk(args):
                # Elements of a list cost a fraction of an array's, and are Python's own floats.
                return function(*(_listed(arg) for arg in args), **kwargs)  # type: ignore[arg-type]  # read only
            compiled = _compile(function)
        return compiled(*args, **kwargs)

    return call


def has_compiled() -> bool:
    """Whether this process compiled a kernel: then another one costs little."""
    return _has_compiled


def _may_walk(args: tuple[object, ...]) -> bool:
    global _rows_walked  # noqa: PLW0603 - one budget for all kernels: numba is imported once
    rows = max((len(arg) for arg in args if isinstance(arg, np.ndarray)), default=0)
    if _rows_walked + rows > WALKED_ROWS_MAX:
        return False
    _rows_walked += rows
    return True


def _listed(arg: object) -> object:
    return arg.tolist() if isinstance(arg, np.ndarray) else arg


def _compile(function: Callable[P, R]) -> Callable[P, R]:
    global _has_compiled  # noqa: PLW0603 - as above
    from numba import njit

    _has_compiled = True
    try:
        return cast("Callable[P, R]", njit(cache=True)(function))
    except RuntimeError:  # no directory a cache could be written to: a read-only installation
        return cast("Callable[P, R]", njit(function))


class Remembering(dict[str, npt.NDArray[Any]]):
    """Columns that keep what was computed of them, for many who ask for the same: nobody may write to it.

    Once there is more than `bytes_max`, what was asked for longest ago goes. Threads may ask at the same time;
    what two of them miss is computed by both.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], bytes_max: int) -> None:
        super().__init__(columns)
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Hashable, dict[str, Floats]] = OrderedDict()

    def remember(self, key: Hashable, compute: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
        """Give what was computed under a key, computed now if it was not."""
        found = self._kept.get(key)
        if found is not None:
            with suppress(KeyError):  # another thread let go of it meanwhile
                self._kept.move_to_end(key)
            return found
        made = compute()
        for column in made.values():
            column.flags.writeable = False
        found = self._kept.setdefault(key, made)
        if found is made:
            self._bytes += _bytes_of(made)
            if self._bytes > self._bytes_max:
                self._let_go()
        return found

    def _let_go(self) -> None:
        """Keep the newer half, counted anew: two threads that add to a number at once may lose one's share."""
        self._bytes = sum(map(_bytes_of, list(self._kept.values())))
        while self._bytes > self._bytes_max // 2 and len(self._kept) > 1:
            self._bytes -= _bytes_of(self._kept.popitem(last=False)[1])

    def part(self, start: int, end: int) -> Remembering:
        """Give the rows from start up to end; what is computed of them is kept here."""
        return _Part(self, start, end)


class _Part(Remembering):
    """Some rows of columns that remember."""

    def __init__(self, whole: Remembering, start: int, end: int) -> None:
        super().__init__({name: column[start:end] for name, column in whole.items()}, 0)
        self._whole, self._rows = whole, (start, end)

    def remember(self, key: Hashable, compute: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
        return self._whole.remember((self._rows, key), compute)


def _bytes_of(columns: Mapping[str, Floats]) -> int:
    return sum(column.nbytes for column in columns.values())


def over_valid(
    compute: Callable[..., Any], *columns: Column, timestamps: Column | None = None, outputs: int = 1
) -> Any:
    """Run a computation over the rows without a missing (NaN or infinite) value; the other rows come out as NaN.

    `timestamps` go to the computation last, as integers, and are never missing.
    Gives one column, or as many as `outputs` says.
    """
    floats: list[npt.NDArray[Any]] = [np.ascontiguousarray(column, dtype=np.float64) for column in columns]
    times = [] if timestamps is None else [np.ascontiguousarray(timestamps, dtype=np.int64)]
    _same_length([*floats, *times])
    # A finite sum has finite parts, and takes a fraction of the time of a look at each.
    with np.errstate(invalid="ignore", over="ignore"):
        complete = all(np.isfinite(column.sum()) for column in floats)
    if complete:
        return compute(*floats, *times)
    valid = np.logical_and.reduce([np.isfinite(column) for column in floats])
    dense = compute(*(column[valid] for column in [*floats, *times]))
    if outputs == 1:
        return _scatter(dense, valid)
    return tuple(_scatter(column, valid) for column in dense)


def session_days(timestamps: Integers) -> Integers:
    """Number the exchange's dates (IST), as the streaming forms do bar by bar."""
    return (timestamps + _IST_OFFSET_US) // US_PER_DAY


def day_starts(timestamps: Integers) -> Integers:
    """Give the first row of each of the exchange's dates among instants in the order of time."""
    if not len(timestamps):
        return np.empty(0, np.int64)
    days = np.arange(session_day(timestamps.item(0)), session_day(timestamps.item(-1)) + 1)
    rows: Integers = timestamps.searchsorted(days * US_PER_DAY - _IST_OFFSET_US)
    found: Integers = rows[np.append(True, np.diff(rows) != 0)]
    return found


def day_ends(timestamps: Integers) -> Integers:
    """Give the last row of each of the exchange's dates among instants in the order of time."""
    rows = len(timestamps)
    found: Integers = np.append(day_starts(timestamps)[1:], rows)[:rows] - 1
    return found


def session_day(timestamp_us: int) -> int:
    """Number the exchange's date (IST) of one bar."""
    return (timestamp_us + _IST_OFFSET_US) // US_PER_DAY


def minutes_of_day(timestamps: Integers) -> Integers:
    """Minutes since midnight IST, of each row."""
    return (timestamps + _IST_OFFSET_US) % US_PER_DAY // US_PER_MINUTE


def minute_of_day(timestamp_us: int) -> int:
    """Minutes since midnight IST."""
    return (timestamp_us + _IST_OFFSET_US) % US_PER_DAY // US_PER_MINUTE


def _scatter(dense: Floats, valid: npt.NDArray[np.bool_]) -> Floats:
    full = np.full(len(valid), np.nan)
    full[valid] = dense
    return full


def _same_length(columns: list[npt.NDArray[Any]]) -> None:
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise Refused(f"columns of one length expected, found {sorted(lengths)}")
