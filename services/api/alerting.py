"""Changes of whom alerts are told: rules by the name of an address, never the address."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.core.errors import Refused
from services.api.changes import Asked, Connection, Done, Given, Name, NotThere, fetch

Hour = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
#: An alert's word, and the store's.
SEVERITIES = {"info": "info", "warning": "warning", "critical": "error"}


class SaveAlert(Given, frozen=True, kw_only=True):
    """What one address is told; in its quiet hours (IST) only what is critical."""

    name: Name
    target: Name
    severity_min: Annotated[str, Meta(pattern="^(info|warning|critical)$")] = "warning"
    quiet_from: Hour | None = None
    quiet_to: Hour | None = None
    is_enabled: bool = True


class RemoveAlert(Given, frozen=True, kw_only=True):
    """Take a rule away."""

    name: Name


def _row(connection: Connection, name: str) -> dict[str, object] | None:
    rows = fetch(connection, "SELECT * FROM alert_settings WHERE name = ?", name)
    return rows[0] if rows else None


def save_alert(connection: Connection, asked: Asked, given: SaveAlert) -> Done:
    """Make a rule, or change one."""
    hours = (given.quiet_from, given.quiet_to)
    if hours != (None, None) and (None in hours or given.quiet_from == given.quiet_to):
        raise Refused(f"quiet from {given.quiet_from} to {given.quiet_to}: expected two different times, or neither")
    before = _row(connection, given.name)
    connection.execute(
        "INSERT INTO alert_settings (name, severity_min, target_secret, quiet_from, quiet_to, is_enabled, "
        "updated_at_us) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
        "severity_min = excluded.severity_min, target_secret = excluded.target_secret, "
        "quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to, is_enabled = excluded.is_enabled, "
        "updated_at_us = excluded.updated_at_us",
        (given.name, SEVERITIES[given.severity_min], given.target, given.quiet_from, given.quiet_to,
         int(given.is_enabled), asked.at_us),
    )  # fmt: skip
    after = _row(connection, given.name)
    return Done("alert_settings", given.name, before, after, after)


def remove_alert(connection: Connection, _: Asked, given: RemoveAlert) -> Done:
    """Take a rule away; an address without one is told as the settings say."""
    before = _row(connection, given.name)
    if before is None:
        raise NotThere(f"no rule {given.name!r}")
    connection.execute("DELETE FROM alert_settings WHERE name = ?", (given.name,))
    return Done("alert_settings", given.name, before, None, {"removed": given.name})
