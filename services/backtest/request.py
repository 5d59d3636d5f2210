"""What a backtest is asked for, checked before anything is opened."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.core.errors import Refused
from libs.core.money import PAISE_PER_RUPEE
from libs.dbaccess.layout import symbol_name
from libs.orders.fills import FillSettings
from libs.orders.instrument import Instrument
from libs.orders.model import Product
from libs.risk.limits import Override
from libs.settings.risk import Risk
from libs.strategies import registry
from libs.strategies.interface import parameters_of, parameters_text
from libs.trading.exits import ExitRules
from libs.trading.plan import Plan
from libs.trading.sizing import RUPEES_MAX, FixedValue, Sizing
from libs.trading.strategy_slot import StrategyInstance
from services.backtest.wanted import day_of, names_of

NEXT_BAR_OPEN, NEXT_TICK = "next_bar_open", "next_tick"
FILL_MODELS = (NEXT_BAR_OPEN, NEXT_TICK)
#: `auto`: the vectorised form of a strategy, where it has one that proves equal on a sample; `event`: bar by bar.
FORMS = ("auto", "event")
#: No market's data begin before, and no calendar reaches further.
EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)


class Beside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy that trades beside the run's own, on the same account."""

    strategy: str
    symbols: tuple[str, ...]
    name: str = ""
    parameters: dict[str, Any] = {}
    sizing: Sizing = FixedValue(100_000)
    exits: ExitRules = ExitRules()
    product: Product = Product.INTRADAY


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run, complete: two runs of equal requests on equal data are equal but for their id and times.

    Both dates are included. `limits` changes limits of [risk] by their names there. `daily_anchor` starts strategies
    anew every morning, as live does; without it indicators run on through the nights. `coverage_min_percent` refuses
    the run unless each symbol has so much of each trading day's minutes. `name` is the strategy instance's, its id
    when empty; `beside` are further ones on the same account; `overrides` are limits of one strategy or symbol.
    """

    strategy: str
    symbols: tuple[str, ...]
    start: date
    end: date
    timeframe: str = "1m"
    exchange: str = "nse"
    parameters: dict[str, Any] = {}
    cash_rupees: Annotated[int, Meta(ge=1, le=RUPEES_MAX)] = 1_000_000
    fill: str = NEXT_BAR_OPEN
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
    name: str = ""
    beside: tuple[Beside, ...] = ()
    overrides: tuple[Override, ...] = ()

    def _own_limits(self) -> dict[str, Any]:
        """What follows from what is asked for: day bars are decided at their close, and shares are paid for in full."""
        limits = {"last_entry_before_close_min": 0, "square_off_before_close_min": 0} if self.timeframe == "1d" else {}
        if {self.product, *(each.product for each in self.beside)} == {Product.DELIVERY}:
            limits["account_exposure_equity_max_percent"] = 100
        return limits

    @property
    def instance(self) -> str:
        """Give the name of the run's own signals."""
        return self.name or self.strategy

    @property
    def symbols_all(self) -> tuple[str, ...]:
        """Give every symbol that is traded, in order."""
        return tuple(sorted({*self.symbols, *(symbol for each in self.beside for symbol in each.symbols)}))

    def instances(self) -> list[StrategyInstance]:
        """Give what is hosted: the run's own strategy first."""
        hosted: tuple[RunRequest | Beside, ...] = (self, *self.beside)
        return [
            StrategyInstance(
                strategy=each.strategy, symbols=each.symbols, name=each.name, timeframe=self.timeframe,
                exchange=self.exchange, parameters=each.parameters,
            )
            for each in hosted
        ]  # fmt: skip

    def plans(self) -> list[Plan]:
        """Give how each of them is traded."""
        traded: tuple[RunRequest | Beside, ...] = (self, *self.beside)
        return [
            Plan(strategy_id=each.name or each.strategy, sizing=each.sizing, exits=each.exits, product=each.product)
            for each in traded
        ]

    @property
    def cash_paise(self) -> int:
        """Give the cash at the start."""
        return self.cash_rupees * PAISE_PER_RUPEE

    def risk(self, defaults: Risk) -> Risk:
        """Put the run's own limits over the fleet's."""
        try:
            return msgspec.convert(msgspec.structs.asdict(defaults) | self._own_limits() | self.limits, Risk)
        except (msgspec.ValidationError, ValueError) as e:
            raise Refused(f"limits {self.limits}: {e}") from e


def make_request(
    strategy: str, symbols: str | tuple[str, ...] | list[str], start: Any, end: Any, **options: Any
) -> RunRequest:
    """Make a request out of what a person or program gives: texts become dates, numbers, structs; refuse nonsense."""
    given = {
        "strategy": strategy,
        "symbols": names_of(symbols),
        "start": day_of(start),
        "end": day_of(end),
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
    for name in request.symbols_all:
        symbol_name(name)
    if request.end < request.start:
        raise Refused(f"the run ends on {request.end}, before it begins on {request.start}")
    if request.start < EARLIEST or request.end > LATEST:
        raise Refused(f"a run is between {EARLIEST} and {LATEST}, not from {request.start} to {request.end}")
    if request.fill not in FILL_MODELS:
        raise Refused(f"fill model {request.fill!r}; expected one of {', '.join(FILL_MODELS)}")
    if request.form not in FORMS:
        raise Refused(f"form {request.form!r}; expected one of {', '.join(FORMS)}")
    if request.timeframe not in TIMEFRAMES:
        raise Refused(f"timeframe {request.timeframe!r}; expected one of {', '.join(TIMEFRAMES)}")
    if request.timeframe == "1d":
        request = _for_days(request)
    Calendar.load(request.exchange)
    request.risk(Risk())  # limits there are not
    names = [each.instance for each in request.instances()]
    if len(set(names)) < len(names):
        raise Refused(f"two strategies have one name: {', '.join(sorted(names))}")
    beside = tuple(_completed(each) for each in request.beside)
    return msgspec.structs.replace(_completed(request), beside=beside)


_Asked = TypeVar("_Asked", RunRequest, Beside)


def _for_days(request: RunRequest) -> RunRequest:
    """Make a request on day bars one that holds through the nights: delivery, and no square-off."""
    if request.fill == NEXT_TICK:
        raise Refused("fill 'next_tick' on day bars: their orders fill at the next session's open; run on minutes")

    def held(asked: _Asked) -> _Asked:
        exits = msgspec.structs.replace(asked.exits, square_off=False)
        return msgspec.structs.replace(asked, exits=exits, product=Product.DELIVERY)

    return msgspec.structs.replace(held(request), beside=tuple(held(each) for each in request.beside))


def _completed(asked: _Asked) -> _Asked:
    """Fill in the parameters that were not given, and put the symbols into order."""
    parameters = msgspec.json.decode(parameters_text(parameters_of(registry.find(asked.strategy), asked.parameters)))
    return msgspec.structs.replace(asked, parameters=parameters, symbols=tuple(sorted(asked.symbols)))
