"""Every kind of fault, what it does and the parameters it takes; the control API and `fleet sim` list this table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PATH = {"path": ""}
_SYMBOL = {"instrument_key": ""}
_STREAM = {"stream": "all"}


@dataclass(frozen=True)
class Kind:
    """One kind of fault. `parameters` maps each name to its default, whose type a given value must have."""

    purpose: str
    parameters: dict[str, Any] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    # orders
    "order_timeout": Kind(
        "the request is carried out, its answer never comes: the socket stays silent for delay_s, then closes",
        {"op": "place", "delay_s": 60.0},
    ),
    "fill_before_ack": Kind(
        "the order goes all its way, events included, before the answer, which comes delay_s later",
        {"delay_s": 0.5},
    ),
    "order_reject": Kind("the order is accepted, then rejected", {"message": "RMS: rule check failed", **_SYMBOL}),
    # portfolio stream
    "portfolio_lost": Kind("an event is never sent", {"update_type": ""}),
    "portfolio_duplicate": Kind("an event is sent twice", {"update_type": ""}),
    "portfolio_delay": Kind("an event is sent delay_s late, after its successors", {"update_type": "", "delay_s": 1.0}),
    # REST
    "rate_limit": Kind("429 with UDAPI10005", {**_PATH}),
    "http_error": Kind(
        "any status and error code",
        {**_PATH, "status": 500, "code": "UDAPI100500", "message": "Something went wrong... please contact us"},
    ),
    "slow": Kind("an answer takes delay_s longer", {**_PATH, "delay_s": 2.0}),
    "rest_reset": Kind(
        "the connection is reset, before or after the request is carried out", {**_PATH, "when": "before"}
    ),
    # access
    "authorize_refused": Kind("authorisation of a stream is refused", {**_STREAM, "status": 403}),
    "token_death": Kind("every token given out so far is dead: 401 everywhere, streams close", {}),
    # streams
    "mute": Kind(
        "the socket stays open and silent; pings are answered only if pongs is true", {**_STREAM, "pongs": False}
    ),
    "close": Kind("open streams are closed with a code; 1006 means without a closing frame", {**_STREAM, "code": 1001}),
    "reset": Kind("open streams are reset (RST)", {**_STREAM}),
    "disconnect": Kind(
        "open streams are dropped and new connections reset while it lasts; rest too if asked",
        {
            **_STREAM,
            "rest": False,
        },
    ),
    "garbage": Kind("a frame that is no protobuf is sent", {}),
    # prices
    "clock_skew": Kind("every time the exchange gives is wrong by offset_ms", {"offset_ms": 5000}),
    "price_spike": Kind(
        "a tick's price is multiplied by factor, which may be 0 or negative", {**_SYMBOL, "factor": 1.5}
    ),
    "out_of_order": Kind("a tick is kept back and sent after its successor", {**_SYMBOL}),
    "stale_tick": Kind("a tick is followed by one as it was age_s earlier", {**_SYMBOL, "age_s": 60.0}),
    "repeat_tick": Kind("a tick is sent twice", {**_SYMBOL}),
    "missing_depth": Kind("a full tick comes without its book", {**_SYMBOL}),
    "halt": Kind("an instrument does not trade; orders for it are rejected", {**_SYMBOL}),
}

#: These act once when they are set, on what is connected then.
IMMEDIATE = frozenset({"token_death", "close", "reset", "disconnect"})
