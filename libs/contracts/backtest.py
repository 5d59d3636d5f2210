"""How far a backtest is."""

from __future__ import annotations

from libs.contracts.base import Event


class BacktestProgress(Event, frozen=True, tag="backtest_progress"):
    """A run goes on or is over. `state`: queued, running, complete, partial, failed, killed, cancelled."""

    run_id: str
    timestamp_us: int
    state: str
    bars_done: int = 0
    bars: int = 0
    market_us: int = 0
    equity_paise: int = 0
    job_id: str = ""
    detail: str = ""
