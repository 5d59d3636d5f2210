"""`fleet backtest lookahead, luck`: does a strategy know the future, and was a run more than luck?"""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

import msgspec

from cli.backtest_words import base_request
from cli.exits import FAILED, OK
from cli.output import print_json, print_table
from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role
from libs.settings import load_settings


def lookahead(options: argparse.Namespace) -> int:
    """Compare signals on shortened data with those on the whole; 1 when the strategy knows the future."""
    from services.backtest.lookahead import look_ahead, warm_up_check

    settings, data_root, request = base_request(options)
    db = DatabaseManager(data_root, Role.BACKTEST, settings=settings)
    found = look_ahead(db, request, cuts=options.cuts)
    warmup, complaint = None, ""
    try:
        warmup = warm_up_check(db, request)
    except Refused as e:  # too little history before the first day: the rest is still worth knowing
        complaint = str(e)
    if options.json:
        print_json({
            **msgspec.to_builtins(found), "knows_future": found.knows_future,
            "warmup": msgspec.to_builtins(warmup), "warmup_refused": complaint,
        })  # fmt: skip
        return FAILED if found.knows_future else OK
    verdict = "KNOWS THE FUTURE" if found.knows_future else "does not look ahead"
    if not found.signals:
        verdict = "gave no signal: nothing is proved"
    print(f"{found.strategy} {verdict}: {found.signals} signals, {found.cuts} cuts, forms {', '.join(found.forms)}")
    if not found.repeats:
        print("the same bars gave other signals the second time: it keeps something between runs")
    if found.differences:
        rows = [
            (each.form, each.what, each.symbol, each.signal_type, _moment(each.bar_us), _moment(each.cut_us))
            for each in found.differences
        ]
        print_table(("FORM", "SIGNAL", "SYMBOL", "TYPE", "BAR", "DATA ENDED WITH"), rows)
        print(f"{found.differing} signals differ")
    _print_warmup(warmup, complaint)
    return FAILED if found.knows_future else OK


def luck(options: argparse.Namespace) -> int:
    """Print what chance would have done with a run's trades."""
    from services.backtest.luck import judge_luck

    settings = load_settings()
    db = DatabaseManager(options.data_root or settings.data_root, read_only=True, settings=settings)
    found = judge_luck(db, options.run_id, rounds=options.rounds, seed=options.seed)
    if options.json:
        print_json(found)
        return OK
    order, entries = found.order, found.entries
    if order is None or entries is None:
        print(f"{found.trades} trades: too few to judge")
        return OK
    print(f"{found.trades} trades, {order.rounds:,} rounds, seed {options.seed}")
    print_table(
        ("", "REAL", "5 %", "50 %", "95 %"),
        [
            ("deepest fall, other orders", f"{order.drawdown_real:.2%}", f"{order.drawdown_p05:.2%}",
             f"{order.drawdown_p50:.2%}", f"{order.drawdown_p95:.2%}"),
            ("profit, such trades drawn anew", *(f"{paise / 100:,.0f}" for paise in (
                order.profit_real_paise, order.profit_p05_paise, order.profit_p50_paise, order.profit_p95_paise))),
            ("profit before charges, entries by chance", *(f"{paise / 100:,.0f}" for paise in (
                entries.profit_real_paise, entries.profit_random_p05_paise, entries.profit_random_p50_paise,
                entries.profit_random_p95_paise))),
        ],
    )  # fmt: skip
    print(f"p-value {entries.p_value:.3f}: how often entries by chance did at least as well")
    print(f"a loss in {order.loss_probability:.1%} of the draws, half the account lost in {order.ruin_probability:.1%}")
    return OK


def _print_warmup(found: Any, complaint: str) -> None:
    if found is None:
        print(f"warm-up not judged: {complaint}")
        return
    rows = [(row.warmup_bars, row.signals, row.missing, row.extra, row.levels_changed) for row in found.rows]
    print_table(("WARM-UP BARS", "SIGNALS", "MISSING", "EXTRA", "CHANGED"), rows)
    enough = "none of these lengths is known to be enough" if found.enough_bars is None else (
        f"{found.enough_bars} bars are enough"
    )  # fmt: skip
    print("no signal to compare" if found.proves_nothing else enough)


def _moment(at_us: int) -> str:
    moment: datetime = to_datetime(at_us).astimezone(IST)
    return moment.strftime("%Y-%m-%d %H:%M")
