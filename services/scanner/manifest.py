"""What the scanner is wired to."""

from __future__ import annotations

NAME = "scanner"
CONSUMES: tuple[str, ...] = ("candle", "market")
PUBLISHES: tuple[str, ...] = ("signal", "decided", "telemetry")
OWNS: tuple[str, ...] = ("signals",)
