"""The broker's token as the api knows it: judged, now and then asked about, got anew by logging in. Never told."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Any

import msgspec

from libs.core.clock import US_PER_MINUTE, Clock
from libs.core.errors import FleetError, Refused
from libs.runtime.logs import get_logger
from libs.settings import Settings
from libs.upstox.credentials import Credentials, NoCredentials, Scope
from libs.upstox.session import BrokerSession
from libs.upstox.tokens import dialog_url, exchange_code, is_refused, judge, store_token
from services.api.changes import digest

#: What the simulator's dialog is told; it takes any.
_SIMULATED_APP = "tradefleet-demo"


class LoginVoid(Refused):
    """What the broker sent back does not belong to a login that was begun here and is not over."""


class _Begun(msgspec.Struct, frozen=True):
    """A login that was begun: the hash of its state, and until when it may come back."""

    state_hash: str
    expires_us: int


class BrokerToken:
    """The trading token. Reads it anew each time; keeps neither it nor a code, only what the broker made of it."""

    def __init__(self, settings: Settings, clock: Clock, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._clock = clock
        self._environment = environment
        self._credentials = Credentials(settings, environment)
        self._begun: dict[str, _Begun] = {}
        self._refused = ""  # hash of the token the broker refused
        self._unanswered = ""

    def view(self) -> dict[str, Any]:
        """Say where orders go and how the token is, without a word of it."""
        token = self._token()
        found = judge(token, self._clock.now_us(), is_refused=bool(token) and digest(token) == self._refused)
        return {
            "broker": self._settings.execution.broker, "state": found.state.value, "detail": found.detail,
            "expires_us": found.expires_us, "unanswered": self._unanswered, "login": self._hindrance(),
            "steps": self._missing(),
        }  # fmt: skip

    def check(self) -> bool:
        """Ask the broker whether it takes the token; say whether the answer is another than before. Waits."""
        token, before = self._token(), self._refused
        if not token:
            return False
        session = BrokerSession.open(self._settings, Scope.TRADING, self._environment)
        try:
            self._refused = digest(token) if is_refused(session) else ""
            self._unanswered = ""
        except FleetError as e:  # how the token is, nobody said: it stays as it was
            self._unanswered = str(e)[:200]
        finally:
            session.close()
        return self._refused != before

    def begin(self, session_key: str) -> str:
        """Begin a login of one session, in place of one it began before; give the broker's address to go to."""
        if hindrance := self._hindrance():
            raise Refused(hindrance)
        state = secrets.token_urlsafe(32)
        now_us = self._clock.now_us()
        self._begun = {key: each for key, each in self._begun.items() if each.expires_us > now_us}
        expires_us = now_us + self._settings.api.broker_login_max_min * US_PER_MINUTE
        self._begun[session_key] = _Begun(digest(state), expires_us)
        session = self._session()
        try:
            return dialog_url(session, self._app(), self._redirect(), state)
        finally:
            session.close()

    def claim(self, session_key: str, state: str) -> None:
        """Take the login back that a session began; whatever comes of it, its state is used up."""
        begun = self._begun.pop(session_key, None)
        if begun is None or begun.expires_us <= self._clock.now_us():
            raise LoginVoid("no login at the broker was begun here, or it took too long; begin it anew under Settings")
        if not compare_digest(begun.state_hash, digest(state)):
            raise LoginVoid("the broker's answer belongs to another login; begin it anew under Settings")

    def finish(self, code: str) -> None:
        """Turn the code into a token and keep that in its private file. Waits."""
        session = self._session()
        try:
            token = exchange_code(session, code, self._app(), self._credentials.client_secret(), self._redirect())
        finally:
            session.close()
        store_token(Path(self._settings.upstox.access_token_file), token)
        self._refused = self._unanswered = ""

    async def watch(self, changed: Any) -> None:
        """Ask the broker now and then for as long as the api runs; call `changed` when the answer is another."""
        while True:
            await asyncio.sleep(self._settings.api.broker_check_interval_s)
            try:
                if await asyncio.to_thread(self.check):
                    changed()
            except FleetError as e:
                get_logger().warning("api.broker_not_asked", error=str(e))

    def _token(self) -> str:
        try:
            return self._credentials.token(Scope.TRADING)
        except NoCredentials:
            return ""

    def _hindrance(self) -> str:
        """What is missing before one can log in here; empty when nothing is."""
        return next(iter(self._missing()), "")

    def _missing(self) -> list[str]:
        """Everything that is missing, in the order in which one sets it up."""
        given, missing = self._settings.upstox, []
        if not given.access_token_file:
            missing.append("upstox.access_token_file is not set: name the private file that is to hold the token")
        if not self._app():
            missing.append("upstox.client_id is not set: the API key of the app at the broker")
        try:
            self._credentials.client_secret()
        except NoCredentials as e:
            missing.append(str(e))
        return missing

    def _app(self) -> str:
        return self._settings.upstox.client_id or (_SIMULATED_APP if self._settings.profile == "demo" else "")

    def _redirect(self) -> str:
        api = self._settings.api
        host = f"[{api.host}]" if ":" in api.host else api.host
        return self._settings.upstox.redirect_uri or f"http://{host}:{api.port}/broker"

    def _session(self) -> BrokerSession:
        return BrokerSession.open(self._settings, Scope.TRADING, self._environment)
