"""Golden payloads made from what was recorded of the broker and its SDK, not from what the simulator says.

Files are only ever added to. In a response `<str>`, `<int>`, `<number>`, `<bool>` and `<any>` stand for values, `?`
allows null, `{name}` for something an earlier step gave; keys must be the same, no fewer and no more.
A list stands for lists whose every row looks like its row, or, when it has several, for exactly these.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from libs.upstox.feed_messages import feed_messages
from services.exchange_sim.exchange import orders as states
from services.exchange_sim.exchange.orders import Order, Request
from services.exchange_sim.feed import encode
from services.exchange_sim.feed.subscriptions import Subscriptions
from services.exchange_sim.market.candles import Candle
from services.exchange_sim.market.instruments import Listing
from services.exchange_sim.market.quotes import Quote
from services.exchange_sim.market.sessions import Phase
from services.exchange_sim.wire import Speller
from tests.kit.exchange_sim import TRADING_TOKEN, Simulator
from tests.kit.processes import wait_until

GOLDEN = Path(__file__).parents[1] / "golden" / "upstox"
REST = sorted((GOLDEN / "rest").glob("*.json"))
KEY = "NSE_EQ|INE848E01016"


def recorded(name: str) -> Any:
    return json.loads((GOLDEN / "feed" / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def facts(sim: Simulator) -> dict[str, Any]:
    """Two resting orders, a filled one, a GTT order."""

    def send(path: str, body: dict[str, Any]) -> Any:
        return sim.ask("POST", path, body | {"instrument_token": KEY, "transaction_type": "BUY"}, token=TRADING_TOKEN)[
            1
        ]

    _, quote = sim.ask("GET", "/v3/market-quote/ltp?instrument_key=NSE_EQ%7CINE848E01016", token=TRADING_TOKEN)
    price = round(quote["data"]["NSE_EQ:NHPC"]["last_price"] * 0.95, 2)
    body = {"quantity": 5, "product": "D", "validity": "DAY"}
    orders = {"filled_id": {"order_type": "MARKET"}}
    orders |= {name: {"order_type": "LIMIT", "price": price} for name in ("order_id", "modified_id")}
    ids = {name: send("/v3/order/place", body | terms)["data"]["order_ids"][0] for name, terms in orders.items()}
    rule = {"strategy": "ENTRY", "trigger_type": "ABOVE", "trigger_price": round(price * 1.5, 2)}
    gtt = send("/v3/order/gtt/place", {"type": "SINGLE", "quantity": 1, "product": "D", "rules": [rule]})

    def settled() -> bool:
        found = {one["order_id"]: one["status"] for one in sim.state()["orders"]}
        return [found[ids[name]] for name in orders] == ["complete", "open", "open"]

    wait_until(settled, "the orders")
    return ids | {"gtt_order_id": gtt["data"]["gtt_order_ids"][0], "price": round(price - 0.1, 2)}


def put_in(value: Any, facts: dict[str, Any]) -> Any:
    """Replace `{name}` in a golden value by what it stands for."""
    if isinstance(value, dict):
        return {key: put_in(inner, facts) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_in(inner, facts) for inner in value]
    if isinstance(value, str):
        whole = value.strip("{}")
        if value == f"{{{whole}}}" and whole in facts:
            return facts[whole]
        for name, fact in facts.items():
            value = value.replace(f"{{{name}}}", str(fact))
    return value


TYPES = {"<str>": str, "<int>": int, "<number>": (int, float), "<bool>": bool}


def differences(golden: Any, found: Any, where: str = "$") -> list[str]:
    """Say where an answer departs from its golden form."""
    if isinstance(golden, str) and golden.startswith("<"):
        kind = golden.replace("?", "")
        if golden == "<any>" or ("?" in golden and found is None):
            return []
        fits = isinstance(found, TYPES[kind]) and (kind == "<bool>" or not isinstance(found, bool))
        return [] if fits else [f"{where}: expected {golden}, found {found!r}"]
    if isinstance(golden, dict) and isinstance(found, dict):
        wrong = [f"{where}.{key}: missing" for key in golden.keys() - found.keys()]
        wrong += [f"{where}.{key}: not recorded" for key in found.keys() - golden.keys()]
        return wrong + [
            d for key in golden.keys() & found.keys() for d in differences(golden[key], found[key], f"{where}.{key}")
        ]
    if isinstance(golden, list) and isinstance(found, list):
        rows = golden * len(found) if len(golden) == 1 and found else golden
        if len(rows) != len(found):
            return [f"{where}: expected {len(rows)} rows, found {len(found)}"]
        return [d for n, (a, b) in enumerate(zip(rows, found, strict=True)) for d in differences(a, b, f"{where}[{n}]")]
    return [] if golden == found else [f"{where}: expected {golden!r}, found {found!r}"]


@pytest.mark.parametrize("path", REST, ids=lambda path: path.stem)
def test_rest_answer_has_the_recorded_shape(sim, facts, path):
    golden = put_in(json.loads(path.read_text("utf-8")), facts)
    request = golden["request"]
    token = "nobody's" if path.stem == "error_bad_token" else TRADING_TOKEN
    status, answer = sim.ask(request["method"], request["path"], request.get("body"), token=token)

    assert status == golden["status"], answer
    assert differences(golden["response"], answer) == []


def test_comparison_sees_differences():
    """A matcher that matches everything would make every test above green."""
    golden = {"a": "<int>", "b": ["<str>"], "c": None}

    assert differences(golden, {"a": 1, "b": ["x", "y"], "c": None}) == []
    assert len(differences(golden, {"a": "1", "b": [1], "d": None})) == 4


# -- the feed


def share_quote(**changes: Any) -> Quote:
    """The recorded instant of 2025-03-19: conflated, with volume far above the last trade's quantity."""
    instrument = Listing(3, 7).instruments[2]
    day = Candle(1_742_322_600_000, 1302.0, 1312.4, 1298.1, 1309.9, 7_790_518)
    minute = Candle(1_742_373_900_000, 1308.0, 1309.5, 1307.6, 1309.1, 9120)
    values = {
        "instrument": instrument, "price": 1309.9, "trade_time_ms": 1_742_374_001_000, "trade_quantity": 57,
        "previous_close": 1300.5, "volume_day": 7_791_920, "average_price": 1306.2, "day": day, "minute": minute,
        "depth": [(10, 1309.8, 20, 1310.0), (11, 1309.7, 21, 1310.1)],
    }  # fmt: skip
    return Quote(**values | changes)


