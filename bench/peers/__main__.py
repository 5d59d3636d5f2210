"""`python -m bench.peers [days [rounds [symbols]]]`: one backtest, ours and the peers', in one table.

Process beside process: SMA(10/30) cross, long only, ten shares, market orders at the next open, no costs, minutes of
one share. Ours is the command as a person types it: it reads a closed file a day, runs gate, orders and positions, and
writes its run file. The peers get the columns ready-made. Fills and profit of all must be those of the numpy reference
before a time is shown; whoever differs is named, without a time. The peers' scripts take one share: with more of them
ours runs alone (`250 1 50`: fifty shares of 93,750 minutes on one account).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bench.backtest import _ACCOUNT, QUANTITY, RATES, reference, to_paise, walk
from bench.table import Measure, print_measures
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, trading_date
from libs.core.money import value_paise
from libs.dbaccess import DatabaseManager, Role
from libs.trading.columns import Columns
from libs.trading.replay import days_of

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent / "out" / "peers"
SYMBOL = "S00"
#: How many times faster the whole command is to be.
PEERS = {"backtesting.py": ("by_backtesting.py", 3.0), "vectorbt": ("by_vectorbt.py", 5.0),
         "backtrader": ("by_backtrader.py", None), "nautilus_trader": ("by_nautilus.py", 15.0)}  # fmt: skip
#: Fills an order at the close of its own bar; it is held to the reference that does so too.
FILLS_AT_CLOSE = "nautilus_trader"
#: Has wheels for some systems only; the others are compared with where it has none.
OPTIONAL = ("nautilus_trader", "1.221.0")


class Outcome(NamedTuple):
    """What a process came to, how long it took, and its greatest memory."""

    fills: int
    paise: int
    seconds: float
    peak_mib: float


def environment() -> Path:
    """Give the interpreter of the peers' environment, made on first use."""
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / "done"
    wanted = (HERE / "requirements.txt").read_text() + "==".join(OPTIONAL)
    if not done.is_file() or done.read_text() != wanted:
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        _install(python, "-r", str(HERE / "requirements.txt")).check_returncode()
        _install(python, "--only-binary", OPTIONAL[0], "==".join(OPTIONAL))
        done.write_text(wanted)
    return python


def _install(python: Path, *what: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what],
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def installed_peers() -> list[str]:
    """Name the peers that could be installed here."""
    missing = subprocess.run([environment(), "-c", f"import {OPTIONAL[0]}"], check=False, capture_output=True)
    return [name for name in PEERS if name != OPTIONAL[0] or not missing.returncode]


def write_days(root: Path, *columns: Columns) -> None:
    """Put the bars where the command reads them: a closed file a day."""
    root.mkdir(mode=0o700)
    db = DatabaseManager(root, Role.INGESTOR)
    for parts in days_of(columns):
        tables = [
            pa.table(
                {"symbol": [part.symbol] * len(part), "timeframe": ["1m"] * len(part),
                 "timestamp": pa.array(part.timestamps, pa.timestamp("us", "UTC")), "open": part.open,
                 "high": part.high, "low": part.low, "close": part.close, "volume": part.volume}
            )
            for part in parts
        ]  # fmt: skip
        with db.historical_writer("nse", "candles", "1m", trading_date(parts[0].timestamps.item(0))) as writer:
            writer.append(pa.concat_tables(tables))


def write_columns(path: Path, columns: Columns) -> None:
    """Put the bars where the peers read them."""
    days = (columns.timestamps + 330 * US_PER_MINUTE) // US_PER_DAY
    np.savez(
        path, at_us=columns.timestamps, open=columns.open, high=columns.high, low=columns.low, close=columns.close,
        volume=columns.volume, is_last=np.append(np.diff(days) != 0, True),
    )  # fmt: skip


#: Between the bench and the process: Linux counts the memory of who forked it as the process's own at the least.
_LAUNCHER = """
import json, os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss], file)
"""


def timed_process(command: Sequence[str | Path], **environment: str) -> tuple[str, float, float]:
    """Run a process; give what it printed, its seconds and its greatest memory in MiB."""
    # Installed packages have their bytecode beside them, ours as the peers', whatever the shell of the bench says.
    environment = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(ENVIRONMENT / "bytecode")} | environment
    with tempfile.TemporaryFile("w+") as errors, tempfile.NamedTemporaryFile("r") as measured:
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, measured.name]
        done = subprocess.run(
            [*launcher, *map(str, command)], stdout=subprocess.PIPE, stderr=errors, env=os.environ | environment,
            cwd=HERE.parents[1], text=True, check=True,
        )  # fmt: skip
        code, seconds, peak_kib = json.load(measured)
        errors.seek(0)
        if code:
            raise RuntimeError(f"{command[1]} ended with {code}: {errors.read()[-500:]}")
        return done.stdout, seconds, peak_kib / 1024


def by_peer(script: str, columns: Path) -> Outcome:
    """Run a peer's script in the peers' environment; it gives profit in ten-thousandths, and a half is rounded here."""
    printed, seconds, peak = timed_process([environment(), HERE / script, columns, str(QUANTITY)])
    found = json.loads(printed.strip().splitlines()[-1])
    return Outcome(found["fills"], to_paise(found["units"]), seconds, peak)


