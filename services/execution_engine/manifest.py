"""What the execution engine is wired to."""

from __future__ import annotations

NAME = "execution_engine"
CONSUMES: tuple[str, ...] = ("ticks", "candle", "market", "signal", "decided", "telemetry.health")
PUBLISHES: tuple[str, ...] = ("order", "trade", "position", "risk", "telemetry")
OWNS: tuple[str, ...] = ("trading",)
