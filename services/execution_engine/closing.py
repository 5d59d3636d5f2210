"""Commands of more than one step. Flattening: orders are cancelled, then positions closed, again and again until
nothing is left or the day is over; and beside it what replaces orders.
"""

from __future__ import annotations

import msgspec

from libs.core.clock import US_PER_SECOND, Clock
from libs.dbaccess.trading.control import finish_command
from libs.orders.model import Purpose
from libs.trading.exits import ExitReason
from services.execution_engine.engine import Engine
from services.execution_engine.replacing import Replacing

#: A cancel that was refused while its order lives (too many requests) is not tried again sooner.
_AGAIN_NS = US_PER_SECOND * 1000


class Job(msgspec.Struct, frozen=True):
    """One command that closes positions; `symbol` empty: all of them."""

    command_id: str
    symbol: str


class Closing:
    """Works on flatten and square-off commands; they survive restarts as commands that are not finished."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._cancelled_ns: dict[str, int] = {}
        self.jobs: list[Job] = []
        self.replacing = Replacing(engine, clock)

    def begin(self, job: Job) -> dict[str, int]:
        """Take on a job and do its first step; say what there is to close."""
        if job not in self.jobs:
            self.jobs.append(job)
        found = self._count(job)
        self.step()
        return found

    def step(self) -> None:
        """Cancel and close what is left of every job; finish those with nothing left."""
        for job in list(self.jobs):
            self._step(job)
            if not any(self._count(job).values()):
                self._finish(job, "done", {"closed": True})
        self.replacing.step()

    def end_day(self) -> None:
        """A job does not reach into another day: what is left is a person's to judge."""
        for job in list(self.jobs):
            self._finish(job, "failed", {"error": "the session ended before everything was closed"})
        self.replacing.end_day()
        self._cancelled_ns.clear()

    def _step(self, job: Job) -> None:
        engine = self._engine
        for order in list(engine.desk.orders.unsettled()):
            # Our own closing orders are left to fill.
            wanted = job.symbol in {"", order.symbol}
            if wanted and order.purpose is not Purpose.FLATTEN and not order.is_cancelling:
                self._cancel(order.order_id)
        for position in engine.desk.positions.open():
            if job.symbol in {"", position.key.symbol}:
                engine.leave(position.key, ExitReason.FLATTEN, Purpose.FLATTEN)

    def _cancel(self, order_id: str) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._cancelled_ns.get(order_id, -_AGAIN_NS) >= _AGAIN_NS:
            self._cancelled_ns[order_id] = now_ns
            self._engine.cancel(order_id, "flatten")

    def _count(self, job: Job) -> dict[str, int]:
        desk = self._engine.desk
        orders = [order for order in desk.orders.unsettled() if job.symbol in {"", order.symbol}]
        positions = [each for each in desk.positions.open() if job.symbol in {"", each.key.symbol}]
        return {"orders": len(orders), "positions": len(positions)}

    def _finish(self, job: Job, state: str, answer: dict[str, object]) -> None:
        self.jobs.remove(job)
        with self._engine.store.transaction() as entry:
            finish_command(entry.connection, job.command_id, state, answer, self._clock.now_us())
