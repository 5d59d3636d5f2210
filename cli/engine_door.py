"""How commands reach the execution engine and its store: by its socket while it lives, under its lock when not."""

from __future__ import annotations

from typing import Any

from libs.core.errors import Refused, RetryLater
from libs.settings import load_settings


def ask_engine(name: str, arguments: dict[str, Any] | None = None, command_id: str = "") -> Any:
    """Have the living engine do something; raise `RetryLater` when there is none. An id given twice is done once."""
    from libs.messaging import CommandClient

    with CommandClient("execution_engine", settings=load_settings()) as client:
        return client.call(name, arguments, command_id=command_id)


def read_trading(sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Read rows of the trading store beside its writer."""
    from libs.dbaccess import DatabaseManager

    settings = load_settings()
    with DatabaseManager(settings.data_root, settings=settings).trading_reader() as connection:
        cursor = connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def change_state(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Halt, reduce or resume: asked of the engine; without one, written into its store under its lock."""
    try:
        answer = ask_engine(action, arguments)
    except RetryLater:
        return _write_state(action, arguments)
    return dict(answer)


def _write_state(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from libs.contracts.risk import TradingState
    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.trading.control import StateChange, lift_drawdown, set_state

    if arguments.get("flatten"):
        raise Refused("the engine does not run: nothing can be flattened; start it, or close at the broker")
    settings, clock = load_settings(), SystemClock()
    manager = DatabaseManager(settings.data_root, Role.EXECUTION_ENGINE, settings=settings, clock=clock)
    kill_file = manager.layout.root / "run" / "KILL"
    if action == "resume" and kill_file.exists():
        raise Refused(f"{kill_file} is there: remove it first")
    states = {"halt": TradingState.HALTED, "reduce": TradingState.REDUCING, "resume": TradingState.ACTIVE}
    now_us = clock.now_us()
    change = StateChange(
        state=states[action], cause="command", reason=arguments["reason"], set_by=arguments["sender"], at_us=now_us,
        scope_kind=arguments["scope_kind"], scope=arguments["scope"],
    )  # fmt: skip
    with manager.trading_writer() as connection:
        set_state(connection, change)
        if action == "resume" and change.scope_kind == "account":
            lift_drawdown(connection, change.set_by, change.reason, now_us)
    return {"state": change.state.value}
