"""What may be asked of the engine, each command a typed struct; unknown words and keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.core.errors import Refused

Text = Annotated[str, Meta(min_length=1, max_length=500)]


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command. `sender` is whoever asks, for the audit."""

    sender: str = "unknown"


class Status(Command, frozen=True, kw_only=True):
    """How the engine is. Changes nothing and is not kept."""


class Halt(Command, frozen=True, kw_only=True):
    """Send nothing but cancels; with `flatten` also close every position."""

    reason: Text
    flatten: bool = False
    scope_kind: Annotated[str, Meta(pattern="^(account|strategy|instrument)$")] = "account"
    scope: str = ""


class Reduce(Halt, frozen=True, kw_only=True):
    """Send exits and cancels only."""


class Resume(Command, frozen=True, kw_only=True):
    """Trade again. A reason is needed; a drawdown lock is lifted with it."""

    reason: Text
    scope_kind: Annotated[str, Meta(pattern="^(account|strategy|instrument)$")] = "account"
    scope: str = ""


class Flatten(Command, frozen=True, kw_only=True):
    """Cancel every order and close every position."""

    reason: Text = "asked for"


class SquareOff(Command, frozen=True, kw_only=True):
    """Cancel and close everything in one symbol."""

    symbol: Text
    reason: Text = "asked for"


class Cancel(Command, frozen=True, kw_only=True):
    """Cancel one order; without an id every order that may be alive."""

    order_id: str = ""
    reason: Text = "asked for"


class Modify(Command, frozen=True, kw_only=True):
    """Give an order other terms; never more shares."""

    order_id: Text
    quantity: Annotated[int, Meta(ge=1)]
    price: float | None = None
    price_trigger: float | None = None


class Replace(Command, frozen=True, kw_only=True):
    """Cancel an order, and once nothing of it can trade any more, ask for what is left of it at another price."""

    order_id: Text
    price: float | None = None


class Reconcile(Command, frozen=True, kw_only=True):
    """Compare with the broker now."""


class Settle(Command, frozen=True, kw_only=True):
    """Vouch that of an unknown order nothing exists at the broker but what is known."""

    order_id: Text
    reason: Text


class Preflight(Command, frozen=True, kw_only=True):
    """What `fleet preflight` found. `override` is why a NO-GO shall not keep the day from being traded."""

    verdict: Annotated[str, Meta(pattern="^(GO|NO-GO)$")]
    failed: list[str] = msgspec.field(default_factory=list)
    override: Annotated[str, Meta(max_length=500)] = ""


class BrokerSwitch(Command, frozen=True, kw_only=True):
    """Read the broker's own kill switch."""


class BrokerLock(Command, frozen=True, kw_only=True):
    """Throw the broker's own kill switch. `confirm` spells out what that means."""

    reason: Text
    confirm: Text


COMMANDS: dict[str, type[Command]] = {
    "status": Status, "halt": Halt, "reduce": Reduce, "resume": Resume, "flatten": Flatten, "square_off": SquareOff,
    "cancel": Cancel, "modify": Modify, "replace": Replace, "reconcile": Reconcile, "settle": Settle,
    "preflight": Preflight,
    "broker_switch": BrokerSwitch, "broker_lock": BrokerLock,
}  # fmt: skip


def parse(name: str, arguments: Mapping[str, Any]) -> Command:
    """Give the typed command, or refuse it with what was expected."""
    kind = COMMANDS.get(name)
    if kind is None:
        raise Refused(f"the execution engine knows no command {name!r}; it knows: {', '.join(COMMANDS)}")
    try:
        command = msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as e:
        raise Refused(f"command {name}: {e}") from e
    if isinstance(command, (Halt, Resume)) and (command.scope_kind == "account") != (command.scope == ""):
        raise Refused(f"command {name}: scope {command.scope!r} does not fit scope_kind {command.scope_kind!r}")
    return command
