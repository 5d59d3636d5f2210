"""The candles of a sweep, read by a process of their own.

DuckDB's package, its planning and its answers want the interpreter, and so do the imports of a sweep: side by side in
one process each waits for the other. Beside each other in two they do not; and this one, which never opens DuckDB, has
no thread of its, and may be forked for the points.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn, Self

import msgspec

from libs.dbaccess.candles import CandleColumns
from libs.settings import Settings
from services.backtest.bars import Bars, BarsReader, BarsSource, begin_to_read, stores_of
from services.backtest.forking import may_fork
from services.backtest.wanted import Asking, Wanted

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager

#: The columns of a candle in the order they lie in memory.
_KINDS = ("int64", "float64", "float64", "float64", "float64", "int64")
_WIDTH = 8


class _Question(msgspec.Struct, frozen=True):
    """So many candles of a symbol before the first day."""

    symbol: str
    count: int


class _Answer(msgspec.Struct, frozen=True):
    """Rows by symbol, whose columns lie behind each other from a place in memory on."""

    symbols: tuple[tuple[str, int], ...]
    start: int
    days_missing: tuple[date, ...] = ()
    seconds: float = 0.0


def begin_to_read_apart(settings: Settings, data_root: str, request: Asking, *, days_at_once: int) -> BarsSource:
    """Begin to read in a process of its own; on a thread where this one may not be forked."""
    if hasattr(os, "memfd_create") and may_fork(wait_s=0.0):
        return BarsApart(settings, data_root, request, days_at_once=days_at_once)
    return begin_to_read(settings, data_root, request, days_at_once=days_at_once)


class BarsApart:
    """What `BarsReader` is, by a fork of this process, made while that has no other thread.

    Where the fork gives no answer, its errors and its end included, this process reads for itself: then what is wrong
    is said here, in its own words.
    """

    def __init__(self, settings: Settings, data_root: str, request: Asking, *, days_at_once: int) -> None:
        self.request = request
        self._stores = partial(stores_of, settings, data_root)
        self._begin = partial(begin_to_read, settings, data_root, request, days_at_once=days_at_once)
        self._db: DatabaseManager | None = None
        self._own: BarsReader | None = None
        self._found: Bars | None = None
        self._memory = os.memfd_create("bars")
        questions, self._asks = os.pipe()
        self._answers, answers = os.pipe()
        self._is_closed = self._is_gone = False
        self._reader = os.fork()
        if not self._reader:
            os.close(self._asks)
            os.close(self._answers)
            _serve(self._begin, questions, answers, self._memory)
        os.close(questions)
        os.close(answers)

    @property
    def db(self) -> DatabaseManager:
        """Give the stores, opened here when they are first asked for."""
        self._db = self._db or self._stores()
        return self._db

    def serves(self, request: Asking) -> bool:
        """Whether these are the bars of a request."""
        return Wanted.by(self.request) == Wanted.by(request)

    def bars(self) -> Bars:
        """Give what the request asks for, when it is there."""
        if self._found is None:
            answer = self._answered()
            if answer is None:
                self._found = self._reads_here().bars()
            else:
                self._found = Bars(self._placed(answer), answer.days_missing, answer.seconds)
        return self._found

    def before(self, symbol: str, count: int) -> tuple[CandleColumns, ...]:
        """Give so many candles of a symbol before the request's first day; nothing where there are none."""
        self.bars()  # its answer comes first
        with suppress(BrokenPipeError):
            if self._own is None:
                os.write(self._asks, msgspec.json.encode(_Question(symbol, count)) + b"\n")
        answer = self._answered()
        return self._reads_here().before(symbol, count) if answer is None else self._placed(answer)

    def close(self) -> None:
        """End the reader, which has nothing that could be left half done; called again, see that it is gone."""
        if self._own is not None:
            self._own.close()
        if not self._is_closed:
            self._is_closed = True
            os.kill(self._reader, signal.SIGKILL)
            for descriptor in (self._asks, self._answers, self._memory):
                os.close(descriptor)
            self._is_gone = bool(os.waitpid(self._reader, os.WNOHANG)[0])
        elif not self._is_gone:
            self._is_gone = bool(os.waitpid(self._reader, 0)[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answered(self) -> _Answer | None:
        """Wait for a line; None where the reader has come to an end."""
        line = b""
        while self._own is None and not line.endswith(b"\n"):
            some = os.read(self._answers, 1 << 16)
            if not some:
                return None
            line += some
        return msgspec.json.decode(line, type=_Answer) if line else None

    def _reads_here(self) -> BarsReader:
        self._own = self._own or self._begin()
        return self._own

    def _placed(self, answer: _Answer) -> tuple[CandleColumns, ...]:
        import numpy as np

        rows_all = sum(rows for _, rows in answer.symbols)
        if not rows_all:
            return ()
        # Whoever writes to a column has its page for himself; columns keep the memory.
        memory = mmap.mmap(
            self._memory, rows_all * len(_KINDS) * _WIDTH, access=mmap.ACCESS_COPY, offset=answer.start
        )  # fmt: skip
        found, at = [], 0
        for symbol, rows in answer.symbols:
            columns = []
            for kind in _KINDS:
                columns.append(np.frombuffer(memory, kind, rows, at))
                at += rows * _WIDTH
            found.append(CandleColumns(symbol, *columns))
        return tuple(found)


def _serve(begin: Callable[[], BarsReader], questions: int, answers: int, memory: int) -> NoReturn:
    """Be the reader: nothing of the process it was made of is to be tidied up."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who was interrupted ends us
        threading.Thread(target=_end_with, args=(questions,), daemon=True).start()
        with begin() as reader:
            import_module("numpy")  # its first answer finds it there
            bars = reader.bars()
            end = _answer(answers, memory, 0, bars.columns, bars.days_missing, bars.seconds)
            for line in os.fdopen(questions, "rb"):
                asked = msgspec.json.decode(line, type=_Question)
                end = _answer(answers, memory, end, reader.before(asked.symbol, asked.count))
    finally:
        os._exit(1)


def _end_with(questions: int) -> None:
    """Do not outlive who asks."""
    poll = select.poll()
    poll.register(questions, 0)
    poll.poll()
    os._exit(1)


def _answer(
    answers: int, memory: int, end: int, columns: Iterable[CandleColumns], days_missing: Iterable[date] = (),
    seconds: float = 0.0,
) -> int:  # fmt: skip
    """Put columns behind what is in memory, and say where; give the new end."""
    import numpy as np

    found = tuple(columns)
    start = at = -(-end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
    for each in found:
        for kind, column in zip(_KINDS, each[1:], strict=True):
            at = _put(memory, np.ascontiguousarray(column, kind).data.cast("B"), at)
    symbols = tuple((each.symbol, len(each.timestamps)) for each in found)
    os.write(answers, msgspec.json.encode(_Answer(symbols, start, tuple(days_missing), seconds)) + b"\n")
    return at


def _put(memory: int, content: memoryview, at: int) -> int:
    while content:
        written = os.pwrite(memory, content, at)
        at, content = at + written, content[written:]
    return at
