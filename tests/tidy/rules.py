"""The rules, each a function from one parsed file to what is wrong with it; the message names the replacement."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60

#: A number that is wrong for a good reason stands here beside its reason: path or path::function -> (limit, reason).
EXCEPTIONS: dict[str, tuple[int, str]] = {}

_CLOCK_CALLS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
    "time.sleep", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip
_OPENERS = {
    "open", "sqlite3.connect", "duckdb.connect", "socket.socket", "zmq.Context", "subprocess.Popen", "subprocess.run",
    "threading.Thread", "requests.get",
}  # fmt: skip


#: What decides on trades: the same bars must give the same trades.
_PURE = tuple(
    f"libs/{name}/"
    for name in ("trading", "risk", "orders", "bars", "indicators", "analytics", "strategies", "scanners")
)
_IMPURE_IMPORTS = {
    "socket", "ssl", "threading", "multiprocessing", "concurrent", "subprocess", "asyncio", "secrets", "uuid", "urllib",
    "http", "requests", "zmq", "duckdb", "sqlite3",
}  # fmt: skip


@dataclass(frozen=True)
class SourceFile:
    """One file with its path relative to the project."""

    path: str
    text: str
    tree: ast.Module


def parse(path: str, text: str) -> SourceFile:
    return SourceFile(path, text, ast.parse(text, path))


def read(path: Path, root: Path) -> SourceFile:
    return parse(path.relative_to(root).as_posix(), path.read_text("utf-8"))


def module_docstring(file: SourceFile) -> Iterator[str]:
    if not ast.get_docstring(file.tree):
        yield f"{file.path}: no module docstring; say in one sentence what belongs here"


def module_length(file: SourceFile) -> Iterator[str]:
    limit, _ = EXCEPTIONS.get(file.path, (MODULE_LINES_MAX, ""))
    lines = file.text.count("\n")
    if lines > limit:
        yield f"{file.path}: {lines} lines, more than {limit}; move the second idea to a module of its own"


def function_length(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            limit, _ = EXCEPTIONS.get(f"{file.path}::{node.name}", (FUNCTION_LINES_MAX, ""))
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > limit:
                yield f"{file.path}: {node.name} has {lines} lines, more than {limit}; name its parts"


def no_print(file: SourceFile) -> Iterator[str]:
    if file.path.startswith("cli/"):
        return
    for node in _calls(file.tree):
        if _name(node.func) == "print":
            yield f"{file.path}:{node.lineno}: print; log an event (libs.runtime.logs), or return it to cli"


def no_silent_except(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(step, ast.Pass) for step in node.body):
            yield f"{file.path}:{node.lineno}: except … pass; use contextlib.suppress with the one error you expect"


def one_clock(file: SourceFile) -> Iterator[str]:
    if file.path == "libs/core/clock.py":
        return
    for node in _calls(file.tree):
        if _name(node.func) in _CLOCK_CALLS:
            yield f"{file.path}:{node.lineno}: {_name(node.func)}; take a Clock (libs.core.clock) as an argument"


def nothing_opened_at_import(file: SourceFile) -> Iterator[str]:
    for statement in file.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for node in _calls(statement):
            if _name(node.func) in _OPENERS:
                yield f"{file.path}:{node.lineno}: {_name(node.func)} at import; open it in a function, with `with`"


def stores_opened_in_one_place(file: SourceFile) -> Iterator[str]:
    """Connections are made in dbaccess/connections.py only, where their walls are put up."""
    if file.path == "libs/dbaccess/connections.py":
        return
    for node in _calls(file.tree):
        if _name(node.func) in {"duckdb.connect", "sqlite3.connect"}:
            yield f"{file.path}:{node.lineno}: {_name(node.func)}; use libs.dbaccess.connections, where the walls are"
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ImportFrom) or node.module not in {"duckdb", "sqlite3"}:
            continue
        if any(alias.name == "connect" for alias in node.names):
            yield f"{file.path}:{node.lineno}: connect under another name; use libs.dbaccess.connections"


def no_pickle(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & {name.split(".")[0] for name in names}:
            yield f"{file.path}:{node.lineno}: pickle runs what it reads; use msgspec"


def approvals_come_from_the_gate(file: SourceFile) -> Iterator[str]:
    """An `Approved` proves that every check passed; only libs/risk may make one, or hold the seal that does."""
    if file.path.startswith("libs/risk/"):
        return
    for node in ast.walk(file.tree):
        is_made = isinstance(node, ast.Call) and _name(node.func).split(".")[-1] == "Approved"
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        is_taken = isinstance(node, ast.Attribute) and node.attr == "_SEAL"
        if is_made or is_taken or "_SEAL" in names:
            yield f"{file.path}:{node.lineno}: only the risk gate approves; ask libs.risk.gate.Gate.decide"


def pure_core(file: SourceFile) -> Iterator[str]:
    """No threads, no sockets, no chance without a seed where trades are decided."""
    if not file.path.startswith(_PURE):
        return
    for node in ast.walk(file.tree):
        names = {alias.name for alias in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        for name in _IMPURE_IMPORTS & {name.split(".")[0] for name in ({module} if module else names)}:
            yield f"{file.path}:{node.lineno}: {name} where trades are decided; take what it gives as an argument"
        if module == "random" and names != {"Random"}:
            yield f"{file.path}:{node.lineno}: chance without a seed; take a random.Random"
    for call in _calls(file.tree):
        name = _name(call.func)
        if name.startswith(("random.", "np.random.", "numpy.random.")) and not (name == "random.Random" and call.args):
            yield f"{file.path}:{call.lineno}: {name} without a seed; take a random.Random"


def crash_points(file: SourceFile) -> Iterator[str]:
    """Names of crash points are literals, so that the registry can be compared with the code."""
    for node in _calls(file.tree):
        literal = node.args and isinstance(node.args[0], ast.Constant)
        if _name(node.func) == "crash_point" and not literal:
            yield f"{file.path}:{node.lineno}: crash_point takes a literal name out of libs.core.faults.POINTS"


RULES: tuple[Callable[[SourceFile], Iterator[str]], ...] = (
    module_docstring,
    module_length,
    function_length,
    no_print,
    no_silent_except,
    one_clock,
    nothing_opened_at_import,
    stores_opened_in_one_place,
    no_pickle,
    pure_core,
    crash_points,
    approvals_come_from_the_gate,
)


def crash_point_names(file: SourceFile) -> set[str]:
    return {
        str(node.args[0].value)
        for node in _calls(file.tree)
        if _name(node.func) == "crash_point" and node.args and isinstance(node.args[0], ast.Constant)
    }


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    """Spell `a.b.c` as written; anything else is nameless."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return ""
