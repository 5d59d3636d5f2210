"""`fleet token status|login|set`: the broker's token for trading. No command ever shows one."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK, WrongUsage
from cli.output import add_json, print_json
from libs.core.clock import IST, SystemClock, to_datetime
from libs.core.errors import Refused
from libs.settings import Settings, load_settings

if TYPE_CHECKING:
    from libs.upstox.tokens import TokenView

_VARIABLE = "UPSTOX_CLIENT_SECRET"


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "token",
        help="the broker's token: its state, log in, store one",
        description="The broker's trading token ends every night at 03:30 in India. Tokens are never shown or logged.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="valid, expiring, needs_login or dead; exit 1 for the last two")
    status.add_argument("--check", action="store_true", help="ask the broker whether it takes the token")
    add_json(status)
    status.set_defaults(run=_status)
    login = actions.add_parser(
        "login", help="get a token by logging in at the broker",
        description=f"Shows the broker's login address, takes the code it sends back, and stores the token. The app's "
        f"secret is read from upstox.client_secret_file or the environment ({_VARIABLE}), or asked for.",
    )  # fmt: skip
    login.add_argument("--client-id", default="", help="the app's API key (upstox.client_id)")
    login.add_argument("--redirect-uri", default="", help="as it is registered with the app (upstox.redirect_uri)")
    login.add_argument("--code", default="", help="the code, or the address the broker sent you back to")
    add_json(login)
    login.set_defaults(run=_login)
    given = actions.add_parser("set", help="store a token read from standard input")
    add_json(given)
    given.set_defaults(run=_set)


def _status(options: Namespace) -> int:
    from libs.upstox.credentials import Credentials, NoCredentials, Scope
    from libs.upstox.session import BrokerSession
    from libs.upstox.tokens import TokenState, is_refused, judge

    settings = load_settings()
    try:
        token = Credentials(settings, os.environ).token(Scope.TRADING)
    except NoCredentials:
        token = ""
    refused = bool(token) and options.check and is_refused(BrokerSession.open(settings, Scope.TRADING))
    view = judge(token, SystemClock().now_us(), is_refused=refused)
    _show(view, as_json=options.json)
    return FAILED if view.state in {TokenState.NEEDS_LOGIN, TokenState.DEAD} else OK


def _login(options: Namespace) -> int:
    from libs.upstox.credentials import Scope
    from libs.upstox.session import BrokerSession
    from libs.upstox.tokens import code_of, dialog_url, exchange_code

    settings = load_settings()
    path = _path(settings)
    session = BrokerSession.open(settings, Scope.TRADING)
    app = options.client_id or settings.upstox.client_id
    back = options.redirect_uri or settings.upstox.redirect_uri
    if not app or not back:
        raise WrongUsage("give --client-id and --redirect-uri, or set upstox.client_id and upstox.redirect_uri")
    answer = options.code
    if not answer:
        print(f"Log in at\n  {dialog_url(session, app, back)}", file=sys.stderr)
        answer = input("and paste the address you were sent back to: ")
    token = exchange_code(session, code_of(answer), app, _secret(settings), back)
    return _keep(path, token, as_json=options.json)


def _secret(settings: Settings) -> str:
    from libs.upstox.credentials import Credentials, NoCredentials

    try:
        return Credentials(settings, os.environ).client_secret()
    except NoCredentials:
        return getpass.getpass("The app's secret: ")


def _set(options: Namespace) -> int:
    path = _path(load_settings())
    token = getpass.getpass("The token: ") if sys.stdin.isatty() else sys.stdin.readline()
    return _keep(path, token, as_json=options.json)


def _keep(path: Path, token: str, *, as_json: bool) -> int:
    from libs.upstox.tokens import judge, store_token

    store_token(path, token)
    _show(judge(token.strip(), SystemClock().now_us()), as_json=as_json, path=str(path))
    return OK


def _path(settings: Settings) -> Path:
    if not settings.upstox.access_token_file:
        raise Refused(
            "upstox.access_token_file is not set: name the private file that is to hold the token, in the settings or "
            "as TRADEFLEET_UPSTOX_ACCESS_TOKEN_FILE"
        )
    return Path(settings.upstox.access_token_file)


def _show(view: TokenView, *, as_json: bool, path: str = "") -> None:
    expires = to_datetime(view.expires_us).astimezone(IST).isoformat() if view.expires_us else ""
    if as_json:
        print_json({"state": view.state.value, "detail": view.detail, "expires": expires, "file": path})
        return
    stored = f"stored in {path}, " if path else ""
    until = f", until {expires}" if expires else ""
    print(f"{stored}{view.state.value}: {view.detail}{until}")
