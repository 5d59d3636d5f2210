"""The bars of a sweep are read by a process of their own, and are what a thread would have read."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import numpy as np
import psutil
import pytest

from libs.dbaccess import StoreCorrupt
from services.backtest.bars import begin_to_read
from services.backtest.bars_apart import BarsApart
from services.backtest.sweep.results import SweepResults
from services.backtest.wanted import Wanted
from tests.kit.backtest import FIRST, LAST, make_history
from tests.kit.processes import run_code, wait_until
from tests.kit.roots import settings

#: A day before it warms up.
FIRST_READ = FIRST + timedelta(days=1)


@pytest.fixture
def root(tmp_path):
    return make_history(tmp_path / "data", symbols=("ACME", "ZED"), count=120)


def wanted(*symbols, start=FIRST_READ, end=LAST):
    return Wanted(symbols or ("ACME", "ZED"), "nse", "1m", start, end)


def apart(root, request):
    return BarsApart(settings(), str(root), request, days_at_once=2)


def same(found, expected):
    assert [each.symbol for each in found] == [each.symbol for each in expected]
    for one, other in zip(found, expected, strict=True):
        for column, wished in zip(one[1:], other[1:], strict=True):
            assert column.dtype == wished.dtype
            np.testing.assert_array_equal(column, wished)
            column[:1] = column[:1]  # it may be written to


def test_it_gives_what_a_thread_gives(root):
    """Every column, the days that are missing, and what was before the first day."""
    until = LAST + timedelta(days=1)
    with apart(root, wanted(end=until)) as bars, begin_to_read(settings(), str(root), wanted(end=until)) as beside:
        same(bars.bars().columns, beside.bars().columns)
        assert bars.bars().days_missing == beside.bars().days_missing
        for symbol, count in (("ZED", 7), ("ACME", 0), ("ACME", 100_000)):
            same(bars.before(symbol, count), beside.before(symbol, count))
        assert bars.serves(wanted(end=until))
        assert not bars.serves(wanted("ACME"))


def test_nobody_is_no_rows(root):
    with apart(root, wanted("NOBODY")) as bars:
        assert bars.bars().columns == ()
        assert bars.before("NOBODY", 5) == ()


@pytest.mark.parametrize("asked", [False, True])
def test_a_reader_that_is_killed_is_not_needed(root, asked):
    """Before its first answer or after it: the rest is read here."""
    with apart(root, wanted()) as bars, begin_to_read(settings(), str(root), wanted()) as beside:
        if asked:
            bars.bars()
        else:
            os.kill(bars._reader, signal.SIGSTOP)  # it may not be quicker than this
        os.kill(bars._reader, signal.SIGKILL)
        same(bars.bars().columns, beside.bars().columns)
        same(bars.before("ACME", 9), beside.before("ACME", 9))


def test_what_is_wrong_is_said_here(root):
    """A damaged day has the error it would have had."""
    [path] = root.rglob(f"candles/1m/{LAST}.duckdb")
    path.chmod(0o600)
    path.write_bytes(b"no database")
    with apart(root, wanted()) as bars, pytest.raises(StoreCorrupt, match=str(LAST)):
        bars.bars()


def test_it_ends_with_who_asked(root):
    """Closed before it was done, or left behind."""
    bars = apart(root, wanted())
    reader = bars._reader
    bars.close()
    bars.close()
    assert not psutil.pid_exists(reader)
    done = run_code(
        """
        import os, sys
        from datetime import date
        from services.backtest.bars_apart import BarsApart
        from services.backtest.wanted import Wanted
        from tests.kit.roots import settings

        request = Wanted(("ACME",), "nse", "1m", date.fromisoformat(sys.argv[2]), date.fromisoformat(sys.argv[3]))
        bars = BarsApart(settings(), sys.argv[1], request, days_at_once=2)
        bars.bars()
        print(bars._reader, flush=True)
        os._exit(0)
        """,
        root, FIRST, LAST,
    )  # fmt: skip
    left = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == "zombie", "its end")


def test_a_sweep_has_its_bars_read_apart_and_never_opens_duckdb(root, tmp_path):
    """Begun before numpy and the strategies are imported; beside a thread, who may hold a lock, read on a thread."""
    done = run_code(
        """
        import sys
        import threading
        from cli.main import main
        from services.backtest import bars, bars_apart

        begun = []
        for kind in (bars_apart.BarsApart, bars.BarsReader):
            def noted(reader, *arguments, begin=kind.__init__, **options):
                begun.append(type(reader).__name__)
                begun.extend(name for name in ("numpy", "libs.strategies.registry") if name in sys.modules)
                begin(reader, *arguments, **options)
            kind.__init__ = noted
        words = ["backtest", "sweep", "--strategy", "sma_cross", "--symbols", " ACME,ACME", "--from", sys.argv[2],
                 "--to", sys.argv[3], "--data-root", sys.argv[1], "--grid", "fast=5,9", "--grid", "slow=20,30",
                 "--json"]
        codes = [main([*words, "--out", sys.argv[4]])]
        begun.append("duckdb" in sys.modules)
        stays = threading.Event()
        threading.Thread(target=stays.wait).start()
        codes.append(main([*words, "--out", sys.argv[5]]))
        stays.set()
        print(codes, begun, file=sys.stderr)
        """,
        root, FIRST, LAST, tmp_path / "a.jsonl", tmp_path / "b.jsonl", OPENBLAS_NUM_THREADS="1",
    )  # fmt: skip
    one, other = ({r.key: r.figures for r in SweepResults.read(tmp_path / f"{name}.jsonl").all} for name in "ab")

    assert done.stderr.strip() == ("[0, 0] ['BarsApart', False, 'BarsReader', 'numpy', 'libs.strategies.registry']")
    assert one == other
    assert len(one) == 4