def index_quote() -> Quote:
    day = Candle(1_742_322_600_000, 22874.95, 22940.7, 22807.95, 22907.6, 0)
    minute = Candle(1_742_373_900_000, 22905.0, 22908.2, 22904.1, 22906.9, 0)
    index = Listing(1, 7).index
    return Quote(index, 22907.6, 1_742_374_001_000, 0, 22834.3, 0, 0.0, day, minute, None)


BEFORE = share_quote(
    price=1300.5, trade_time_ms=1_742_292_000_000, trade_quantity=0, volume_day=0, average_price=0.0, day=None,
    minute=None, depth=None, auction_price=1302.0,
)  # fmt: skip

FRAMES = {
    "live_full": (1, share_quote(), "full"),
    "live_full_without_depth": (1, share_quote(depth=None), "full"),
    "initial_ltpc": (0, share_quote(), "ltpc"),
    "initial_nothing_traded": (0, BEFORE, "full"),
    "live_option_greeks": (1, share_quote(), "option_greeks"),
    "live_index": (1, index_quote(), "full"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frame_reads_as_recorded(name):
    """As the SDK's own way of reading shows it: int64 are strings, zeros are gone, the first type is absent."""
    kind, quote, mode = FRAMES[name]
    payload = encode.frame(kind, [(quote.instrument.key, encode.encode_feed(quote, mode))], 1_742_374_001_240)

    assert MessageToDict(feed_messages().FeedResponse.FromString(payload)) == recorded(name)


def test_market_info_reads_as_recorded():
    payload = encode.market_info_frame(Phase.OPEN, 1_742_374_001_240, 0)

    assert MessageToDict(feed_messages().FeedResponse.FromString(payload)) == recorded("market_info")


def test_recorded_commands_are_understood():
    subscriptions = Subscriptions(Listing(3, 7))
    wanted = subscriptions.apply(json.dumps(recorded("subscribe")).encode())
    modes = dict(subscriptions.modes)
    subscriptions.apply(json.dumps(recorded("unsubscribe")).encode())

    assert wanted == list(modes) == ["NSE_EQ|INE090A01021"]
    assert modes["NSE_EQ|INE090A01021"] == "full"
    assert subscriptions.modes == {}
    assert subscriptions.refused == []


def test_order_event_has_the_recorded_fields():
    instrument = Listing(1, 7).instruments[0]
    request = Request(instrument, True, 1, "I", "DAY", "MARKET")
    order = Order("1", request, 0)
    order.history.append({"status": states.RECEIVED, "message": None, "at_ms": 0, "filled_quantity": 0,
                          "average_price": 0.0, "request": request})  # fmt: skip
    event = Speller().order_event(order)
    golden = recorded("portfolio_order")

    assert event["update_type"] == golden["update_type"]
    assert set(golden["fields"]) <= set(event)


def test_statuses_are_the_recorded_words():
    words = {value for name, value in vars(states).items() if name.isupper() and isinstance(value, str)}

    assert words == set(recorded("statuses"))
