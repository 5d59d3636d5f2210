"""E4: every shipped strategy says on a recorded day what it said when it was last changed on purpose.

A difference is a change of behaviour: raise the strategy's `version`, say it in the changelog, and record anew with
`python -m tests.contract.test_golden_strategies ID…`.
"""

from __future__ import annotations

import csv
import sys
from functools import cache
from pathlib import Path

import msgspec
import pytest

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies import registry
from libs.trading.strategy_host import StrategyHost
from tests.kit.strategies import instance, run, split_days

GOLDEN = Path(__file__).parent / "golden" / "strategies"


@cache
def recorded() -> tuple[list[OHLCVBar], list[OHLCVBar]]:
    """The day before, to warm up, and the recorded day."""
    with (GOLDEN / "bars.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return split_days(msgspec.convert([row | {"timeframe": "1m"} for row in rows], list[OHLCVBar], strict=False))


def signals_of(name: str) -> list[SignalEvent]:
    before, day = recorded()
    host = StrategyHost([instance(name, sorted({bar.symbol for bar in day}))])
    host.warm_up(before)
    return run(host, day)


def lines(signals: list[SignalEvent]) -> str:
    return "".join(msgspec.json.encode(signal).decode() + "\n" for signal in signals)


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_signals_of_the_recorded_day_are_the_golden_ones(name):
    golden = (GOLDEN / f"{name}.jsonl").read_text("utf-8")

    assert lines(signals_of(name)).splitlines() == golden.splitlines()
    for kind in ("enter_long", "exit_long", "enter_short", "exit_short"):
        assert f'"signal_type":"{kind}"' in golden


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == set(registry.SHIPPED)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        (GOLDEN / f"{name}.jsonl").write_text(lines(signals_of(name)), encoding="utf-8")
