"""What the ingestor is wired to."""

from __future__ import annotations

NAME = "ingestor"
CONSUMES: tuple[str, ...] = ()
PUBLISHES: tuple[str, ...] = ("tick", "ticks", "candle", "market", "telemetry")
OWNS: tuple[str, ...] = ("history", "live")
