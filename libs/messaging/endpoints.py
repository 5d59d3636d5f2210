"""Where each service's sockets are, and which addresses may be bound."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import stat
import tempfile
from pathlib import Path

from libs.messaging.errors import BusRefused
from libs.settings.model import Settings

KINDS = ("publish", "replay", "command")
#: A Unix socket's path may be 108 bytes on Linux and 104 on macOS, its end included.
_PATH_BYTES_MAX = 100


class Endpoints:
    """The table of the settings as addresses."""

    def __init__(self, settings: Settings) -> None:
        self._bus = settings.bus
        self._root = Path(settings.data_root)

    def address(self, service: str, kind: str, *, bind: bool = False) -> str:
        """Spell the address of one socket. To bind it, it is checked, and its directory made and made private."""
        if kind not in KINDS:
            raise BusRefused(f"no socket {kind!r}; a service has {', '.join(KINDS)}")
        address = self._bus.addresses.get(service, {}).get(kind) or self._by_rule(service, kind, bind=bind)
        if bind:
            self._check_bind(address)
        return address

    def needs_keys(self, address: str) -> bool:
        """Whether a socket at this address is encrypted and asks for keys."""
        return self._bus.curve and address.startswith("tcp://")

    def _by_rule(self, service: str, kind: str, *, bind: bool) -> str:
        ports = self._bus.ports.get(service)
        if ports is None:
            raise BusRefused(f"no service {service!r} in [bus.ports]; there are {', '.join(self._bus.ports)}")
        if self._bus.transport == "ipc":
            return f"ipc://{self.directory(make=bind) / f'{service}.{kind}'}"
        host = self._bus.bind_host if bind else self._bus.connect_host
        return f"tcp://{_bracketed(host)}:{getattr(ports, kind)}"

    def _check_bind(self, address: str) -> None:
        """Refuse an address that others could reach, unless CURVE is on."""
        scheme, _, rest = address.partition("://")
        if scheme == "ipc" and rest.startswith("/"):
            return
        host = rest.rpartition(":")[0].strip("[]")
        if scheme != "tcp" or not host:
            raise BusRefused(f"{address!r}: expected ipc:// and an absolute path, or tcp://host:port")
        if not _is_loopback(host) and not self._bus.curve:
            raise BusRefused(
                f"{address!r} is beyond this machine: set bus.curve = true, make keys with `fleet keys new server` "
                "and let clients in with `fleet keys allow`"
            )

    def directory(self, *, make: bool) -> Path:
        """Give the directory of the ipc sockets; refuse one that somebody else could have put there."""
        directory = run_directory(self._root)
        if make:
            directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.mkdir(exist_ok=True, mode=0o700)
            if directory == self._root / "run" and directory.stat().st_uid == os.getuid():
                directory.chmod(0o700)
        _check_private(directory)
        return directory


def run_directory(data_root: Path) -> Path:
    """Name the directory of a data root's sockets: its own `run`, or a short stand-in when that path is too long."""
    directory = data_root / "run"
    longest = directory / "execution_engine.command"
    if len(os.fsencode(longest)) <= _PATH_BYTES_MAX:
        return directory
    name = hashlib.blake2b(os.fsencode(data_root.resolve()), digest_size=6).hexdigest()
    return Path(tempfile.gettempdir()) / f"tradefleet-{os.getuid()}-{name}"


def _check_private(directory: Path) -> None:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return  # nobody has bound there yet: a subscriber may start first
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise BusRefused(
            f"{directory}: expected a directory of our own with mode 0700, found mode {status.st_mode & 0o7777:04o} "
            f"of user {status.st_uid}; others could listen there. Remove it or `chmod 700` it"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
