"""What the fleet would run on a day, said as a backtest's request, so that both are asked for the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cli.exits import WrongUsage, reading_words
from libs.core.errors import Refused

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager
    from libs.orders.instrument import Instrument
    from libs.settings import Settings
    from libs.trading.strategy_host import StrategyInstance
    from services.backtest.request import RunRequest


#: By what a backtest, and the fleet where it plays a day, judges exits: the market it fills on.
_EXIT_SOURCES = {"next_bar_open": "bar", "next_tick": "tick"}


def fleet_request(
    source: DatabaseManager, settings: Settings, start: date, end: date, *, strategies: tuple[str, ...],
    symbols: tuple[str, ...], fill: str,
) -> RunRequest:  # fmt: skip
    """Give what the scanner's and the engine's settings and the config store come to, all on one account."""
    from libs.brokers.registry import fill_settings
    from services.backtest.request import make_request
    from services.execution_engine.limits import read_limits
    from services.execution_engine.plans import make_plans

    default, named = make_plans(settings.execution)
    plans = {plan.strategy_id: plan for plan in named}
    asked: list[dict[str, Any]] = []
    for each in chosen_instances(source, settings, strategies, symbols):
        plan = plans.get(each.instance, default)
        asked.append({
            "strategy": each.strategy, "symbols": list(each.symbols), "name": each.instance,
            "parameters": each.parameters, "sizing": plan.sizing, "exits": plan.exits, "product": plan.product,
        })  # fmt: skip
    first, *others = asked
    names = sorted({symbol for each in asked for symbol in each["symbols"]})
    try:
        overrides = read_limits(source)
    except FileNotFoundError:
        overrides = ()
    return make_request(
        first.pop("strategy"), first.pop("symbols"), start, end, **first, exchange=settings.data.exchange,
        form="event", fill=fill, cash_rupees=settings.execution.capital_rupees, fills=fill_settings(settings),
        beside=others,
        overrides=overrides,
        # As the engine has it, which asks a broker for its funds where there is one.
        limits={"account_exposure_equity_max_percent": settings.risk.account_exposure_equity_max_percent},
        instruments=instruments_of(source, settings.data.exchange, names),
    )  # fmt: skip


def chosen_instances(
    source: DatabaseManager, settings: Settings, strategies: tuple[str, ...], symbols: tuple[str, ...]
) -> list[StrategyInstance]:
    """Give what the scanner would host, or of it what was asked for; a strategy it does not run needs symbols."""
    from libs.strategies.registry import find
    from libs.trading.strategy_host import StrategyInstance
    from services.scanner.instances import choose

    configured = [each for each in choose(source, settings).instances if each.exchange == settings.data.exchange]
    found = [each for each in configured if not strategies or {each.instance, each.strategy} & set(strategies)]
    known = {name for each in found for name in (each.instance, each.strategy)}
    for name in strategies:
        if name not in known:
            with reading_words():
                find(name)
            if not symbols:
                raise WrongUsage(f"the fleet does not run {name!r}; name its symbols: --symbols A,B")
            found.append(StrategyInstance(strategy=name, symbols=symbols, exchange=settings.data.exchange))
    if symbols:
        found = [msgspec.structs.replace(each, symbols=symbols) for each in found]
    found = [each for each in found if each.symbols]
    if not found:
        raise Refused("the fleet runs no strategy; enable some, or name one: --strategy ID --symbols A,B")
    if others := sorted(each.instance for each in found if each.timeframe != "1m"):
        raise Refused(
            f"{', '.join(others)} runs on longer bars than the engine fills on; parity is for 1m: name others by "
            "--strategy"
        )
    return found


def instruments_of(source: DatabaseManager, exchange: str, symbols: list[str]) -> tuple[Instrument, ...]:
    """Give the rules the engine knows for the symbols, from the file the ingestor keeps; none where there is none."""
    from services.execution_engine.plans import read_instruments

    try:
        known = {each.symbol: each for each in read_instruments(source.layout.market, exchange)}
    except FileNotFoundError:
        return ()
    missing = [symbol for symbol in symbols if symbol not in known]
    if missing:
        raise Refused(f"{', '.join(missing[:10])} not in the instruments file: the engine would refuse every order")
    return tuple(known[symbol] for symbol in symbols)


def settings_tree(request: RunRequest, risk: Any, code_version: str) -> dict[str, Any]:
    """Lay a request out by strategy and account, so that two can be compared leaf by leaf."""
    values = msgspec.to_builtins(request)
    mine = ("strategy", "symbols", "parameters", "sizing", "exits", "product")
    tree: dict[str, Any] = {request.instance: {name: values[name] for name in mine}}
    for each in values["beside"]:
        tree[each["name"] or each["strategy"]] = {name: each[name] for name in mine}
    account = ("cash_rupees", "fill", "fills", "costs", "overrides", "timeframe", "exchange", "daily_anchor")
    tree |= {name: values[name] for name in account}
    ticks = {each["symbol"]: each["tick_size"] for each in values["instruments"]}
    tree |= {"instruments": ticks, "risk": risk, "code_version": code_version, "broker": "paper"}
    tree["exit_source"] = _EXIT_SOURCES[request.fill]
    spelled: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tree))  # lists and tuples are alike
    return spelled


def link(path: Path, target: Path) -> None:
    """Have a closed file in another place: the same one where the file system allows, else a copy of it."""
    import os
    import shutil

    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
