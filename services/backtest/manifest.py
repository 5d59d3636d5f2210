"""What the backtest service is wired to."""

from __future__ import annotations

NAME = "backtest"
CONSUMES: tuple[str, ...] = ()
PUBLISHES: tuple[str, ...] = ("backtest", "telemetry")
OWNS: tuple[str, ...] = ("backtest_run", "backtest_index")
