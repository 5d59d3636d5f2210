"""What the API makes of the settings before it starts."""

from __future__ import annotations

from ipaddress import ip_address

from libs.runtime.process import WrongConfiguration
from libs.settings import Settings


def check(settings: Settings) -> None:
    """Refuse an address other machines can reach: passwords would cross the network unencrypted."""
    if not is_loopback(settings.api.host):
        raise WrongConfiguration(
            f"api.host is {settings.api.host!r}; expected an address of this machine, such as 127.0.0.1. "
            "For other machines put a proxy that speaks TLS in front"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
