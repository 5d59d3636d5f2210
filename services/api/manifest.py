"""What the API is wired to."""

from __future__ import annotations

NAME = "api"
CONSUMES: tuple[str, ...] = ("candle", "signal", "order", "trade", "position", "risk", "backtest", "telemetry")
PUBLISHES: tuple[str, ...] = ("config", "telemetry")
OWNS: tuple[str, ...] = ("config",)
