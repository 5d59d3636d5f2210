"""What the watchdog is wired to."""

from __future__ import annotations

NAME = "watchdog"
CONSUMES: tuple[str, ...] = ("telemetry.health",)
PUBLISHES: tuple[str, ...] = ("telemetry",)
OWNS: tuple[str, ...] = ()
