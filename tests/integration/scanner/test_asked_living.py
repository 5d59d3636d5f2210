"""E1, E3: what operators ask of a living scanner from the shell, over its socket: a resume, analytics again."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from cli.main import main
from tests.integration.scanner.test_analytics import LAST, SYMBOLS, manager, rows, run_live, wipe
from tests.integration.scanner.test_configuration_live import scanner
from tests.kit.recorded_day import minute_ends, recorded, telling
from tests.kit.roots import settings
from tests.kit.short import tmp_path

__all__ = ["manager", "tmp_path"]

STUMBLER = """
from libs.strategies import BaseStrategy, register


@register
class Stumbler(BaseStrategy):
    strategy_id = "stumbler"
    purpose = "In and out on every bar; falls over its fifth."
    seen = 0

    def process_bar(self, bar, context):
        self.seen += 1
        if self.seen == 5:
            raise RuntimeError("the fifth")
        return context.go_long() if context.position.is_flat else context.go_flat("out")
"""


@pytest.fixture
def living(manager, data_root, monkeypatch):
    """Settings of a scanner that runs the stumbler; the command line has the same."""
    (data_root / "strategies").mkdir()
    (data_root / "strategies" / "stumbler.py").write_text(STUMBLER)
    monkeypatch.setenv("TRADEFLEET_BUS_COMMAND_TIMEOUT_MS", "20000")  # it lives; the machine may be busy
    found = settings(
        TRADEFLEET_DATA=str(data_root), TRADEFLEET_SCANNER_STRATEGIES="stumbler",
        TRADEFLEET_SCANNER_SYMBOLS=",".join(SYMBOLS),
    )  # fmt: skip
    return msgspec.structs.replace(found, scanner=msgspec.structs.replace(found.scanner, analytics_timeframes=()))


def test_resume_and_update_are_done_by_the_scanner_that_lives(living, manager, capsys):
    """Its lock is held: only it can do what is asked. A resumed strategy goes on with the next bar, on that symbol."""
    day = recorded(SYMBOLS)
    ends = minute_ends(day)
    run_live(manager, LAST)
    expected = rows(manager)
    wipe(manager)

    async def ask(*arguments):
        code = await asyncio.to_thread(main, [*arguments])
        return code, capsys.readouterr()

    async def story():
        with telling(living, day) as teller:
            teller.upto(ends[9])
            async with scanner(living) as talk:
                await talk.until(lambda status: status["minutes"] == 10, "ten minutes")
                before = await talk.until(lambda status: len(status["suspended"]) == 2, "both to have fallen")
                resumed = await ask("strategies", "resume", "stumbler", "--symbol", "ALFA")
                again = await ask("strategies", "resume", "stumbler", "--symbol", "ALFA")
                teller.upto(ends[12])
                after = await talk.until(lambda status: status["minutes"] == 13, "three more minutes")
                updated = await ask(
                    "analytics", "update", "--symbols", ",".join(SYMBOLS), "--timeframe", "5m", "--json"
                )
                nonsense = await ask("analytics", "update", "--symbols", "NOBODY", "--timeframe", "5m")
        return before, resumed, again, after, updated, nonsense

    before, resumed, again, after, updated, nonsense = asyncio.run(story())
    with manager.signals_reader() as connection:
        said = connection.execute("SELECT symbol, timestamp_us FROM signals ORDER BY timestamp_us, symbol").fetchall()
    minutes = [day[end - 1].payload.timestamp_us for end in ends]

    assert before["suspended"] == [["stumbler", "ALFA"], ["stumbler", "BETA"]]
    assert resumed[0] == 0
    assert "stumbler on ALFA runs again from the next bar on" in resumed[1].out
    assert again[0] == 1
    assert "suspended: stumbler on BETA" in again[1].err
    assert after["suspended"] == [["stumbler", "BETA"]]
    spoken = {symbol: [minutes.index(at_us) for name, at_us in said if name == symbol] for symbol in SYMBOLS}
    assert max(spoken["BETA"]) <= 5
    assert [at for at in spoken["ALFA"] if at > 5] == [10, 11, 12]
    assert updated[0] == 0
    told, _ = json.JSONDecoder().raw_decode(updated[1].out[updated[1].out.index("{\n") :])  # among the scanner's log
    assert told["rows"] == sum(map(len, expected.values())) > 0
    assert rows(manager) == expected
    assert nonsense[0] == 1
