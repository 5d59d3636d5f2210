"""`fleet backtest list, show, trades, compare, delete, cleanup`: what runs there are and what they did."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from cli.exits import FAILED, OK
from cli.output import print_json, print_table
from cli.words import split_names
from libs.core.clock import IST, SystemClock, to_datetime
from libs.dbaccess import DatabaseManager
from libs.dbaccess.init import require_root
from libs.settings import load_settings
from services.backtest import cleanup as policies
from services.backtest import reading
from services.backtest.index import RunRow, listed_runs
from services.backtest.owner import ask_owner
from services.backtest.reading import spell_decision

#: Figures of the summary: name, heading, how it is shown.
_FIGURES = (
    ("return_ratio", "return", "percent"), ("cagr", "return a year", "percent"),
    ("volatility", "volatility a year", "percent"), ("sharpe", "Sharpe", "number"), ("sortino", "Sortino", "number"),
    ("calmar", "Calmar", "number"), ("drawdown_max_ratio", "deepest fall", "percent"),
    ("drawdown_max_daily_ratio", "deepest fall, evenings only", "percent"),
    ("drawdown_days_max", "longest fall, days", "count"), ("exposure", "time in the market", "percent"),
    ("turnover_ratio", "turnover, times cash", "number"), ("trades", "trades", "count"),
    ("win_rate", "won", "percent"), ("profit_factor", "profit factor", "number"),
    ("expectancy_paise", "a trade, rupees", "paise"), ("bars_held_average", "bars held", "number"),
    ("profit_paise", "profit, rupees", "paise"), ("fees_paise", "charges, rupees", "paise"),
    ("fees_share", "charges of the profit before", "percent"),
)  # fmt: skip
#: Which row it is, for a person who reads two of them.
_SAYS_WHICH = ("timestamp", "created", "strategy_id", "symbol", "signal_type", "side", "event")


def list_runs(options: argparse.Namespace) -> int:
    """Print every run, newest first, those the index has not seen yet included."""
    db = _reader(options)
    require_root(db.layout)
    rows = [row for row in listed_runs(db) if options.strategy in {"", row.strategy}]
    rows = rows[: options.last or None]
    if options.json:
        print_json([_row(row) for row in rows])
        return OK
    headings = ("RUN", "STRATEGY", "SYMBOLS", "FROM", "TO", "STATE", "TRADES", "RETURN", "SHARPE", "FALL")
    print_table(headings, [_line(row) for row in rows])
    return OK


def show(options: argparse.Namespace) -> int:
    """Print one run."""
    print_run(reading.describe(_reader(options), options.run_id), as_json=options.json)
    return OK


def print_run(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a run's parameters and figures, as `reading.describe` gives them."""
    if as_json:
        print_json(found)
        return
    run, figures = found["run"], found["metrics"].get("", {})
    benchmark = found["metrics"].get("benchmark", {})
    print(f"{run['run_id']}  {run['state']}{'  ' + run['error'] if run['error'] else ''}")
    print(f"{run['strategy']} {run['parameters']} on {', '.join(run['symbols'])} {run['timeframe']}")
    print(f"{run['date_from']} to {run['date_to']}, {run['bars']:,} bars, {run['cash_paise'] / 100:,.2f} rupees")
    quality = run["data"].get("completeness")
    if quality is not None:
        print(f"data {quality:.2%} complete, fingerprint {run['data_fingerprint']}")
    print()
    rows = [
        (heading, _figure(figures[name], kind), _figure(benchmark.get(name), kind) if name in benchmark else "")
        for name, heading, kind in _FIGURES
        if name in figures
    ]
    print_table(("", "RUN", "BUY AND HOLD"), rows)
    decided = [f"{each['signals']:,} {spell_decision(each)}" for each in found["decisions"]]
    print(f"signals: {', '.join(decided) or 'none'}")
    for row in found["log"]:
        print(f"{row['level']}: {row['event']} {row['detail_json']}")


def trades(options: argparse.Namespace) -> int:
    """Print a run's fills."""
    symbols = tuple(split_names(options.symbols))
    rows = reading.trades(_reader(options), options.run_id, symbols)
    if options.json:
        print_json(rows)
        return OK
    headings = ("TIME", "SYMBOL", "SIDE", "DIRECTION", "QUANTITY", "PRICE", "FEES", "PROFIT", "REASON")
    print_table(
        headings,
        [
            (_moment(r["timestamp"]), r["symbol"], r["side"], r["direction"], r["quantity"], r["price"],
             r["fees_paise"] / 100, "" if r["profit_paise"] is None else f"{r['profit_paise'] / 100:.2f}", r["reason"])
            for r in rows
        ],
    )  # fmt: skip
    return OK


def report(options: argparse.Namespace) -> int:
    """Write a run's report."""
    from services.backtest.report import render

    path = Path(options.out or f"{options.run_id}.html")
    path.write_text(render(_reader(options), options.run_id), "utf-8")
    return _print_answer(options, {"run_id": options.run_id, "report": str(path)})


def compare(options: argparse.Namespace) -> int:
    """Print how two runs differ; 1 when they do."""
    found = reading.compare(_reader(options), options.first, options.second)
    if options.json:
        print_json(found)
    elif found["equal"]:
        print("equal but for their ids and times")
    else:
        runs = options.first, options.second
        print_differences(found, [reading.describe(_reader(options), run)["metrics"].get("", {}) for run in runs])
    return OK if found["equal"] else FAILED


