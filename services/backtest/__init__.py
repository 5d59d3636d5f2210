"""Backtests: runs on history, each in a file of its own, and the index of all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.backtest.runner import BacktestRunner, RunInterrupted

__all__ = ["BacktestRunner", "RunInterrupted"]


def __getattr__(name: str) -> Any:
    """Import the runner when it is asked for: the names of a sweep's figures should not cost DuckDB."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from services.backtest import runner

    return getattr(runner, name)
