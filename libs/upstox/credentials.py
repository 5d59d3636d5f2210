"""The broker's tokens, out of private files or the environment, read anew whenever one is needed."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from libs.core.errors import Refused
from libs.settings.model import Settings

CLIENT_SECRET = "UPSTOX_CLIENT_SECRET"  # noqa: S105  # a name


class Scope(StrEnum):
    """What a token is wanted for."""

    MARKET_DATA = "market_data"
    TRADING = "trading"


class NoCredentials(Refused):
    """There is no token, or its file is open to others."""


class Credentials:
    """Finds the token for a scope. Holds no token: a new one in file or environment is used at the next connect.

    Market data takes the read-only analytics token when there is one, so that the ingestor never holds the trading
    token; trading takes the trading token and nothing else.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment

    def token(self, scope: Scope) -> str:
        """Give the token, or say where it was looked for."""
        upstox, simulator = self._settings.upstox, self._settings.exchange_sim
        demo = self._settings.profile == "demo"
        trading = (upstox.access_token_file, "UPSTOX_ACCESS_TOKEN", simulator.trading_token)
        analytics = (upstox.analytics_token_file, "UPSTOX_ANALYTICS_TOKEN", simulator.analytics_token)
        places = [trading] if scope is Scope.TRADING else [analytics, trading]
        for file, variable, simulated in places:
            # A real token never goes to the simulator, whatever lies in the environment.
            token = _read(Path(file)) if file else simulated if demo else self._environment.get(variable, "").strip()
            if token:
                return token
        looked = " or ".join(f"{file or 'no file'}, environment {variable}" for file, variable, _ in places)
        raise NoCredentials(f"no broker token for {scope.value}: looked in {looked}; see `fleet token set`")

    def client_secret(self) -> str:
        """Give the secret of the app that people log in through, or say where it was looked for."""
        file, simulated = self._settings.upstox.client_secret_file, self._settings.profile == "demo"
        # As with tokens: a real secret never goes to the simulator, which takes any.
        found = _read(Path(file)) if file else "simulated" if simulated else self._environment.get(CLIENT_SECRET, "")
        if not found.strip():
            raise NoCredentials(
                f"no secret of the broker's app: looked in {file or 'no file'} (upstox.client_secret_file), "
                f"environment {CLIENT_SECRET}"
            )
        return found.strip()


def _read(path: Path) -> str:
    path = path.expanduser()
    try:
        status = path.stat()
    except OSError as e:
        raise NoCredentials(f"{path}: the token file cannot be read: {e.strerror}") from e
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise NoCredentials(
            f"{path}: a token file must be a plain file of mode 0600, found {stat.filemode(status.st_mode)}; "
            f"`chmod 600 {path}`, and if others could read it, get a new token"
        )
    token = path.read_text("utf-8").strip()
    if not token:
        raise NoCredentials(f"{path}: the token file is empty")
    return token