def options_of(first: str, last: str, symbols: str = SYMBOL) -> list[str]:
    """Give the options that make our command do what the peers do, but for the two averages."""
    options = [
        "--strategy", "sma_cross", "--symbols", symbols, "--from", first, "--to", last, "--param", "allow_short=false",
        "--param", "flat_before_close_minutes=0", "--no-costs", "--product", "delivery", "--run-on",
        "--quantity", str(QUANTITY), "--exit", "square_off=false", "--cash", "100000000",
    ]  # fmt: skip
    if "," in symbols:  # the broker's pace would refuse the eleventh order of a second, which many shares come to
        options += ["--limit", f"order_rate_max={','.join(map(str, RATES))}"]
    return options + [word for limit in _ACCOUNT for word in ("--limit", f"{limit}=0")]


def by_us(root: Path, *columns: Columns) -> Outcome:
    """Run the command; what it came to is read from its run file afterwards."""
    first, last = (trading_date(columns[0].timestamps.item(row)).isoformat() for row in (0, -1))
    symbols = ",".join(each.symbol for each in columns)
    pair = ["--param", "fast=10", "--param", "slow=30", "--quiet", "--json"]
    command = [sys.executable, "-m", "cli", "backtest", "run", *options_of(first, last, symbols), *pair]
    printed, seconds, peak = timed_process(command, TRADEFLEET_DATA=str(root))
    run_id = json.loads(printed)["run"]["run_id"]
    with DatabaseManager(root).backtest_reader(run_id) as connection:
        rows = connection.execute("SELECT symbol, side, quantity, price FROM trades").fetchall()
    held, paise = dict.fromkeys((each.symbol for each in columns), 0), 0
    for symbol, side, quantity, price in rows:
        sign = 1 if side == "buy" else -1
        held[symbol] += sign * quantity
        paise -= sign * value_paise(price, quantity)
    paise += sum(value_paise(each.close.item(-1), held[each.symbol]) for each in columns)
    return Outcome(len(rows), paise, seconds, peak)


def of_many(days: int, rounds: int, symbols: int) -> Iterable[Measure]:
    """Ours alone over many shares on one account; fills and profit are the sums of numpy's."""
    columns = [walk(f"S{number:02d}", days, number) for number in range(symbols)]
    bars, references = sum(map(len, columns)), list(map(reference, columns))
    expected = sum(fills for fills, _ in references), sum(paise for _, paise in references)
    with tempfile.TemporaryDirectory(prefix="tf-bench-") as directory:
        root = Path(directory) / "data"
        write_days(root, *columns)
        found = [by_us(root, *columns) for _ in range(rounds)]
    is_equal = all((each.fills, each.paise) == expected for each in found)
    seconds, peak = median(each.seconds for each in found), median(each.peak_mib for each in found)
    yield Measure(
        f"backtest, whole process, {symbols} symbols x {bars // symbols:,} bars, {found[0].fills:,} fills",
        f"{seconds:.1f} s" if is_equal else f"{found[0].paise} paise", "" if is_equal else f"numpy's {expected}",
        None, "numpy's fills and profit", is_equal,
    )  # fmt: skip
    yield Measure("the same, greatest memory", f"{peak:.0f} MiB", "", None, "below 600 MiB", peak < 600)


def measures(days: int = 250, rounds: int = 1, symbols: int = 1) -> Iterable[Measure]:
    """Ours beside each peer, interleaved; medians of the rounds."""
    if symbols > 1:
        yield from of_many(days, rounds, symbols)
        return
    columns = walk(SYMBOL, days, 0)
    expected = {name: reference(columns, at_close=name == FILLS_AT_CLOSE) for name in ("ours", *PEERS)}
    peers = installed_peers()
    with tempfile.TemporaryDirectory(prefix="tf-bench-") as directory:
        root, ready = Path(directory) / "data", Path(directory) / "columns.npz"
        write_days(root, columns)
        write_columns(ready, columns)
        by_us(root, columns)  # bytecode is written and kernels are compiled, once an installation: ours,
        by_peer("by_vectorbt.py", ready)  # and theirs
        works: dict[str, Callable[[], Outcome]] = {"ours": lambda: by_us(root, columns)}
        works |= {
            name: lambda script=script: by_peer(script, ready) for name, (script, _) in PEERS.items() if name in peers
        }
        outcomes: dict[str, list[Outcome]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                outcomes[name].append(work())
    for name, found in outcomes.items():
        if (found[0].fills, found[0].paise) != expected[name]:
            yield Measure(f"{name}: {found[0].fills} fills, {found[0].paise} paise; numpy says {expected[name]}",
                          "", "", None, "equal", False)  # fmt: skip
            return
    yield from _rows(outcomes, len(columns), expected["ours"][0])
    yield from (
        Measure(f"backtest | {name}: cannot be installed here", "", "", None, "", None)
        for name in PEERS if name not in peers
    )  # fmt: skip


def _rows(outcomes: dict[str, list[Outcome]], bars: int, fills: int) -> Iterable[Measure]:
    spent = {name: median(each.seconds for each in found) for name, found in outcomes.items()}
    peak = {name: median(each.peak_mib for each in found) for name, found in outcomes.items()}
    ours, ours_mib = spent.pop("ours"), peak.pop("ours")
    for name, seconds in spent.items():
        goal = PEERS[name][1]
        yield Measure(
            f"backtest, whole process, {bars:,} bars, {fills:,} equal fills | {name}", f"{ours:.1f} s",
            f"{seconds:.1f} s", seconds / ours, f"at least {goal:g}x" if goal else "",
            seconds / ours >= goal if goal else None,
        )  # fmt: skip
    least = min(peak.values())
    yield Measure("backtest, greatest memory | the smallest peer's", f"{ours_mib:.0f} MiB", f"{least:.0f} MiB",
                  least / ours_mib, "below it", ours_mib < least)  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1


if __name__ == "__main__":
    sys.exit(main())
