"""The simulator's settings: the [exchange_sim] section, changed by the command line's options."""

from __future__ import annotations

import argparse

import msgspec

from libs.core.errors import Refused
from libs.settings import Settings
from libs.settings.exchange_sim import ExchangeSim

#: Options of `python -m services.exchange_sim` that change a setting of the same name.
OPTIONS: dict[str, type] = {
    "host": str, "port": int, "seed": int, "symbols": int, "start": str, "speed": float, "conflation_ms": int,
    "cash": float,
}  # fmt: skip


def simulator_settings(settings: Settings, options: argparse.Namespace) -> ExchangeSim:
    """Give the section with the options put over it, checked again as a whole."""
    if settings.profile == "live":
        raise Refused("the exchange simulator does not run under the live profile: its prices are invented")
    values = msgspec.structs.asdict(settings.exchange_sim)
    values |= {name: given for name in OPTIONS if (given := getattr(options, name)) is not None}
    if options.record_ticks:
        values["record_ticks"] = True
    try:
        return msgspec.convert(values, ExchangeSim)
    except (msgspec.ValidationError, ValueError) as e:
        raise Refused(f"[exchange_sim] with the options given: {e}") from e
