"""The faults in force: each with an optional delay, duration, count and probability, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from libs.core.clock import Clock
from libs.core.errors import Refused
from services.exchange_sim.faults.kinds import KINDS

ACTIVE_MAX = 200


@dataclass
class Fault:
    """One scripted fault. Times are real time, because the client's time-outs are."""

    fault_id: int
    kind: str
    parameters: dict[str, Any]
    starts_ns: int
    ends_ns: int | None
    count: int | None
    probability: float
    applied: int = 0

    def describe(self) -> dict[str, Any]:
        """Say what it is and how often it struck."""
        return {
            "id": self.fault_id,
            "kind": self.kind,
            "parameters": self.parameters,
            "count": self.count,
            "probability": self.probability,
            "applied": self.applied,
        }


class FaultPlan:
    """Holds the faults; the places that can fail ask `strike` whether they should."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._rng = random.Random(seed)  # noqa: S311  # the same faults for the same seed
        self._faults: dict[int, Fault] = {}
        self._next_id = 1
        #: Every fault that ever struck, by kind.
        self.struck: dict[str, int] = {}
        #: Told of a new fault, so that the immediate ones can act.
        self.on_add: Callable[[Fault], None] = lambda _: None

    def add(self, kind: str, options: Mapping[str, Any]) -> Fault:
        """Check and set a fault; `options` are its parameters and count, duration_s, after_s, probability."""
        rest = dict(options)
        count = _option(rest, "count", int, 1)
        duration_s = _option(rest, "duration_s", float, 0.001)
        after_s = _option(rest, "after_s", float, 0.0) or 0.0
        probability = _option(rest, "probability", float, 0.0)
        parameters = _parameters(kind, rest)
        if len(self.active()) >= ACTIVE_MAX:
            raise Refused(f"{ACTIVE_MAX} faults are in force; clear some first")
        starts_ns = self._clock.monotonic_ns() + int(after_s * 1e9)
        fault = Fault(
            fault_id=self._next_id,
            kind=kind,
            parameters=parameters,
            starts_ns=starts_ns,
            ends_ns=None if duration_s is None else starts_ns + int(duration_s * 1e9),
            count=count,
            probability=1.0 if probability is None else probability,
        )
        self._next_id += 1
        self._faults[fault.fault_id] = fault
        self.on_add(fault)
        return fault

    def active(self) -> list[Fault]:
        """List the faults that are in force or still to come."""
        now_ns = self._clock.monotonic_ns()
        gone = [
            fault.fault_id
            for fault in self._faults.values()
            if (fault.ends_ns is not None and now_ns >= fault.ends_ns)
            or (fault.count is not None and fault.applied >= fault.count)
        ]
        for fault_id in gone:
            del self._faults[fault_id]
        return list(self._faults.values())

    def clear(self, fault_id: int | None = None) -> int:
        """Take one fault away, or all; say how many went."""
        if fault_id is None:
            count = len(self._faults)
            self._faults.clear()
            return count
        return int(self._faults.pop(fault_id, None) is not None)

    def strike(self, kind: str, **facts: Any) -> Fault | None:
        """Say whether a fault of this kind happens here and now, and count it.

        A parameter that the fault leaves empty (or "all") matches everything; `path` matches as a prefix.
        """
        if not self._faults:
            return None
        now_ns = self._clock.monotonic_ns()
        for fault in self.active():
            if fault.kind != kind or now_ns < fault.starts_ns or not _matches(fault, facts):
                continue
            if fault.probability < 1.0 and self._rng.random() >= fault.probability:
                continue
            self.note(fault)
            return fault
        return None

    def note(self, fault: Fault) -> None:
        """Count that a fault struck."""
        fault.applied += 1
        self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1

    def in_force(self, kind: str, **facts: Any) -> Fault | None:
        """Find a lasting fault (a halt, a mute socket, a skewed clock) without using it up."""
        if not self._faults:
            return None
        now_ns = self._clock.monotonic_ns()
        return next(
            (
                fault
                for fault in self.active()
                if fault.kind == kind and now_ns >= fault.starts_ns and _matches(fault, facts)
            ),
            None,
        )


def _option(options: dict[str, Any], name: str, kind: type, least: float) -> Any:
    value = options.pop(name, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise Refused(f"{name} is {value!r}; expected a number of at least {least}")
    if name == "probability" and value > 1:
        raise Refused(f"probability is {value!r}; expected 0 to 1")
    return kind(value)


def _parameters(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in KINDS:
        raise Refused(f"{kind!r} is no fault; expected one of {', '.join(KINDS)}")
    known = KINDS[kind].parameters
    parameters = dict(known)
    for name, value in given.items():
        if name not in known:
            expected = ", ".join([*known, "count", "duration_s", "after_s", "probability"])
            raise Refused(f"{kind} takes no {name!r}; expected {expected}")
        wanted = type(known[name])
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)  # noqa: PLW2901  # JSON writes 2.0 as 2
        if type(value) is not wanted:
            raise Refused(f"{kind}.{name} is {value!r}; expected a {wanted.__name__}")
        parameters[name] = value
    return parameters


def _matches(fault: Fault, facts: Mapping[str, Any]) -> bool:
    for name, value in facts.items():
        wanted = fault.parameters.get(name, "")
        if wanted in {"", "all"} or wanted == value:
            continue
        if name == "path" and str(value).startswith(str(wanted)):
            continue
        return False
    return True
