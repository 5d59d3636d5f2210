"""One thing a check found."""

from __future__ import annotations

import msgspec

from libs.contracts.health import HealthState


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do when it is not well."""

    check: str
    subject: str
    state: HealthState
    detail: str
    advice: str = ""


def green(check: str, subject: object, detail: str) -> Finding:
    """Say that something is as it must be; information counts as green."""
    return Finding(check, str(subject), HealthState.GREEN, detail)


def warning(check: str, subject: object, detail: str, advice: str) -> Finding:
    """Say that somebody should look today."""
    return Finding(check, str(subject), HealthState.WARNING, detail, advice)


def error(check: str, subject: object, detail: str, advice: str) -> Finding:
    """Say that somebody should look now."""
    return Finding(check, str(subject), HealthState.ERROR, detail, advice)
