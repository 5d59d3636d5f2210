"""When what the account is worth must be known, and how it is followed over bars on which nothing happens."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from libs.risk.gate import Gate
from libs.risk.limits import NO_LIMIT, Limits
from libs.trading.sizing import AtrRisk, EquityPercent, Sizing


def looks_at_account(limits: Limits, sizes: Iterable[Sizing]) -> bool:
    """Tell whether a limit or a size depends on the account's worth or exposure."""
    bounds = (
        limits.account_loss_max, limits.strategy_loss_max, limits.account_exposure_max, limits.strategy_exposure_max,
        limits.account_exposure_percent_max,
    )  # fmt: skip
    return (
        any(bound != NO_LIMIT for bound in bounds)
        or limits.drawdown_percent_max != float(NO_LIMIT)
        or any(isinstance(sizing, (EquityPercent, AtrRisk)) for sizing in sizes)
    )


def mark_stretch(gate: Gate, low_paise: int, high_paise: int) -> bool:
    """Take in the least and the most the account was worth over a stretch without events.

    False, and nothing is taken in, when a limit might have been crossed on the way: mark it step by step then.
    """
    state = gate.state
    limits, equity = gate.limits.resolve("", ""), state.equity
    peak = max(equity.peak_paise, high_paise)
    is_safe = (
        equity.day_start_paise - low_paise < limits.account_loss_max
        and (peak - low_paise) * 100 < limits.drawdown_percent_max * peak
    )
    if is_safe and peak != equity.peak_paise:
        state.equity = replace(equity, peak_paise=peak)
    return is_safe
