"""Copies of this process that run points: they have its bars, and each takes the next point when it is done."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from selectors import EVENT_READ, DefaultSelector
from typing import Any, NamedTuple, NoReturn, Self

import msgspec

from libs.core.errors import RetryLater
from services.backtest.sweep.point import Plan, PointResult, evaluate

#: Turns are numbers in a pipe, all written before anybody reads: a pipe may hold no more than a page of them.
_TURNS_MAX, _TURN_BYTES = 1000, 4
_LENGTH_BYTES = 8


class _Work(NamedTuple):
    """Points in stretches, each with its end and the pipe of its turns; a turn is so many points at once."""

    plan: Plan
    points: Sequence[dict[str, Any]]
    ends: Sequence[int]
    at_once: int
    turns: Sequence[int]

    def places(self, number: int) -> Iterator[int]:
        """Take turns: those of a fork's own stretch, then those that others have not come to."""
        stretches = list(zip(self.ends, self.turns, strict=True))
        for end, pipe in stretches[number:] + stretches[:number]:
            while turn := os.read(pipe, _TURN_BYTES):
                at = int.from_bytes(turn, "little")
                yield from range(at, min(at + self.at_once, end))


class Forks:
    """So many copies of this process, with all it has in memory. Only where `may_fork` says so.

    They need no pool: what they are to do is there when they are made, and to hand it out point by point takes a tenth
    of what points take. Leaving the block early ends them at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._forks: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for fork in self._forks:
            if kind is not None:
                os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)

    def __call__(self, plan: Plan, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
        """Run the points; give what became of them as they are finished."""
        forks = min(self._count, len(points))
        at_once = len(points) // _TURNS_MAX + 1
        edges = [len(points) * number // max(1, forks) for number in range(forks + 1)]
        # Points near each other have averages in common: each fork has a stretch of them, and goes on with the others'.
        turns = [_pipe_of(range(first, last, at_once)) for first, last in pairwise(edges)]
        work = _Work(plan, points, edges[1:], at_once, turns)
        count, told = 0, dict[int, bytearray]()
        with DefaultSelector() as pipes:
            try:
                for number in range(forks):
                    results = self._fork(work, number, list(told))
                    told[results] = bytearray()
                    pipes.register(results, EVENT_READ)
                while told:
                    for pipe in [key.fd for key, _ in pipes.select()]:
                        some = os.read(pipe, 1 << 20)
                        if not some:
                            pipes.unregister(pipe)
                            os.close(pipe)
                            del told[pipe]
                            continue
                        told[pipe] += some
                        for result in _whole(told[pipe], points):
                            count += 1
                            yield result
            finally:
                for descriptor in (*turns, *told):
                    os.close(descriptor)
        if count < len(points):
            raise RetryLater(
                "a worker of the sweep was killed, by want of memory perhaps; what was finished is kept: run the same "
                "command again, with fewer --workers"
            )

    def _fork(self, work: _Work, number: int, others: Iterable[int]) -> int:
        """Make a copy; give the pipe its results come through."""
        results, told = os.pipe()
        fork = os.fork()
        if not fork:
            for descriptor in (results, *others):  # or it would not hear of this process's end
                os.close(descriptor)
            _do(work, number, told)
        os.close(told)
        self._forks.append(fork)
        return results


def _pipe_of(turns: Iterable[int]) -> int:
    """Give a pipe that holds numbers, and ends behind the last."""
    pipe, into = os.pipe()
    os.write(into, b"".join(turn.to_bytes(_TURN_BYTES, "little") for turn in turns))
    os.close(into)
    return pipe


def _do(work: _Work, number: int, told: int) -> NoReturn:
    """Be a copy: run points at each turn, until there is none, or nobody to tell."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who was interrupted ends us
        gc.freeze()  # to walk over what is shared would copy it
        for place in work.places(number):
            content = msgspec.msgpack.encode((place, evaluate(work.plan, work.points[place])))
            left = memoryview(len(content).to_bytes(_LENGTH_BYTES, "little") + content)
            while left:
                left = left[os.write(told, left) :]
        code = 0
    finally:
        os._exit(code)


def _whole(content: bytearray, points: Sequence[dict[str, Any]]) -> Iterator[PointResult]:
    """Take the results that are there to their last byte out of what was read."""
    while len(content) >= _LENGTH_BYTES:
        end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        if len(content) < end:
            return
        # Not decoded as a `PointResult`, which would make floats of the figures that are whole.
        place, found = msgspec.msgpack.decode(memoryview(content)[_LENGTH_BYTES:end])
        del content[:end]
        yield PointResult(**found | {"parameters": points[place], "returns": tuple(found["returns"])})
