"""How each strategy is traded, out of the settings; and the instruments file, as orders need it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from libs.orders.instrument import Instrument, Kind
from libs.orders.model import Product
from libs.runtime.process import WrongConfiguration
from libs.settings.execution import Execution
from libs.trading.exits import ExitRules
from libs.trading.plan import Plan
from libs.trading.sizing import AtrRisk, EquityPercent, FixedQuantity, FixedValue, Sizing
from libs.upstox.instrument_file import shares_and_indexes

_RULES = tuple(field.name for field in msgspec.structs.fields(ExitRules))
_KEYS = {"sizing", "sizing_amount", "product", *_RULES}


def make_plans(settings: Execution) -> tuple[Plan, list[Plan]]:
    """Give the plan of every strategy that is not named, and those of the named ones."""
    return _plan("", settings, {}), [_plan(name, settings, changes) for name, changes in settings.plans.items()]


def _plan(strategy_id: str, settings: Execution, changes: dict[str, Any]) -> Plan:
    unknown = sorted(set(changes) - _KEYS)
    if unknown:
        raise WrongConfiguration(
            f"execution.plans: {strategy_id}: {', '.join(unknown)} unknown; expected {', '.join(sorted(_KEYS))}"
        )
    values = {name: getattr(settings, name) for name in _KEYS} | changes
    try:
        rules = msgspec.convert({name: values[name] for name in _RULES}, ExitRules)
        return Plan(
            strategy_id=strategy_id, sizing=_sizing(values["sizing"], values["sizing_amount"]), exits=rules,
            product=Product(values["product"]),
        )  # fmt: skip
    except (msgspec.ValidationError, ValueError) as e:
        raise WrongConfiguration(f"execution.plans: {strategy_id}: {e}") from e


def _sizing(kind: str, amount: float) -> Sizing:
    if kind == "fixed_quantity":
        return FixedQuantity(int(amount))
    if kind == "fixed_value":
        return FixedValue(int(amount))
    return AtrRisk(amount) if kind == "atr_risk" else EquityPercent(amount)


def instruments_path(folder: Path, exchange: str) -> Path:
    """Name the file in which the ingestor keeps the broker's instruments."""
    return folder / f"instruments_{exchange}.json.gz"


def read_keys(folder: Path, exchange: str) -> dict[str, str]:
    """Read the broker's name of every share; none while the ingestor has kept no file."""
    try:
        data = instruments_path(folder, exchange).read_bytes()
    except FileNotFoundError:
        return {}
    return {row.symbol: row.instrument_key for row in shares_and_indexes(data, exchange, date.min)}


def read_instruments(folder: Path, exchange: str) -> list[Instrument]:
    """Read the instruments file the ingestor keeps; raise `FileNotFoundError` while it has kept none."""
    path = instruments_path(folder, exchange)
    return [
        Instrument(
            symbol=row.symbol,
            exchange=exchange,
            kind=Kind.EQUITY,
            tick_size=row.tick_size,
            lot_size=row.lot_size,
            freeze_quantity=row.freeze_quantity or 0,
        )
        for row in shares_and_indexes(path.read_bytes(), exchange, date.min)
        if row.instrument_type == "EQ"
    ]
