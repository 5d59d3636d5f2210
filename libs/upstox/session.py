"""The one `ApiClient` and `Configuration` of a process, with the SDK's traps disarmed.

The SDK and what it stands on are loaded with the first session: a quarter of a second, for those who have a broker.

What the SDK does by itself and this undoes: `Configuration` copies its first instance for ever, sandbox and all; a
client starts a thread pool nobody uses; GET, PUT and DELETE are repeated after a time-out, cancels too; a time-out
given as a float is ignored; without one a call may hang for ever; streams do not verify certificates.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import certifi

from libs.core.errors import Corrupt, FleetError, OutcomeUnknown, Refused, RetryLater
from libs.settings.model import Settings
from libs.upstox.credentials import Credentials, Scope
from libs.upstox.hosts import Hosts, is_loopback, resolve_hosts


class NotAuthorized(Refused):
    """The token is dead, wrong, or not good for this; the request was not carried out."""


class BrokerSession:
    """A way to the broker for one scope. Give `client` to the SDK's Api classes, and `timeout` with every call."""

    def __init__(self, settings: Settings, hosts: Hosts, credentials: Credentials, scope: Scope) -> None:
        self.hosts = hosts
        self.scope = scope
        self.timeout = (settings.upstox.connect_timeout_s, settings.upstox.read_timeout_s)
        self._credentials = credentials
        self._ca_file = settings.upstox.ca_file or certifi.where()
        self._profile = settings.profile
        self.client = self._client(settings.upstox.user_agent)

    @classmethod
    def open(cls, settings: Settings, scope: Scope, environment: Mapping[str, str] | None = None) -> Self:
        """Make the client; nothing is sent and no token is read yet."""
        credentials = Credentials(settings, os.environ if environment is None else environment)
        if settings.upstox.ca_file and not Path(settings.upstox.ca_file).is_file():
            raise Refused(f"upstox.ca_file is {settings.upstox.ca_file!r}; there is no such file")
        return cls(settings, resolve_hosts(settings), credentials, scope)

    def authorize(self) -> None:
        """Read the token anew and use it from now on; call it before every connect and after every 401."""
        self.check_hosts()
        self.client.configuration.access_token = self._credentials.token(self.scope)

    def check_hosts(self) -> None:
        """Raise when the client would reach another host than it was made for."""
        configuration = self.client.configuration
        found = (configuration.host, configuration.order_host, bool(configuration.sandbox))
        if found != (self.hosts.api, self.hosts.orders, False):
            raise Corrupt(
                f"the broker's client points at {found[0]} and {found[1]} (sandbox {found[2]}) instead of "
                f"{self.hosts.api} and {self.hosts.orders}; another Configuration was made in this process"
            )

    def ssl_options(self) -> dict[str, Any]:
        """What a WebSocket must be given so that its peer is verified."""
        return {"cert_reqs": ssl.CERT_REQUIRED, "check_hostname": True, "ca_certs": self._ca_file}

    def call(self, method: Any, *arguments: Any, writes: bool = False, **options: Any) -> Any:
        """Call a method of the SDK with a time-out, and turn what goes wrong into one of the four kinds of error.

        Nothing is repeated. A write whose answer did not come is `OutcomeUnknown`, never a failure.
        """
        import upstox_client

        try:
            return method(*arguments, _request_timeout=self.timeout, **options)
        except upstox_client.rest.ApiException as e:
            raise _refusal(e, writes=writes) from e
        except FleetError:
            raise
        except Exception as e:  # the SDK lets urllib3's errors through as they are
            raise transport_error(e, writes=writes) from e

    def close(self) -> None:
        """Let go of the connections."""
        self.client.rest_client.pool_manager.clear()

    def _client(self, user_agent: str) -> Any:
        import upstox_client

        configuration = upstox_client.Configuration()
        _silence(configuration)
        configuration.sandbox = False
        configuration.host, configuration.order_host = self.hosts.api, self.hosts.orders
        configuration.verify_ssl, configuration.assert_hostname = True, None
        configuration.ssl_ca_cert = self._ca_file
        configuration.proxy = None if is_loopback(urlsplit(self.hosts.api).hostname or "") else configuration.proxy
        configuration.api_key, configuration.api_key_prefix = {}, {}
        configuration.access_token = ""
        client = upstox_client.ApiClient(configuration)
        client.pool.close()  # for async_req, which nobody here uses; its threads end
        client.user_agent = user_agent
        client.rest_client.pool_manager.connection_pool_kw["retries"] = False
        return client


def _silence(configuration: Any) -> None:
    """Take off the handler the SDK put on its loggers: our standard output and error are ours."""
    for logger in configuration.logger.values():
        for handler in list(logger.handlers):
            if isinstance(handler, logging.StreamHandler):
                logger.removeHandler(handler)


def _refusal(error: Any, *, writes: bool) -> FleetError:
    status, reason = int(error.status or 0), str(error.body or error.reason or "")[:500]
    text = f"the broker answered {status}: {reason}"
    if status == 429:
        return RetryLater(text)
    if status in {401, 403}:
        return NotAuthorized(text)
    if status == 408 and writes:
        return OutcomeUnknown(text)  # who gave up waiting for what, it does not say
    if 400 <= status < 500:
        return Refused(text)
    # A server that failed may have failed after it took the order.
    return OutcomeUnknown(text) if writes else RetryLater(text)


def transport_error(error: Exception, *, writes: bool) -> FleetError:
    """Say what a broken connection means to the caller."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    text = f"the broker was not reached or did not answer: {type(error).__name__}: {error}"
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        return RetryLater(text)  # there was no connection: nothing left
    return OutcomeUnknown(text) if writes else RetryLater(text)
