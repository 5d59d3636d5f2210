"""The simulator as a server: routes, guard, the driver's task, one or two ports."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from libs.core.clock import Clock, to_datetime
from libs.runtime.idle import idle_programs
from libs.runtime.logs import get_logger
from libs.settings import Settings
from libs.settings.exchange_sim import ExchangeSim
from services.exchange_sim.bookmark import Bookmark, last_closed_day
from services.exchange_sim.handlers.guard import guard
from services.exchange_sim.handlers.routes import routes
from services.exchange_sim.manifest import NAME
from services.exchange_sim.settings import simulator_settings
from services.exchange_sim.simulator import SIMULATOR, Simulator

_CLOSE_WAIT_S = 2.0


def make_app(simulator: Simulator) -> web.Application:
    """Make the web application around a simulator."""
    app = web.Application(middlewares=[guard], client_max_size=1_048_576)
    app[SIMULATOR] = simulator
    app.add_routes(routes())
    return app


@dataclass(frozen=True)
class Server:
    """A simulator that is being served."""

    simulator: Simulator
    port: int
    #: Ends only when the simulation breaks.
    driver: asyncio.Task[None]


@asynccontextmanager
async def serving(settings: ExchangeSim, clock: Clock, bookmark: Bookmark | None = None) -> AsyncIterator[Server]:
    """Serve until the block ends."""
    simulator = Simulator(settings, clock, bookmark)
    runner = web.AppRunner(make_app(simulator), access_log=None, shutdown_timeout=_CLOSE_WAIT_S)
    await runner.setup()
    driver = asyncio.create_task(simulator.driver.run())
    simulator.spawn(simulator.warm())
    try:
        site = web.TCPSite(runner, settings.host, settings.port, reuse_address=True)
        await site.start()
        if settings.tls_port:
            await web.TCPSite(runner, settings.host, settings.tls_port, ssl_context=_tls(settings)).start()
        port = int(runner.addresses[0][1])
        begins = to_datetime(simulator.market.now_ms() * 1000).isoformat()
        get_logger().info(
            "exchange_sim.ready", address=f"http://{settings.host}:{port}", seed=settings.seed,
            symbols=settings.symbols, speed=settings.speed, market=begins,
        )  # fmt: skip
        yield Server(simulator, port, driver)
    finally:
        driver.cancel()
        with suppress(asyncio.CancelledError):
            if not driver.done():
                await driver
        for connection in simulator.connections():
            await connection.close(1001)
        await runner.cleanup()
        if bookmark:
            bookmark.end(simulator.driver.played_ms)
        get_logger().info("exchange_sim.stopped")


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event, options: argparse.Namespace) -> None:
    """Serve until told to stop, going on where an earlier run of this data root ended."""
    if NAME in idle_programs(settings.profile) and "SUPERVISOR_ENABLED" in os.environ:
        get_logger().info("exchange_sim.not_wanted", profile=settings.profile)
        await asyncio.sleep(settings.runtime.start_seconds)  # the supervisor counts a shorter life as a failed start
        return
    chosen = simulator_settings(settings, options)
    # Who asks for a start on the command line wants that one.
    await run(chosen, clock, stop, options.port_file, None if options.start else _bookmark(settings))


async def run(
    settings: ExchangeSim, clock: Clock, stop: asyncio.Event, port_file: Path | None, bookmark: Bookmark | None
) -> None:
    """Serve until told to stop; writes the chosen port to a file if one is given."""
    async with serving(settings, clock, bookmark) as server:
        if port_file:
            temporary = port_file.with_suffix(".tmp")
            temporary.write_text(f"{server.port}\n")
            temporary.replace(port_file)
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({waiting, server.driver}, return_when=asyncio.FIRST_COMPLETED)
        if server.driver.done():
            server.driver.result()  # raises what broke the simulation
        waiting.cancel()


def _bookmark(settings: Settings) -> Bookmark:
    """Give the file in which an earlier run left off."""
    return Bookmark(
        Path(settings.data_root, "run", f"{NAME}.json"), settings.exchange_sim.start,
        lambda: last_closed_day(Path(settings.data_root), settings.data.exchange),
    )  # fmt: skip


def _tls(settings: ExchangeSim) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_certificate_path, settings.tls_key_path)
    return context
