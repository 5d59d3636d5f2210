"""The simulator's settings: the [exchange_sim] section, changed by the command line's options."""

from __future__ import annotations

import argparse

import msgspec

from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.settings.exchange_sim import ExchangeSim
from services.exchange_sim.options import OPTIONS


def simulator_settings(settings: Settings, options: argparse.Namespace) -> ExchangeSim:
    """Give the section with the options put over it, checked again as a whole."""
    if settings.profile == "live":
        raise WrongConfiguration("the exchange simulator does not run under the live profile: its prices are invented")
    values = msgspec.structs.asdict(settings.exchange_sim)
    values |= {name: given for name in OPTIONS if (given := getattr(options, name)) is not None}
    if options.record_ticks:
        values["record_ticks"] = True
    try:
        return msgspec.convert(values, ExchangeSim)
    except (msgspec.ValidationError, ValueError) as e:
        raise WrongConfiguration(f"[exchange_sim] with the options given: {e}") from e
