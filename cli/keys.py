"""`fleet keys`: CURVE keys for a bus beyond this machine, and the list of clients it admits."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cli.output import add_json, print_json, print_table
from libs.settings import load_settings

if TYPE_CHECKING:
    from libs.messaging.keys import KeyStore


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "keys",
        help="CURVE keys for a bus beyond this machine",
        description="Make, list, admit and revoke CURVE keys. The services bind with the pair `server`; "
        "programs of this data root connect with the pair `client`, which must be allowed like any other.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a pair of keys")
    new.add_argument("name", help="server, client, or the name of a machine or program")
    new.set_defaults(run=_new)
    rows = actions.add_parser("list", help="list the keys and who is allowed")
    add_json(rows)
    rows.set_defaults(run=_list)
    allow = actions.add_parser("allow", help="let a client in")
    allow.add_argument("key", help="a file with its public key, or the name of a key made here")
    allow.add_argument("--name", default="", help="name it on the list (default: the file's)")
    allow.set_defaults(run=_allow)
    revoke = actions.add_parser("revoke", help="take a client off the list; its next connection is refused")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke)


def _store() -> KeyStore:
    from libs.messaging.keys import KeyStore

    return KeyStore(load_settings())


def _new(options: argparse.Namespace) -> int:
    store = _store()
    row = store.new(options.name)
    print(f"{row.name}: {row.public_key}")
    print(
        f"public key {store.directory / row.name}.key, secret beside it in {row.name}.key_secret: never send that one"
    )
    return 0


def _list(options: argparse.Namespace) -> int:
    rows = _store().rows()
    if options.json:
        print_json(rows)
    elif rows:
        words = {True: "yes", False: "no"}
        print_table(
            ("NAME", "PUBLIC KEY", "SECRET HERE", "ALLOWED"),
            [(row.name, row.public_key, words[row.has_secret], words[row.allowed]) for row in rows],
        )
    else:
        print("no keys; `fleet keys new server` makes the first")
    return 0


def _allow(options: argparse.Namespace) -> int:
    row = _store().allow(options.key, options.name)
    print(f"{row.name} is allowed: {row.public_key}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    _store().revoke(options.name)
    print(f"{options.name} is off the list; a connection it has open stays until it breaks or the services restart")
    return 0
