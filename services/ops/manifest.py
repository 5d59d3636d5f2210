"""What ops is wired to."""

from __future__ import annotations

NAME = "ops"
CONSUMES: tuple[str, ...] = ("telemetry.health",)
PUBLISHES: tuple[str, ...] = ("alert", "telemetry")
OWNS: tuple[str, ...] = ()
