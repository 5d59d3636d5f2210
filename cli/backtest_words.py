"""What the words of a backtest mean: the stores, the bars they ask for, and the request."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import reading_words

if TYPE_CHECKING:
    from libs.settings import Settings
    from services.backtest.request import RunRequest
    from services.backtest.wanted import Wanted


def base_request(options: argparse.Namespace) -> tuple[Settings, str, RunRequest]:
    """Give settings, data root and what is to be run."""
    settings, data_root = stores(options)
    return settings, data_root, request_of(options, settings, data_root)


def stores(options: argparse.Namespace) -> tuple[Settings, str]:
    """Give settings and data root."""
    from libs.settings import load_settings

    settings = load_settings()
    return settings, str(Path(options.data_root or settings.data_root).absolute())


def wanted_bars(options: argparse.Namespace, settings: Settings) -> Wanted:
    """Give the bars that are asked for, which may be read while the strategy is still imported."""
    from services.backtest.wanted import Wanted, day_of, names_of

    exchange = options.exchange or settings.data.exchange
    symbols = tuple(sorted(names_of(options.symbols)))
    with reading_words():
        return Wanted(symbols, exchange, options.timeframe, day_of(options.start), day_of(options.end))


def request_of(options: argparse.Namespace, settings: Settings, data_root: str) -> RunRequest:
    """Give what is to be run; whatever does not fit in the words is wrong usage."""
    from libs.strategies.user import load_directory
    from services.backtest.request import make_request

    load_directory(settings.strategies.directory(data_root))
    with reading_words():
        given = _request_options(options, settings.data.exchange)
        return make_request(options.strategy, options.symbols, options.start, options.end, **given)


def _request_options(options: argparse.Namespace, exchange: str) -> dict[str, Any]:
    """Give the request's fields as `BacktestRunner.run` takes them."""
    from libs.orders.fills import FillSettings
    from libs.trading.exits import ExitRules

    return {
        "timeframe": options.timeframe,
        "exchange": options.exchange or exchange,
        "parameters": pairs(options.param, "--param"),
        "cash_rupees": options.cash,
        "fill": options.fill,
        "costs": options.costs,
        "fills": _struct(
            FillSettings,
            {"slippage_ticks": options.slippage_ticks, "slippage_basis_points": options.slippage_bp,
             "participation_percent_max": options.participation, "spread_ticks": options.spread_ticks,
             "latency_ms": options.latency_ms},
        ),
        "sizing": _sizing(options),
        "exits": _struct(ExitRules, pairs(options.exit, "--exit")),
        "limits": {name: _limit(value) for name, value in pairs(options.limit, "--limit").items()},
        "product": options.product,
        "daily_anchor": options.daily_anchor,
        "form": options.form,
        "coverage_min_percent": options.min_coverage,
    }  # fmt: skip


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """Split K=V."""
    from libs.core.errors import Refused

    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Refused(f"{option} {text!r}: expected NAME=VALUE")
        if name.strip() in found:
            raise Refused(f"{option} {text!r}: {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


def _limit(text: str) -> float | list[float]:
    """Read a limit: a number, or several with commas where [risk] has a list."""
    from libs.core.errors import Refused

    try:
        numbers = [float(word) if {".", "e"} & set(word) else int(word) for word in text.split(",")]
    except ValueError as e:
        raise Refused(f"--limit {text!r}: expected a number, or several with commas") from e
    return numbers if len(numbers) > 1 else numbers[0]


def _struct(kind: Any, values: dict[str, Any]) -> Any:
    import msgspec

    from libs.core.errors import Refused

    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as e:
        raise Refused(f"{values}: {e}; there are {', '.join(kind.__struct_fields__)}") from e


def _sizing(options: argparse.Namespace) -> dict[str, Any]:
    if options.quantity is not None:
        return {"type": "fixed_quantity", "quantity": options.quantity}
    if options.equity_percent is not None:
        return {"type": "equity_percent", "percent": options.equity_percent}
    return {"type": "fixed_value", "rupees": 100_000 if options.value is None else options.value}
