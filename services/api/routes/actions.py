"""What an admin does: orders to the engine, backtests, and changes of the config store. Each leaves an audit line."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.exceptions import PermissionDeniedException
from msgspec import Meta

from libs.core.clock import trading_date
from libs.core.errors import FleetError, Refused
from libs.runtime.telling import read_addresses
from libs.strategies.user import load_directory
from services.api.access import Principal
from services.api.changes import Asked, Done, NotThere, record
from services.api.configuration import PREFERENCE, SavePreference, preferences
from services.api.context import Context
from services.api.guards import address_of
from services.api.instruments import IMPORT
from services.api.passwords import hash_password
from services.api.requests import request_id_of

#: What the backtest service may be asked from here.
BACKTEST = ("cancel", "delete", "keep")
#: What the engine may be asked from here.
ENGINE = ("halt", "reduce", "resume", "flatten", "cancel", "modify", "replace", "square_off", "reconcile")


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the engine's command takes, as `fleet kill-switch` and its page say."""

    arguments: dict[str, Any] = {}


class Password(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user and the new password; with a role, a user there is not yet."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(min_length=1, max_length=1024)]
    role: str = ""


async def _asked(request: Request[Any, Any, Any], context: Context, service: str, name: str, given: Any) -> Any:
    """Ask an owner and write down what was asked and what became of it, also when it refused."""
    who: Principal = request.user
    asked = Asked(who.name, address_of(request), context.clock.now_us(), {})
    outcome = "done"
    try:
        return await asyncio.to_thread(context.ask, service, name, given, request_id_of(request))
    except FleetError as e:
        outcome = f"{type(e).__name__}: {e}"
        raise
    finally:
        told = {"arguments": {k: str(v)[:500] for k, v in given.items()}, "outcome": outcome}
        done = Done(service, name, None, told | {"request_id": request_id_of(request)})
        with context.session.transaction() as connection:
            record(connection, asked, f"{service}.{name}", done, str(given.get("reason", ""))[:500])


@post("/api/engine/{name:str}", role="admin", scope="trade", status_code=200)
async def engine(request: Request[Any, Any, Any], context: Context, name: str, data: Order) -> dict[str, Any]:
    """Have the engine halt, reduce, resume, flatten, square off, reconcile; cancel, modify or replace an order."""
    if name not in ENGINE:
        raise NotThere(f"no command {name!r}; there are {', '.join(ENGINE)}")
    given = {**data.arguments, "sender": request.user.name}
    return {"command": name, "result": await _asked(request, context, "execution_engine", name, given)}


@post("/api/backtests", role="admin", scope="trade", status_code=202)
async def backtest(request: Request[Any, Any, Any], context: Context, data: Order) -> dict[str, Any]:
    """Queue a backtest: strategy, symbols, start, end, and what `fleet backtest run` takes besides."""
    given = {"request": data.arguments, "requested_by": request.user.name}
    return {"result": await _asked(request, context, "backtest", "submit", given)}


@post("/api/backtests/{name:str}", role="admin", scope="trade", status_code=200)
async def backtest_order(request: Request[Any, Any, Any], context: Context, name: str, data: Order) -> dict[str, Any]:
    """Have the backtest service cancel a job, delete a run, or keep one from clean-up."""
    if name not in BACKTEST:
        raise NotThere(f"no command {name!r}; there are {', '.join(BACKTEST)}")
    return {"command": name, "result": await _asked(request, context, "backtest", name, data.arguments)}


@post("/api/config/{change:str}", role="admin", scope="config", status_code=200)
async def config(request: Request[Any, Any, Any], context: Context, change: str, data: Order) -> dict[str, Any]:
    """Change the config store."""
    if change in {"user.add", "user.password"}:
        raise NotThere("passwords go to /api/passwords, which keeps only their hash")
    if change == IMPORT:
        raise NotThere("/api/instruments/import takes the ingestor's file, `fleet instruments import` any other")
    if change == "strategy.save":  # the user's own may be new, or have other parameters by now
        await asyncio.to_thread(load_directory, context.settings.strategies.directory(context.settings.data_root))
    given = data.arguments
    if change == "alert.save":
        await asyncio.to_thread(_check_target, context, str(given.get("target", "")))
    if change == "instrument.save" and not given.get("day"):  # the market's day, which a simulated one's is not ours
        given = {**given, "day": trading_date(context.watch.market_us()).isoformat()}
    who: Principal = request.user
    result = context.change(change, given, actor=who.name, address=address_of(request))
    return {"change": change, "result": result}


def _check_target(context: Context, target: str) -> None:
    names = sorted({each.name for each in read_addresses(context.settings.ops.alert_urls_file) if each.name})
    if target not in names:
        raise Refused(
            f"no address is named {target!r}; there are {', '.join(names) or 'none'}: name one in ops.alert_urls_file, "
            "`NAME ADDRESS` a line"
        )


@post("/api/instruments/import", role="admin", scope="config", status_code=200)
async def take_over(request: Request[Any, Any, Any], context: Context) -> dict[str, Any]:
    """Take the instruments file that the ingestor keeps over into the config store: shares and indexes, as of today."""
    exchange = context.settings.data.exchange
    path = context.db.layout.market / f"instruments_{exchange}.json.gz"
    if not path.exists():
        raise NotThere(f"the ingestor has kept no instruments file yet: {path.name}")
    day = trading_date(context.watch.market_us())
    segments = [f"{exchange.upper()}_{kind}" for kind in ("EQ", "INDEX")]
    given = {"path": str(path), "day": day.isoformat(), "segments": segments}
    prepared = await asyncio.to_thread(context.prepare_import, given)
    who: Principal = request.user
    result = context.change(IMPORT, given, actor=who.name, address=address_of(request), prepared=prepared)
    return {"result": result}


@post("/api/passwords", role="admin", scope="config", status_code=200)
async def password(request: Request[Any, Any, Any], context: Context, data: Password) -> dict[str, Any]:
    """Give a user another password, or add one with a role."""
    who: Principal = request.user
    async with context.hashing:
        hashed = await asyncio.to_thread(hash_password, data.password, context.settings.api.password_characters_min)
    given = {"name": data.name, "password_hash": hashed} | ({"role": data.role} if data.role else {})
    change = "user.add" if data.role else "user.password"
    return {"result": context.change(change, given, actor=who.name, address=address_of(request))}


@get("/api/preferences", role="viewer", sync_to_thread=True)
def preferred(request: Request[Any, Any, Any], context: Context) -> dict[str, str]:
    """Give one's own choices for the screens."""
    with context.db.config_reader() as connection:
        return preferences(connection, request.user.name)


@post("/api/preferences", role="viewer", status_code=200)
async def prefer(request: Request[Any, Any, Any], context: Context, data: SavePreference) -> dict[str, Any]:
    """Keep a choice of one's own; a viewer may."""
    who: Principal = request.user
    if who.kind != "session":
        raise PermissionDeniedException("a preference belongs to a person: log in")
    given = msgspec.to_builtins(data)
    return dict(context.change(PREFERENCE, given, actor=who.name, address=address_of(request)))


HANDLERS = [engine, backtest, backtest_order, config, take_over, password, preferred, prefer]
