"""`fleet user`: who may log in to the dashboard and the API."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from cli.config_door import change_config
from cli.exits import NOT_FOUND, OK
from cli.output import add_json, print_json, print_table
from cli.words import at_least
from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.settings import load_settings


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "user",
        help="who may log in",
        description="Users of the dashboard and the API. Works whether the api runs or not.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="who there is")
    add_json(listing)
    listing.set_defaults(run=_list)
    new = _named(actions, "add", "a new user", _add)
    new.add_argument("--role", choices=("admin", "viewer"), required=True, help="viewer reads, admin changes")
    _password_option(new)
    _named(actions, "remove", "take a user away, sessions and tokens with it", _remove)
    _password_option(_named(actions, "passwd", "another password; ends the user's sessions", _passwd))
    token = _named(actions, "token", "an API token for a program; shown once", _token)
    token.add_argument("--token-name", default="cli", help="what it is for (cli)")
    token.add_argument("--scope", action="append", choices=("read", "trade", "config"), help="may be repeated (read)")
    token.add_argument("--days", type=at_least(0), default=0, help="how long it is good (0: until revoked)")
    token.add_argument("--revoke", action="store_true", help="end the token of that name instead")


def _named(actions: Any, name: str, purpose: str, run: Any) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, help=purpose, description=purpose.capitalize() + ".")
    parser.add_argument("name", metavar="NAME")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _password_option(parser: ArgumentParser) -> None:
    parser.add_argument("--password-stdin", action="store_true", help="read the password's line from standard input")


def _list(options: Namespace) -> int:
    from libs.dbaccess import DatabaseManager
    from services.api.changes import users

    settings = load_settings()
    with DatabaseManager(settings.data_root, settings=settings).config_reader() as connection:
        rows = users(connection)
    if options.json:
        print_json(rows)
    else:
        since = [f"{to_datetime(row['created_at_us']).astimezone(IST):%Y-%m-%d %H:%M}" for row in rows]
        print_table(
            ("name", "role", "since"), [[row["name"], row["role"], at] for row, at in zip(rows, since, strict=True)]
        )
    return OK


def _add(options: Namespace) -> int:
    given = {"name": options.name, "role": options.role, "password_hash": _hashed(options)}
    return _change(options, "user.add", given, f"{options.name} has the role {options.role}")


def _remove(options: Namespace) -> int:
    return _change(options, "user.remove", {"name": options.name}, f"{options.name} is gone")


def _passwd(options: Namespace) -> int:
    given = {"name": options.name, "password_hash": _hashed(options)}
    return _change(options, "user.password", given, f"{options.name} has another password; sessions are ended")


def _token(options: Namespace) -> int:
    given: dict[str, Any] = {"name": options.name, "token_name": options.token_name}
    if options.revoke:
        return _change(options, "token.revoke", given, f"token {options.token_name} is ended")
    given |= {"scopes": options.scope or ["read"], "days": options.days}
    return _change(options, "token.add", given, "")


def _hashed(options: Namespace) -> str:
    from services.api.passwords import hash_password

    if options.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass(f"password for {options.name}: ")
        if getpass.getpass("again: ") != password:
            raise Refused("the two passwords differ")
    return hash_password(password, load_settings().api.password_characters_min)


def _change(options: Namespace, change: str, given: dict[str, Any], said: str) -> int:
    try:
        result = change_config(change, given, "user")
    except Refused as e:
        # Over the socket only the text of a refusal comes back.
        if "no user " in str(e) or "no living token" in str(e):
            print(f"fleet: {e}", file=sys.stderr)
            return NOT_FOUND
        raise
    if options.json:
        print_json(result)
    else:
        print(said or result["token"])
    return OK
