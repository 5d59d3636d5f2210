"""Backtests that were run: report, comparison; and the strategies to run, with what each takes."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import Parameter

from libs.core.errors import Refused, RetryLater
from libs.settings import PROJECT_ROOT
from libs.strategies import registry
from libs.strategies.interface import describe_parameters
from libs.strategies.user import load_directory
from services.api.changes import NotThere
from services.api.context import Context
from services.api.tags import tagged

RunId = Annotated[str, Parameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$")]
_TIMEOUT_S = 60
_NOT_FOUND = 4
#: A report has its styles in itself; it may load nothing and run nothing, and belongs to no origin.
_ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
#: Reports take a core for a moment each.
_at_once = asyncio.Semaphore(1)


async def _fleet(context: Context, *words: str) -> tuple[int, str]:
    """Have `fleet backtest` do it: a run's file is read by the service that writes it, not by this one."""
    runs = words[1:3] if words[0] == "compare" else words[1:2]
    for run_id in runs:
        if not context.db.layout.backtest_run(run_id).exists():
            raise NotThere(f"no run {run_id!r}; /api/runs lists them")
    async with _at_once:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", "backtest", *words, "--data-root", str(context.db.layout.root),
            cwd=PROJECT_ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            told, wrong = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
        except TimeoutError as e:
            raise RetryLater(f"fleet backtest {words[0]} took longer than {_TIMEOUT_S} s") from e
        finally:
            if process.returncode is None:
                process.kill()
    code = process.returncode or 0
    if code == _NOT_FOUND:
        raise NotThere(f"no run {' or '.join(runs)}")
    if code > 1 or wrong.strip():
        raise Refused(wrong.decode("utf-8", "replace").strip().removeprefix("fleet: ")[-1000:] or f"exit {code}")
    return code, told.decode()


@get("/api/runs/{run_id:str}/report", role="viewer", media_type="text/html")
async def report(request: Request[Any, Any, Any], context: Context, run_id: RunId) -> Response[bytes]:
    """Give a run's report, one HTML page that loads nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        await _fleet(context, "report", run_id, "--out", str(path))
        body = await asyncio.to_thread(path.read_bytes)
    return tagged(request, body, "text/html; charset=utf-8", {"Content-Security-Policy": _ALONE})


@get("/api/runs/{run_id:str}/compare/{other:str}", role="viewer")
async def compare(context: Context, run_id: RunId, other: RunId) -> dict[str, Any]:
    """Say how two runs differ: what they were asked, and in which rows of which tables."""
    _, told = await _fleet(context, "compare", run_id, other, "--json")
    found: dict[str, Any] = json.loads(told)
    return found


@get("/api/strategies", role="viewer", sync_to_thread=True)
def strategies(context: Context) -> dict[str, Any]:
    """List the strategies, shipped and the user's own, with parameters and ranges; and the files that are broken."""
    loaded = load_directory(context.settings.strategies.directory(context.settings.data_root))
    rows = [
        {
            "strategy": name, "purpose": kind.purpose or (kind.__doc__ or "").split("\n")[0],
            "parameters": [each._asdict() for each in describe_parameters(kind)], "is_own": name in loaded.strategies,
        }
        for name, kind in registry.classes()
    ]  # fmt: skip
    return msgspec.to_builtins({"rows": rows, "broken": [str(each) for each in loaded.broken]})  # type: ignore[no-any-return]


HANDLERS = [report, compare, strategies]
