"""Where points are run: here, in a pool of processes, or on a Dask cluster. All give results as they are finished."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from libs.core.errors import Refused, RetryLater
from services.backtest.bars import BarsSource
from services.backtest.forking import may_fork
from services.backtest.form import OUTRIGHT
from services.backtest.sweep.forks import Forks
from services.backtest.sweep.point import Plan, PointResult, evaluate, load_seconds

#: What the start of a process takes before it loads, and how many times its start what it saves must come to.
START_S, WORTH_IT = 1.0, 1.5
#: What it takes to fork, and to work out again what two of them both need.
FORKS_S = 0.1

#: Points given to each worker ahead of their turn, so that none waits for the next.
_AHEAD = 2

#: Takes a plan and points; gives what became of them, in any order.
Workers = Callable[[Plan, Sequence[dict[str, Any]]], Iterator[PointResult]]


def in_this_process(plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
    """Run the points one after the other."""
    for point in points:
        yield evaluate(plan, point)


class Team:
    """Runs points in this process while they are quick, in a pool of processes where those left are worth its start.

    A process starts in about a second, loads the bars again, and saves the others a part of what is left: that is told
    from the first points, which are run here. Points that are worked out of columns are run by forks of this process,
    which have its bars, where it may be forked; else by its threads, which hand the interpreter to each other all the
    time. `bars` are those of its plans, where somebody has begun to read them.
    """

    def __init__(self, count: int, bars: BarsSource | None = None) -> None:
        if count < 1:
            raise Refused(f"{count} workers; at least 1")
        self._count = count
        self._bars = bars
        self._closing = ExitStack()
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self._closing.__exit__(kind, error, trace)

    def __call__(self, plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
        """Run the points; a sweep that went on to processes stays with them."""
        left = list(points)
        for turn in (1, 2):  # the first pays for the proof of its form, the second tells what the others will take
            if self._pool is not None or not left:
                break
            result = evaluate(plan, left.pop(0), self._bars)
            yield result
            saved = result.seconds * len(left) * (1 - 1 / self._count)
            if turn == 2 and result.form != OUTRIGHT and saved > WORTH_IT * (START_S + load_seconds(plan)):
                self._pool = self._closing.enter_context(Pool(self._count))
        if self._pool is not None:
            yield from self._pool(plan, left)
        elif left and result.form == OUTRIGHT:
            if self._count > 1 and saved > WORTH_IT * FORKS_S and may_fork():
                with Forks(self._count) as forks:
                    yield from forks(plan, left)
            else:
                yield from self._by_threads(plan, left)
        else:
            yield from in_this_process(plan, left)

    def _by_threads(self, plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
        with ThreadPoolExecutor(self._count, thread_name_prefix="sweep") as threads:
            try:
                for future in as_completed([threads.submit(evaluate, plan, point) for point in points]):
                    yield future.result()
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise


class Pool:
    """Processes of this machine, each with the data once. Leaving the block early ends them at once."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise Refused(f"{count} workers; at least 1")
        self._count = count
        others = set(multiprocessing.active_children())
        self._executor = ProcessPoolExecutor(
            # Forking a process that has threads of DuckDB's and Arrow's may hang; a fresh one costs a second.
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_worker,
        )
        self._others = others

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # Ctrl-C, or something broke: what is at work is not waited for
            for worker in set(multiprocessing.active_children()) - self._others:
                worker.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __call__(self, plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
        """Run the points; only a few are handed out ahead, so that an interrupt finds little to take back."""
        left = iter(points)
        at_work: set[Future[PointResult]] = set()
        try:
            while True:
                for point in left:
                    at_work.add(self._executor.submit(evaluate, plan, point))
                    if len(at_work) >= self._count * _AHEAD:
                        break
                if not at_work:
                    return
                done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as e:
            raise RetryLater(
                "a worker of the sweep was killed, by want of memory perhaps; what was finished is kept: run the same "
                "command again, with fewer --workers"
            ) from e


class Cluster:
    """A Dask scheduler's workers. They read the data root at the same path and run the same version of the code."""

    def __init__(self, address: str) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as e:
            raise Refused("--cluster needs Dask: `pip install 'tradefleet[cluster]'`") from e
        self._distributed = distributed
        try:
            self._client = distributed.Client(address, timeout="10s", set_as_default=False)
        except (OSError, TimeoutError) as e:
            raise RetryLater(f"no Dask scheduler answers at {address}: {e}") from e

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # takes back what was handed out

    def __call__(self, plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
        """Run the points on the cluster."""
        if not self._client.scheduler_info()["workers"]:
            raise RetryLater("the Dask scheduler has no workers; start some, such as `dask worker tcp://host:port`")
        futures = self._client.map(evaluate, [plan] * len(points), list(points), pure=False)
        for future in self._distributed.as_completed(futures, loop=self._client.loop):
            yield future.result()


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing is left to tidy up; the interpreter's own end would complain about DuckDB's types over the progress bar.
    atexit.register(os._exit, 0)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
