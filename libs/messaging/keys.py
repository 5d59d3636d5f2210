"""CURVE keys of the bus and the list of those it admits, as files an operator can read and carry.

`<keys>/<name>.key` is a public key, `<name>.key_secret` the pair, `allowed/<name>.key` a client that may connect.
The owners of sockets use the pair `server`, whoever connects from this machine the pair `client`.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import zmq
import zmq.auth

from libs.messaging.errors import BadKeyName, BusRefused
from libs.settings.model import Settings

SERVER, CLIENT = "server", "client"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class KeyRow(msgspec.Struct, frozen=True):
    """One key as `fleet keys list` shows it."""

    name: str
    public_key: str
    has_secret: bool
    allowed: bool


class KeyStore:
    """The keys directory of a data root."""

    def __init__(self, settings: Settings) -> None:
        self.directory = Path(settings.bus.keys_directory or Path(settings.data_root) / "keys")

    def new(self, name: str) -> KeyRow:
        """Make a pair; refuse to replace one, because whoever was given the old key would be locked out."""
        self._prepare(name)
        if (self.directory / f"{name}.key_secret").exists():
            raise BusRefused(f"{self.directory / name}.key_secret exists; delete it first to make a new pair")
        _, secret = zmq.auth.create_certificates(self.directory, name)
        Path(secret).chmod(0o600)
        return self._row(name)

    def rows(self) -> list[KeyRow]:
        """Every key there is: pairs of our own and clients that were let in."""
        own = {path.stem for path in self.directory.glob("*.key")}
        admitted = {path.stem for path in self._allowed_directory.glob("*.key")}
        return [self._row(name) for name in sorted(own | admitted)]

    def allow(self, source: str, name: str = "") -> KeyRow:
        """Let a client in, by a public key file or by the name of a key made here."""
        path = Path(source)
        if not path.suffix and not path.exists():
            path = self.directory / f"{source}.key"
        public_key, _ = _load(path)
        name = name or path.stem
        self._prepare(name)
        self._allowed_directory.mkdir(exist_ok=True, mode=0o700)
        (self._allowed_directory / f"{name}.key").write_text(
            f'metadata\ncurve\n    public-key = "{public_key.decode()}"\n', "ascii"
        )
        return self._row(name)

    def revoke(self, name: str) -> None:
        """Take a client off the list: its next connection is refused. One that is open stays until it breaks."""
        self._check(name)
        path = self._allowed_directory / f"{name}.key"
        try:
            path.unlink()
        except FileNotFoundError as e:
            raise FileNotFoundError(f"{path}: no such key on the list; see `fleet keys list`") from e

    def pair(self, name: str) -> tuple[bytes, bytes]:
        """Give a pair of our own, public and secret."""
        path = self.directory / f"{name}.key_secret"
        public_key, secret_key = _load(path)
        if secret_key is None:
            raise BusRefused(f"{path}: holds no secret key; make a new pair with `fleet keys new {name}`")
        if path.stat().st_mode & 0o077:
            raise BusRefused(f"{path}: others can read this secret; `chmod 600` it, or better make a new pair")
        return public_key, secret_key

    def public_key(self, name: str) -> bytes:
        return _load(self.directory / f"{name}.key")[0]

    def admitted(self) -> set[bytes]:
        """The public keys on the list, read anew, so that allowing and revoking need no restart."""
        keys = set()
        for path in self._allowed_directory.glob("*.key"):
            try:
                keys.add(_load(path)[0])
            except (BusRefused, FileNotFoundError):  # one spoilt or vanished file must not lock everybody out
                continue
        return keys

    @property
    def _allowed_directory(self) -> Path:
        return self.directory / "allowed"

    def _prepare(self, name: str) -> None:
        self._check(name)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _check(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise BadKeyName(f"{name!r} is no name for a key: letters, digits, dot, dash, underscore, at most 64")

    def _row(self, name: str) -> KeyRow:
        own, admitted = self.directory / f"{name}.key", self._allowed_directory / f"{name}.key"
        public_key, _ = _load(own if own.exists() else admitted)
        return KeyRow(name, public_key.decode(), own.with_suffix(".key_secret").exists(), admitted.exists())


def _load(path: Path) -> tuple[bytes, bytes | None]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such key; `fleet keys new` makes one")
    try:
        public_key, secret_key = zmq.auth.load_certificate(path)
    except ValueError as e:
        raise BusRefused(f"{path}: holds no CURVE key: {e}") from e
    if len(public_key) != 40 or not public_key.isascii():
        raise BusRefused(f"{path}: a public key has 40 characters (Z85), this one has {len(public_key)}")
    return public_key, secret_key
