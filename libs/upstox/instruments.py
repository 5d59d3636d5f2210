"""Fetches the broker's instrument file; `instrument_file` reads it."""

from __future__ import annotations

from libs.core.errors import Refused, RetryLater
from libs.upstox.session import BrokerSession, transport_error


def download(session: BrokerSession, exchange: str) -> bytes:
    """Fetch the gzipped file of an exchange."""
    url = f"{session.hosts.assets}/market-quote/instruments/exchange/{exchange.upper()}.json.gz"
    connect_s, read_s = session.timeout
    pool = session.client.rest_client.pool_manager
    try:
        from urllib3 import Timeout

        # A bare client is turned away by the broker's gateway: it says who it is.
        response = pool.request(
            "GET", url, timeout=Timeout(connect=connect_s, read=read_s),
            headers={"User-Agent": session.client.user_agent, "Accept-Encoding": "identity"},
        )  # fmt: skip
    except Exception as e:
        raise transport_error(e, writes=False) from e
    if response.status != 200:
        kind = Refused if 400 <= response.status < 500 else RetryLater
        raise kind(f"{url}: the broker answered {response.status}")
    return bytes(response.data)
