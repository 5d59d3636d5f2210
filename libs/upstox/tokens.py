"""Tokens of the broker: the state of one, how one is got by logging in, where it is kept. Never shown or logged."""

from __future__ import annotations

import base64
import binascii
import os
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from libs.core.clock import US_PER_MINUTE, US_PER_SECOND
from libs.core.errors import OutcomeUnknown, Refused
from libs.core.ids import random_id
from libs.upstox.session import BrokerSession, NotAuthorized

#: Tokens end at 03:30 in India whenever they were given; from so long before on, a new one is due.
EXPIRING_MIN = 60
_API_VERSION = "2.0"


class TokenState(StrEnum):
    """What can be done with a token."""

    VALID = "valid"
    EXPIRING = "expiring"
    NEEDS_LOGIN = "needs_login"
    DEAD = "dead"


class TokenView(msgspec.Struct, frozen=True):
    """All that is ever said about a token. `expires_us` 0: it does not say when it ends."""

    state: TokenState
    detail: str
    expires_us: int = 0


class _Claims(msgspec.Struct):
    exp: int = 0


def judge(token: str, now_us: int, *, is_refused: bool = False) -> TokenView:
    """Say what state a token is in by what it says of itself, and by whether the broker refused it."""
    if not token:
        return TokenView(TokenState.NEEDS_LOGIN, "there is no token: `fleet token login`")
    expires_us = _expiry_us(token)
    if expires_us and now_us >= expires_us:
        return TokenView(TokenState.NEEDS_LOGIN, "the token has ended: `fleet token login`", expires_us)
    if is_refused:
        return TokenView(TokenState.DEAD, "the broker refuses the token before its end: log in again", expires_us)
    left_min = (expires_us - now_us) // US_PER_MINUTE
    if expires_us and left_min < EXPIRING_MIN:
        return TokenView(TokenState.EXPIRING, f"{left_min} minutes are left", expires_us)
    return TokenView(TokenState.VALID, "it can be used" if expires_us else "it does not say when it ends", expires_us)


def is_refused(session: BrokerSession) -> bool:
    """Ask the broker whether it takes the token of a session."""
    import upstox_client

    session.authorize()
    try:
        session.call(upstox_client.UserApi(session.client).get_profile, _API_VERSION)
    except NotAuthorized:
        return True
    return False


def dialog_url(session: BrokerSession, client_id: str, redirect_uri: str, state: str = "") -> str:
    """Give the address at which a person logs in; the broker sends them back to `redirect_uri` with a code.

    `state` comes back beside the code, so that who gets the code knows that it asked for it.
    """
    query = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri}
    query |= {"state": state} if state else {}
    return f"{session.hosts.api}/v2/login/authorization/dialog?{urlencode(query)}"


def code_of(answer: str) -> str:
    """Take the code out of what a person pasted: the code, or the whole address they were sent back to."""
    text = answer.strip()
    code = parse_qs(urlsplit(text).query).get("code", [""])[0] if "://" in text else text
    if not code:
        raise Refused("there is no code in what was given; paste the address the broker sent you back to")
    return code


def exchange_code(session: BrokerSession, code: str, client_id: str, client_secret: str, redirect_uri: str) -> str:
    """Turn a code into a token; a code works once."""
    import upstox_client

    reply = session.call(
        upstox_client.LoginApi(session.client).token, _API_VERSION, writes=True, code=code, client_id=client_id,
        client_secret=client_secret, redirect_uri=redirect_uri, grant_type="authorization_code",
    )  # fmt: skip
    token = str(getattr(reply, "access_token", "") or "")
    if not token:
        raise OutcomeUnknown("the broker answered without a token; log in again")
    return token


def store_token(path: Path, token: str) -> None:
    """Keep a token in a private file, whole or not at all."""
    token = token.strip()
    if not token or not token.isascii() or any(each.isspace() for each in token):
        raise Refused("that is no token: one line of letters, digits, dots and dashes is expected")
    path = path.expanduser()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{random_id()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _expiry_us(token: str) -> int:
    """Read the end out of a JWT; what is none has no end to read."""
    parts = token.split(".")
    if len(parts) != 3:
        return 0
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Claims).exp * US_PER_SECOND
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return 0
