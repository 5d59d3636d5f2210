"""The API's wiring: the config store's lock, its sockets, the bus, and HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import uvicorn

from libs.contracts import HealthState
from libs.contracts.bus import CommandRequest
from libs.core.clock import Clock
from libs.core.errors import Refused, RetryLater
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role, Store
from libs.messaging import CommandServer, Publisher
from libs.runtime.commands import logged
from libs.runtime.deployment import take_store
from libs.runtime.heartbeat import Pulse, beat
from libs.runtime.logs import get_logger
from libs.runtime.process import run_until
from libs.settings import Settings
from libs.strategies.user import load_directory
from services.api.access import first_admin_link
from services.api.app import make_app
from services.api.broker import BrokerToken
from services.api.context import Context
from services.api.instruments import IMPORT
from services.api.manifest import NAME
from services.api.requests import identified
from services.api.settings import check
from services.api.told import ToldSource
from services.api.watch import Watch

_GRACE_S = 2
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Uvicorn, but signals are the runtime's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Serve until told to stop. The config store's lock is held from the first line to the last."""
    check(settings)
    for problem in load_directory(settings.strategies.directory(settings.data_root)).broken:
        get_logger().error("strategy.broken", where=f"{problem.path}:{problem.line}", reason=problem.reason)
    db = DatabaseManager(settings.data_root, Role.API, settings=settings, clock=clock)
    with ExitStack() as stack:
        session, uncopied = stack.enter_context(take_store(db, Store.CONFIG))
        told = ToldSource(session, clock.now_us, settings.api.outbox_keep_days)
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, source=told, clock=clock))
        told.prime(publisher)
        market = stack.enter_context(MarketDataQuery(db))
        broker = BrokerToken(settings, clock, os.environ)
        context = Context(settings, clock, db, session, publisher, market, Watch(settings, clock), told, broker)
        commands = stack.enter_context(
            CommandServer.open(NAME, logged(lambda request: _command(context, request)), settings=settings, clock=clock)
        )
        listening = stack.enter_context(_listen(settings))
        _invite(context)
        server = _Server(
            uvicorn.Config(
                identified(make_app(context), clock),
                log_config=None, access_log=False, proxy_headers=False, server_header=False,
                lifespan="off", timeout_graceful_shutdown=_GRACE_S, limit_concurrency=1000,
            )
        )  # fmt: skip
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        get_logger().info("api.started", address=f"http://{settings.api.host}:{settings.api.port}")
        loops = [
            publisher.run(), commands.run(), context.watch.run(),
            context.watch.prices.run(), context.watch.standing.run(), context.watch.pushing.run(), _until_done(serving),
            broker.watch(context.broker_changed),
            beat(NAME, publisher, clock, settings.runtime.heartbeat_interval_ms, lambda: _pulse(context, uncopied)),
        ]  # fmt: skip
        try:
            await run_until(stop, loops)
        finally:
            server.should_exit = True
            await asyncio.wait({serving}, timeout=_GRACE_S + 1)
    get_logger().info("api.stopped")


def _command(context: Context, request: CommandRequest) -> Any:
    """Change the config store for `fleet user`; whoever reaches the socket is the operator."""
    if request.name != "change":
        raise Refused(f"no command {request.name!r}; there is change")
    asked = dict(request.arguments)
    change, given, prepared = str(asked.get("change", "")), dict(asked.get("given") or {}), None
    if change == IMPORT:
        prepared = context.prepared_import(given)
        if prepared is None:
            return {"pending": True}
    actor = str(asked.get("sender", "command"))
    return context.change(change, given, actor=actor, address="command socket", prepared=prepared)


def _pulse(context: Context, uncopied: str) -> Pulse:
    figures = {"pages": float(context.watch.pushing.pages), "topics": float(len(context.watch.latest))}
    return Pulse(HealthState.WARNING if uncopied else HealthState.GREEN, uncopied, figures=figures)


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything is served, so that a port in use is said plainly."""
    family = socket.AF_INET6 if ":" in settings.api.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.api.host, settings.api.port))
        # From here on who connects waits for the server instead of being refused.
        listening.listen(_BACKLOG)
    except OSError as e:
        listening.close()
        raise RetryLater(f"{settings.api.host}:{settings.api.port}: {e.strerror}; is another program there? "
                         "(api.port)") from e  # fmt: skip
    return listening


def _invite(context: Context) -> None:
    """Print the first admin's link where nobody can log in yet."""
    with context.session.transaction() as connection:
        secret = first_admin_link(connection, context.clock.now_us(), context.settings.api)
    if secret is not None:
        api = context.settings.api
        get_logger().warning("api.first_admin", link=f"http://{api.host}:{api.port}/welcome#{secret}")


async def _until_done(serving: asyncio.Future[None]) -> None:
    await asyncio.shield(serving)
