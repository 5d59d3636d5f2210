"""Copies of this process that run points: they have its bars, and each takes the next point when it is done."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Any, NoReturn, Self

import msgspec

from libs.core.errors import RetryLater
from services.backtest.sweep.point import Plan, PointResult, evaluate

#: Turns are numbers in a pipe, all written before anybody reads: a pipe may hold no more than a page of them.
_TURNS_MAX, _TURN_BYTES = 1000, 4
_LENGTH_BYTES = 8


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
        at_once = len(points) // _TURNS_MAX + 1
        turns, taken = os.pipe()
        os.write(taken, b"".join(at.to_bytes(_TURN_BYTES, "little") for at in range(0, len(points), at_once)))
        os.close(taken)
        count, told = 0, dict[int, bytearray]()
        with DefaultSelector() as pipes:
            try:
                for _ in range(min(self._count, len(points))):
                    results = self._fork(plan, points, at_once, turns, list(told))
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
                for descriptor in (turns, *told):
                    os.close(descriptor)
        if count < len(points):
            raise RetryLater(
                "a worker of the sweep was killed, by want of memory perhaps; what was finished is kept: run the same "
                "command again, with fewer --workers"
            )

    def _fork(self, plan: Plan, points: Sequence[dict[str, Any]], at_once: int, turns: int, others: list[int]) -> int:
        """Make a copy; give the pipe its results come through."""
        results, told = os.pipe()
        fork = os.fork()
        if not fork:
            for descriptor in (results, *others):  # or it would not hear of this process's end
                os.close(descriptor)
            _work(plan, points, at_once, turns, told)
        os.close(told)
        self._forks.append(fork)
        return results


def _work(plan: Plan, points: Sequence[dict[str, Any]], at_once: int, turns: int, told: int) -> NoReturn:
    """Be a copy: run a point at each turn, until there is none, or nobody to tell."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who was interrupted ends us
        gc.freeze()  # to walk over what is shared would copy it
        while turn := os.read(turns, _TURN_BYTES):
            at = int.from_bytes(turn, "little")
            for place in range(at, min(at + at_once, len(points))):
                content = msgspec.msgpack.encode((place, evaluate(plan, points[place])))
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