def print_differences(found: dict[str, Any], figures: list[dict[str, float | None]]) -> None:
    """Print what was asked otherwise, the figures side by side, and by table the first rows that are not equal."""
    for name, (first, second) in found["run"].items():
        one, other = (msgspec.json.decode(text) if name.endswith("_json") else text for text in (first, second))
        for what, left, right in _unequal(name.removesuffix("_json"), one, other):
            if not what.startswith("settings.request.parameters."):  # the run's own row has them as well
                print(f"{what}: {left} | {right}")
    rows = [
        (heading, *(_figure(each.get(name), kind) for each in figures))
        for name, heading, kind in _FIGURES
        if any(name in each for each in figures)
    ]
    print()
    print_table(("", "FIRST", "SECOND"), rows)
    print()
    for table, difference in found["tables"].items():
        first, second = difference["rows"]
        print(f"{table}: {difference['rows_different']:,} rows differ ({first:,} | {second:,})")
        for example in difference["examples"] if table != "metrics" else ():  # the figures stand above
            print(f"  row {example['row']}: {_row_difference(example['first'], example['second'])}")


def _unequal(what: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Give what differs, down to single settings."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _unequal(f"{what}.{name}", one.get(name), other.get(name))
    elif one != other:
        yield what, one, other


def _row_difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None or other is None:
        shown = one or other or {}
        told = [_spelled(shown[name]) for name in _SAYS_WHICH if shown.get(name) is not None]
        return f"only in the {'first' if one else 'second'}: {' '.join(told)}"
    told = [_spelled(one[name]) for name in _SAYS_WHICH if one.get(name) is not None and one[name] == other[name]]
    fields = [
        f"{name} {_spelled(one[name])} | {_spelled(other[name])}"
        for name in one if one[name] != other[name] and not name.endswith(("_id", "_id_reference"))
    ]  # fmt: skip
    return f"{' '.join(told)}: {', '.join(fields) or 'their ids'}".removeprefix(": ")


def _spelled(value: Any) -> str:
    return _moment(value) if isinstance(value, datetime) else str(value)


def delete(options: argparse.Namespace) -> int:
    """Delete one run."""
    return _print_answer(options, _ask(options, "delete", run_id=options.run_id))


def keep(options: argparse.Namespace) -> int:
    """Let clean-up leave a run alone."""
    return _print_answer(options, _ask(options, "keep", run_id=options.run_id, is_kept=options.is_kept))


def cleanup(options: argparse.Namespace) -> int:
    """Apply the policy, or say what it would delete."""
    if not options.dry_run:
        return _print_answer(options, _ask(options, "cleanup"))
    _ask(options, "reconcile")
    db = _reader(options)
    with db.backtest_index_reader() as connection:
        names = policies.to_delete(connection, policies.read_policy(db), SystemClock().now_us())
    return _print_answer(options, {"would_delete": names})


def reindex(options: argparse.Namespace) -> int:
    """Make the index again."""
    return _print_answer(options, _ask(options, "rebuild"))


def jobs(options: argparse.Namespace) -> int:
    """Print the queue."""
    names = ("job_id", "state", "run_id", "requested_by", "requested_at_us", "error")
    with _reader(options).backtest_index_reader() as connection:
        found = connection.execute(f"SELECT {', '.join(names)} FROM jobs ORDER BY requested_at_us DESC").fetchall()  # noqa: S608 - our own columns
    if options.json:
        print_json([dict(zip(names, row, strict=True)) for row in found])
        return OK
    rows = [
        (job, state, run or "", by, _moment(to_datetime(at_us)), error) for job, state, run, by, at_us, error in found
    ]
    print_table(("JOB", "STATE", "RUN", "BY", "ASKED", "ERROR"), rows)
    return OK


def cancel(options: argparse.Namespace) -> int:
    """Take a job out of the queue or stop its worker."""
    from libs.messaging import CommandClient

    settings = load_settings()
    owned = msgspec.structs.replace(settings, data_root=str(options.data_root or settings.data_root))
    with CommandClient("backtest", settings=owned) as client:
        return _print_answer(options, client.call("cancel", {"job_id": options.job}))


def _reader(options: argparse.Namespace) -> DatabaseManager:
    settings = load_settings()
    return DatabaseManager(options.data_root or settings.data_root, read_only=True, settings=settings)


def _ask(options: argparse.Namespace, action: str, **arguments: Any) -> Any:
    settings = load_settings()
    return ask_owner(settings, str(options.data_root or settings.data_root), action, SystemClock(), **arguments)


def _print_answer(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
        return OK
    for name, value in answer.items():
        text = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
        print(f"{name.replace('_', ' ')}: {text}")
    return OK


def _row(row: RunRow) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.structs.asdict(row)
    for name in ("parameters", "symbols", "metrics"):
        values[name] = msgspec.json.decode(values.pop(f"{name}_json"))
    return values


def _line(row: RunRow) -> tuple[object, ...]:
    symbols = msgspec.json.decode(row.symbols_json, type=list[str])
    shown = ",".join(symbols[:3]) + (f" +{len(symbols) - 3}" if len(symbols) > 3 else "")
    return (
        row.run_id, row.strategy, shown, row.date_from, row.date_to, row.state,
        "" if row.trades is None else str(row.trades), _figure(row.return_ratio, "percent"),
        _figure(row.sharpe, "number"), _figure(row.drawdown_max_ratio, "percent"),
    )  # fmt: skip


def _figure(value: float | None, kind: str) -> str:
    if value is None:
        return ""
    if kind == "percent":
        return f"{value:.2%}"
    if kind == "paise":
        return f"{value / 100:,.2f}"
    return f"{value:,.0f}" if kind == "count" else f"{value:.2f}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")
