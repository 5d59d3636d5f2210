"""Backtests: runs on history, each in a file of its own, and the index of all runs."""

from services.backtest.runner import BacktestRunner, RunInterrupted

__all__ = ["BacktestRunner", "RunInterrupted"]
