"""Where the broker is, and the assertion that a profile never reaches the wrong one."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from libs.core.errors import Refused
from libs.settings.model import Settings

_API = "https://api.upstox.com"
_ORDERS = "https://api-hft.upstox.com"
_STREAMS = "wss://api.upstox.com"
_ASSETS = "https://assets.upstox.com"


class WrongHost(Refused):
    """A profile was pointed at a broker it must never talk to."""


class Hosts(NamedTuple):
    """Base addresses, without a path."""

    api: str
    orders: str
    streams: str
    assets: str


def resolve_hosts(settings: Settings) -> Hosts:
    """Give the addresses for a profile: `demo` reaches this machine only, `live` never this machine."""
    given = settings.upstox
    if settings.profile == "demo":
        here = f"127.0.0.1:{settings.exchange_sim.port}"
        api = given.api_url or f"http://{here}"
        streams = given.stream_url or api.replace("http", "ws", 1)
        hosts = Hosts(api, given.order_url or api, streams, given.assets_url or api)
    else:
        orders = given.order_url or given.api_url or _ORDERS
        hosts = Hosts(given.api_url or _API, orders, given.stream_url or _STREAMS, given.assets_url or _ASSETS)
    for name, url in zip(hosts._fields, hosts, strict=True):
        _check(settings.profile, name, url)
    return hosts


def _check(profile: str, name: str, url: str) -> None:
    parts = urlsplit(url)
    schemes = {"ws", "wss"} if name == "streams" else {"http", "https"}
    if parts.scheme not in schemes or not parts.hostname:
        raise WrongHost(f"upstox address of {name} is {url!r}; expected {' or '.join(sorted(schemes))}:// and a host")
    here = is_loopback(parts.hostname)
    if profile == "demo" and not here:
        raise WrongHost(f"profile demo trades with the simulator on this machine only; {name} is {url!r}")
    if profile == "live" and here:
        raise WrongHost(f"profile live never trades with a simulator; {name} is {url!r}")
    if not here and parts.scheme in {"http", "ws"}:
        raise WrongHost(f"{url!r} would send the token over the network unencrypted; expected https or wss")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
