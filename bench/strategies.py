"""The strategy host: bars a second of one SMA cross, beside the bare indicators it needs."""

from __future__ import annotations

import sys

from bench.table import Measure, interleaved, print_measures
from libs.indicators.averages import SMA
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from tests.kit.regimes import market

DAYS = 60


def measures() -> list[Measure]:
    bars = market(("ALFA",), days=DAYS, seed=3)

    def host(*, daily_anchor: bool) -> None:
        spec = StrategyInstance(strategy="sma_cross", symbols=("ALFA",), parameters={"flat_before_close_minutes": 0})
        on_bar = StrategyHost([spec], daily_anchor=daily_anchor).on_bar
        for bar in bars:
            on_bar(bar)

    def bare() -> None:
        fast, slow = SMA(10), SMA(30)
        for bar in bars:
            close = bar.close
            fast.update(close)
            slow.update(close)

    anchored, running, alone = interleaved(
        lambda: host(daily_anchor=True), lambda: host(daily_anchor=False), bare, rounds=7
    )
    goal = "host at most 5x the bare indicators"
    return [
        Measure(
            f"strategy host, sma_cross, {name}",
            f"{len(bars) / seconds / 1e3:.0f} k bars/s",
            f"bare indicators {len(bars) / alone / 1e3:.0f} k bars/s",
            alone / seconds,
            goal,
            seconds <= 5 * alone,
        )
        for name, seconds in (("anew each day", anchored), ("running on", running))
    ]


def main() -> int:
    return 0 if print_measures(measures()) else 1


if __name__ == "__main__":
    sys.exit(main())
