"""Errors, named by what the caller does next. Every error of ours is one of four kinds."""

from __future__ import annotations


class FleetError(Exception):
    """Anything the fleet raises on purpose."""


class RetryLater(FleetError):
    """Nothing happened; the same call may succeed later."""


class Refused(FleetError):
    """The other side understood and said no; the same call will fail again."""


class OutcomeUnknown(FleetError):
    """It may or may not have happened; reconcile before repeating it."""


class Corrupt(FleetError):
    """An invariant is broken; stop, and let the supervisor restart us."""
