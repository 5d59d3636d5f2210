"""What a backtest is asked for, checked before anything is opened."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.core.errors import Refused
from libs.core.money import PAISE_PER_RUPEE
from libs.orders.fills import FillSettings
from libs.orders.instrument import Instrument
from libs.orders.model import Product
from libs.settings.risk import Risk
from libs.strategies import registry
from libs.strategies.interface import parameters_of, parameters_text
from libs.trading.exits import ExitRules
from libs.trading.sizing import FixedValue, Sizing

FILL_MODELS = ("next_bar_open", "next_tick")
#: `auto`: the vectorised form of a strategy, where it has one that proves equal on a sample; `event`: bar by bar.
FORMS = ("auto", "event")


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run, complete: two runs of equal requests on equal data are equal but for their id and times.

    Both dates are included. `limits` changes limits of [risk] by their names there. `daily_anchor` starts strategies
    anew every morning, as live does; without it indicators run on through the nights. `coverage_min_percent` refuses
    the run unless each symbol has so much of each trading day's minutes.
    """

    strategy: str
    symbols: tuple[str, ...]
    start: date
    end: date
    timeframe: str = "1m"
    exchange: str = "nse"
    parameters: dict[str, Any] = {}
    cash_rupees: Annotated[int, Meta(ge=1)] = 1_000_000
    fill: str = "next_bar_open"
    costs: bool = True
    fills: FillSettings = FillSettings()
    sizing: Sizing = FixedValue(100_000)
    exits: ExitRules = ExitRules()
    product: Product = Product.INTRADAY
    limits: dict[str, Any] = {}
    instruments: tuple[Instrument, ...] = ()
    daily_anchor: bool = True
    seed: int = 0
    form: str = "auto"
    coverage_min_percent: Annotated[float, Meta(ge=0, le=100)] = 0.0

    @property
    def cash_paise(self) -> int:
        """Give the cash at the start."""
        return self.cash_rupees * PAISE_PER_RUPEE

    def risk(self, defaults: Risk) -> Risk:
        """Put the run's own limits over the fleet's."""
        try:
            return msgspec.convert(msgspec.structs.asdict(defaults) | self.limits, Risk)
        except (msgspec.ValidationError, ValueError) as e:
            raise Refused(f"limits {self.limits}: {e}") from e


def make_request(
    strategy: str, symbols: str | tuple[str, ...] | list[str], start: Any, end: Any, **options: Any
) -> RunRequest:
    """Make a request out of what a person or program gives: texts become dates, numbers, structs; refuse nonsense."""
    names = symbols.split(",") if isinstance(symbols, str) else list(symbols)
    given = {
        "strategy": strategy,
        "symbols": list(dict.fromkeys(name.strip() for name in names if name.strip())),
        "start": _day(start),
        "end": _day(end),
    } | options
    try:
        request = msgspec.convert(msgspec.to_builtins(given), RunRequest, strict=False)
    except msgspec.ValidationError as e:
        raise Refused(f"backtest of {strategy!r}: {e}") from e
    return checked(request)


def checked(request: RunRequest) -> RunRequest:
    """Refuse what cannot be run; give the request with its parameters complete."""
    if not request.symbols:
        raise Refused("no symbols; name one at least")
    if request.end < request.start:
        raise Refused(f"the run ends on {request.end}, before it begins on {request.start}")
    if request.fill not in FILL_MODELS:
        raise Refused(f"fill model {request.fill!r}; expected one of {', '.join(FILL_MODELS)}")
    if request.form not in FORMS:
        raise Refused(f"form {request.form!r}; expected one of {', '.join(FORMS)}")
    if request.timeframe not in TIMEFRAMES:
        raise Refused(f"timeframe {request.timeframe!r}; expected one of {', '.join(TIMEFRAMES)}")
    if request.timeframe == "1d":
        # A day bar is stamped with midnight, when nothing trades: the gate would refuse every order.
        raise Refused("timeframe '1d' cannot be traded yet: run on minutes and ask for day bars by context.higher")
    if request.fill == "next_tick":
        raise Refused("fill model 'next_tick' is not there yet; use 'next_bar_open'")
    Calendar.load(request.exchange)
    kind = registry.find(request.strategy)
    parameters = msgspec.json.decode(parameters_text(parameters_of(kind, request.parameters)))
    return msgspec.structs.replace(request, parameters=parameters, symbols=tuple(sorted(request.symbols)))


def _day(moment: Any) -> date:
    if isinstance(moment, datetime):
        return moment.date()
    if isinstance(moment, date):
        return moment
    try:
        return date.fromisoformat(str(moment).strip()[:10])
    except ValueError as e:
        raise Refused(f"{moment!r} is no date; expected one such as 2026-02-02") from e
