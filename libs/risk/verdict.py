"""The gate's answer. `Approved` is proof that every check passed: brokers take nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from libs.core.errors import Corrupt
from libs.risk.request import OrderRequest

#: Known to this module and the gate. `tests/tidy` keeps everybody else from making an `Approved`.
_SEAL: Final = object()


class Approved:
    """An order that passed every check at an instant. Cannot be made, changed or unpacked from bytes elsewhere."""

    __slots__ = ("decided_us", "request")

    request: OrderRequest
    decided_us: int

    def __init__(self, request: OrderRequest, decided_us: int, seal: object) -> None:
        if seal is not _SEAL:
            raise Corrupt(f"order {request.order_id} was approved by something other than the risk gate")
        # The slots are written once, past the guard below.
        _set_request(self, request)
        _set_decided_us(self, decided_us)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an approval is not changed: {name} = {value!r}; ask the gate again")

    def __reduce__(self) -> str:
        raise Corrupt("an approval is not serialised: it holds for the state it was decided on")

    def __repr__(self) -> str:
        return f"Approved({self.request!r}, decided_us={self.decided_us})"


_set_request = Approved.__dict__["request"].__set__
_set_decided_us = Approved.__dict__["decided_us"].__set__


class Rejected(msgspec.Struct, frozen=True):
    """An order that failed a check: which, why in words, and the figures that decided it."""

    check: str
    reason: str
    figures: Mapping[str, float] = {}


Verdict = Approved | Rejected
