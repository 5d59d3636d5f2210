"""How the fleet is: `/api/system/info`, `/api/health`, `/metrics`, services and their logs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

from litestar import MediaType, Request, Response, get, post
from litestar.params import Parameter

from libs.core.errors import FleetError, Refused
from services.api import supervisor
from services.api.changes import Asked, Done, NotThere, record
from services.api.context import Context
from services.api.exposition import exposition
from services.api.guards import address_of
from services.api.stores import states, system_info

_TAIL_BYTES = 524_288
_LEVELS = ("debug", "info", "warning", "error", "critical")
SERVICES = ("ingestor", "scanner", "execution_engine", "backtest", "api", "ops", "watchdog", "exchange_sim")


@get("/api/system/info", role="local", sync_to_thread=True)
def info(context: Context) -> dict[str, Any]:
    """Version, profile, and the state of every store; no secrets."""
    return system_info(context.db, context.settings.profile)


@get("/api/health", role="local", sync_to_thread=True)
def health(context: Context) -> dict[str, Any]:
    """Say the services heard on the bus, with the age of their heartbeats, and the stores."""
    services = context.watch.services()
    stores = states(context.db)
    bad = any(row["is_stale"] or row["state"] != "green" for row in services) or set(stores.values()) != {"ok"}
    return {
        "status": "degraded" if bad else "ok", "now_us": context.clock.now_us(), "services": services, "stores": stores,
    }  # fmt: skip


@get("/metrics", role="local", media_type=MediaType.TEXT, sync_to_thread=True)
def metrics(context: Context) -> Response[str]:
    """Give the figures of the heartbeats as Prometheus reads them."""
    lines = exposition(context.watch.services(), context.clock.now_us())
    lines += ["# TYPE tradefleet_api_pages gauge", f"tradefleet_api_pages {context.watch.pushing.pages}"]
    return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


@get("/api/services", role="viewer", sync_to_thread=True)
def services(context: Context) -> dict[str, Any]:
    """Say each service as the supervisor and its own heartbeat tell it."""
    beats = {row["service"]: row for row in context.watch.services()}
    programs = supervisor.programs()
    names = [name for name in SERVICES if name in programs or name in beats]
    rows = [{"service": name, "program": programs.get(name), "heartbeat": beats.get(name)} for name in names]
    return {"rows": rows, "supervised": bool(programs)}


@post("/api/services/{service:str}/restart", role="admin", scope="trade", status_code=200)
async def restart(request: Request[Any, Any, Any], context: Context, service: str) -> dict[str, Any]:
    """Restart one service through the supervisor."""
    if service == "api":
        raise Refused("the api does not restart itself: `fleet restart api`")
    if service not in SERVICES:
        raise NotThere(f"no service {service!r}; there are {', '.join(SERVICES)}")
    asked = Asked(request.user.name, address_of(request), context.clock.now_us(), {})
    outcome = "done"
    try:
        return {"service": service, "state": await asyncio.to_thread(supervisor.restart, service)}
    except FleetError as e:
        outcome = f"{type(e).__name__}: {e}"
        raise
    finally:
        with context.session.transaction() as connection:
            record(connection, asked, "service.restart", Done("service", service, None, {"outcome": outcome}))


@get("/api/logs/{service:str}", role="viewer", sync_to_thread=True)
def logs(
    context: Context,
    service: str,
    lines: Annotated[int, Parameter(ge=1, le=2000)] = 200,
    contains: Annotated[str, Parameter(max_length=200)] = "",
    level: Annotated[str, Parameter(pattern="^(|debug|info|warning|error)$")] = "",
) -> dict[str, Any]:
    """Give the end of one service's log: lines that hold a text, of a level or a graver one."""
    if service not in SERVICES:
        raise NotThere(f"no service {service!r}; there are {', '.join(SERVICES)}")
    path = supervisor.log_path(service)
    if not path.exists():  # it is written from the first start on
        return {"service": service, "lines": []}
    graver = _LEVELS[_LEVELS.index(level) :] if level else ()
    kept = [
        line
        for line in _tail(path)
        if contains.casefold() in line.casefold()
        and (not graver or any(f'"level": "{word}"' in line for word in graver))
    ]
    return {"service": service, "lines": kept[-min(lines, context.settings.api.log_lines_max) :]}


def _tail(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        found = file.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    return found[1:] if size > _TAIL_BYTES else found


HANDLERS = [info, health, metrics, services, restart, logs]
