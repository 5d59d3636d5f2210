"""How far a run is."""

from __future__ import annotations

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """How far a run is. `state`: running, complete, partial, failed."""

    run_id: str
    bars_done: int
    bars: int
    market_us: int
    equity_paise: int
    state: str = "running"
