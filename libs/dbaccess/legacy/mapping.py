"""Which old table goes where, column by column. Layouts vary: each column has the spellings it is known by."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from libs.core.clock import trading_date
from libs.core.ids import content_id
from libs.dbaccess.legacy import values
from libs.dbaccess.legacy.values import Context, Convert, Unfit, plain
from libs.dbaccess.roles import Store
from libs.dbaccess.schema.signals import FORBIDDEN_KEYS, FORBIDDEN_PARTS


class Field(msgspec.Struct, frozen=True):
    """A column of ours: the old spellings (letters and digits), how to convert, and what stands where there is none.

    A default of `...` means that a row cannot do without; one that begins with `=` is another column of ours.
    """

    name: str
    spellings: str
    convert: Convert
    default: Any = ...


class Mapping(msgspec.Struct, frozen=True):
    """An old table and ours. `extra` is our JSON column for columns nobody knows; empty when there is none."""

    names: tuple[str, ...]
    store: Store
    target: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    extra: str = ""
    fixed: dict[str, Any] = {}


_SYMBOL = Field("symbol", "symbol tradingsymbol ticker instrument stock", values.text)
_EXCHANGE = Field("exchange", "exchange segment", values.exchange, None)
_TIMEFRAME = Field("timeframe", "timeframe interval tf period", values.text, "1d")
_TIME = Field(
    "timestamp_us", "timestamp ts time datetime date calculatedat detectedat predictedat createdat", values.moment
)
_CREATED = Field("created_at_us", "createdat insertedat computedat cachedat", values.moment, "=timestamp_us")
_STRATEGY = Field("strategy_id", "strategyid strategy strategyname", values.text, "legacy")
_SIGNAL = Field("signal_id_reference", "signalid signalidreference signalref", values.text, "")

ORDERS = Mapping(
    ("orders", "order", "order_history"), Store.TRADING, "orders", ("order_id",),
    (
        Field("order_id", "orderid id clientorderid internalid", values.name_of_order),
        _SIGNAL, _STRATEGY, _EXCHANGE, _SYMBOL,
        Field("side", "side transactiontype action direction", values.side),
        Field("order_type", "ordertype type", values.order_type, "market"),
        Field("product", "product producttype", values.product, "intraday"),
        Field("quantity", "quantity qty orderquantity", values.whole),
        Field("price", "price limitprice orderprice", values.price, None),
        Field("price_trigger", "triggerprice stopprice pricetrigger", values.price, None),
        Field("status", "status orderstatus state", values.status, "expired"),
        Field("reason", "status orderstatus state", values.status_reason, "migrated"),
        Field("quantity_filled", "quantityfilled filledquantity filledqty", values.whole, 0),
        Field("created_at_us", "createdat timestamp ordertime placedat time orderdate", values.moment),
        Field("updated_at_us", "updatedat filledat executedat exchangetimestamp", values.moment, "=created_at_us"),
        Field("sending_at_us", "sentat submittedat", values.moment, "=created_at_us"),
    ),
    fixed={"purpose": "entry", "is_complete": 1},
)  # fmt: skip
TRADES = Mapping(
    ("trades", "trade", "trade_history", "fills"), Store.TRADING, "trades",
    ("trading_date", "exchange", "broker_order_id", "trade_id"),
    (
        Field("trade_id", "tradeid id executionid fillid", values.text),
        Field("order_id", "orderid clientorderid", values.name_of_order, ""),
        Field("broker_order_id", "brokerorderid exchangeorderid orderid", values.text, ""),
        _SIGNAL, _STRATEGY, _EXCHANGE, _SYMBOL,
        Field("side", "side transactiontype action", values.side),
        Field("product", "product producttype", values.product, "intraday"),
        Field("quantity", "quantity qty tradedquantity", values.whole),
        Field("price", "price tradeprice executedprice fillprice averageprice", values.number),
        Field("fees_paise", "fees commission charges brokerage", values.paise, 0),
        Field("profit_paise", "profit pnl realizedpnl realisedpnl", values.paise, None),
        Field("timestamp_us", "timestamp executedat tradetime time filledat createdat", values.moment),
        Field("recorded_at_us", "recordedat insertedat", values.moment, "=timestamp_us"),
    ),
    fixed={"status": "filled"},
)  # fmt: skip
EXECUTION_LOG = Mapping(
    ("trade_execution_log", "execution_log"), Store.TRADING, "execution_log", ("log_id",),
    (
        Field("recorded_at_us", "timestamp executedat createdat time recordedat", values.moment),
        _SIGNAL, _STRATEGY, _SYMBOL,
        Field("broker", "broker brokername", values.text, "legacy"),
        Field("total_us", "latencyms executiontimems totallatencyms totalms durationms", values.milliseconds, None),
        Field("outcome", "status outcome result", values.text, ""),
    ),
    fixed={"action": "place"},
)  # fmt: skip
INSIGHTS = Mapping(
    ("confluence_insights",), Store.SIGNALS, "confluence_insights", ("symbol", "exchange", "timeframe", "timestamp_us"),
    (
        _SYMBOL, _EXCHANGE, _TIMEFRAME, _TIME,
        Field("direction", "direction signal bias trend", values.direction),
        Field("score", "score confluencescore strength", values.share),
        Field("confidence", "confidence probability", values.confidence, 0.0),
        _CREATED,
    ),
    extra="metadata_json", fixed={"code_version": "legacy"},
)  # fmt: skip
PATTERNS = Mapping(
    ("pattern_cache",), Store.SIGNALS, "pattern_cache", ("symbol", "exchange", "timeframe", "timestamp_us", "pattern"),
    (
        _SYMBOL, _EXCHANGE, _TIMEFRAME, _TIME,
        Field("pattern", "pattern patternname patterntype", values.text),
        Field("direction", "direction signal bias", values.direction, "neutral"),
        Field("strength", "strength confidence score", values.confidence, 0.0),
        _CREATED,
    ),
    extra="detail_json", fixed={"code_version": "legacy"},
)  # fmt: skip
MODELS = Mapping(
    ("ml_model_results", "model_results"), Store.SIGNALS, "model_results",
    ("symbol", "exchange", "timeframe", "timestamp_us", "model_id", "model_version"),
    (
        Field("model_id", "modelid modelname model", values.text),
        Field("model_version", "modelversion version", values.text, "legacy"),
        _SYMBOL, _EXCHANGE, _TIMEFRAME, _TIME,
        Field("label", "label class predictedclass signal", values.text, ""),
        Field("prediction", "prediction predictedvalue value predictedprice", values.number, None),
        Field("confidence", "confidence probability score", values.confidence, 0.0),
        _CREATED,
    ),
    extra="detail_json",
)  # fmt: skip
METRICS = Mapping(
    ("analytics_metrics",), Store.SIGNALS, "analytics_metrics",
    ("metric", "symbol", "exchange", "timeframe", "timestamp_us"),
    (
        Field("metric", "metric metricname name metrictype", values.text),
        Field("symbol", "symbol ticker instrument", values.text, ""),
        _EXCHANGE, _TIMEFRAME, _TIME,
        Field("value", "value metricvalue", values.number),
        _CREATED,
    ),
)  # fmt: skip
#: In this order: what points at a row comes after it.
MAPPINGS = (ORDERS, TRADES, EXECUTION_LOG, INSIGHTS, PATTERNS, MODELS, METRICS)


class Mapped(msgspec.Struct, frozen=True):
    """How the columns of an old table were understood."""

    columns: dict[str, str]
    extra: tuple[str, ...]
    missing: tuple[str, ...]


def understand(mapping: Mapping, columns: list[str]) -> Mapped:
    """Find the old column of each of ours; the first spelling that is there wins."""
    found: dict[str, str] = {}
    for field in mapping.fields:
        for spelling in field.spellings.split():
            column = next((name for name in columns if plain(name) == spelling), None)
            if column:
                found[field.name] = column
                break
    extra = tuple(name for name in columns if name not in found.values())
    missing = tuple(field.name for field in mapping.fields if field.default is ... and field.name not in found)
    return Mapped(found, extra, missing)


def convert(mapping: Mapping, mapped: Mapped, row: dict[str, Any], context: Context) -> dict[str, Any]:
    """Make a row of ours of an old one; `Unfit` says what is wrong with it."""
    made: dict[str, Any] = dict(mapping.fixed)
    for field in mapping.fields:
        column = mapped.columns.get(field.name)
        value = row[column] if column else None
        if value is not None:
            made[field.name] = field.convert(value, context)
        elif isinstance(field.default, str) and field.default.startswith("="):
            made[field.name] = made[field.default[1:]]
        elif field.default is ...:
            raise Unfit(f"{column or field.name} is empty")
        else:
            made[field.name] = field.default
    if "exchange" in made:
        made["exchange"] = made["exchange"] or context.exchange
    if mapping.extra:
        made[mapping.extra] = json.dumps(
            {name: row[name] for name in mapped.extra if row[name] is not None and may_be_kept(mapping, name)},
            default=str, sort_keys=True,
        )  # fmt: skip
    return _finished(mapping, made, row)


def may_be_kept(mapping: Mapping, column: str) -> bool:
    """Whether a column nobody knows may go into our JSON: an insight holds no quantity, stop or target."""
    name = plain(column)
    return mapping is not INSIGHTS or not (name in FORBIDDEN_KEYS or any(part in name for part in FORBIDDEN_PARTS))


def _finished(mapping: Mapping, made: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from other columns."""
    if mapping is TRADES:
        made["order_id"] = made["order_id"] or f"legacy-{content_id(made['trade_id'])}"
        made["broker_order_id"] = made["broker_order_id"] or f"legacy-{made['trade_id']}"
        made["trading_date"] = trading_date(made["timestamp_us"]).isoformat()
        made["direction"] = "long" if made["side"] == "buy" else "short"
    if mapping is ORDERS and made["status"] == "filled":
        made["quantity_filled"] = made["quantity_filled"] or made["quantity"]
    if mapping is EXECUTION_LOG:  # a name of its own, so that a second run finds it
        made["log_id"] = int(content_id(*(repr(value) for value in row.values()))[:13], 16)
    return made
