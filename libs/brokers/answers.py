"""What a broker's answer, or its error, proves about an order. The same for every broker."""

from __future__ import annotations

from collections.abc import Callable

from libs.core.errors import OutcomeUnknown, Refused, RetryLater
from libs.orders import evidence as ev
from libs.orders.model import Change


def place_evidence(call: Callable[[], tuple[str, ...]], at_us: int) -> tuple[ev.AnyEvidence, str]:
    """Make a place request and say what its answer proves, and the outcome in a word.

    `RetryLater` means that nothing happened at the broker. It is a rejection all the same: an order is sent once.
    """
    try:
        ids = call()
    except Refused as e:
        return ev.PlaceRefused(at_us=at_us, reason=str(e)), "rejected"
    except RetryLater as e:
        return ev.PlaceRefused(at_us=at_us, reason=f"not taken: {e}"), "not_taken"
    except OutcomeUnknown as e:
        return ev.NoAnswer(at_us=at_us, reason=str(e)), "unknown"
    return ev.Accepted(at_us=at_us, broker_order_ids=tuple(ids)), "accepted"


def cancel_evidence(call: Callable[[], object], number: int, at_us: int) -> tuple[ev.AnyEvidence | None, str]:
    """Make a cancel request; only a report says that it worked, and a lost answer says nothing."""
    try:
        call()
    except (Refused, RetryLater) as e:
        return ev.CancelRefused(at_us=at_us, number=number, reason=str(e)), "refused"
    except OutcomeUnknown:
        return None, "unknown"
    return None, "accepted"


def change_evidence(call: Callable[[], object], change: Change, at_us: int) -> tuple[ev.AnyEvidence | None, str]:
    """Make a modify request; a lost answer leaves both terms possible until a report shows the new ones."""
    try:
        call()
    except (Refused, RetryLater) as e:
        return ev.ChangeRefused(at_us=at_us, number=change.number, reason=str(e)), "refused"
    except OutcomeUnknown:
        return None, "unknown"
    return ev.ChangeAccepted(at_us=at_us, number=change.number), "accepted"
