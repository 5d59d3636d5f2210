"""What is captured: symbols of the settings, by the broker's instruments file. Without the broker, by the last one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from libs.contracts.instruments import Instrument
from libs.core.errors import Refused, RetryLater
from libs.dbaccess.files import write_atomically
from libs.runtime.logs import get_logger
from libs.runtime.process import WrongConfiguration
from libs.settings.feed import Ingestor as Settings
from libs.upstox.instrument_file import shares_and_indexes
from libs.upstox.instruments import download
from libs.upstox.session import BrokerSession


def instruments(session: BrokerSession, exchange: str, folder: Path, day: date) -> list[Instrument]:
    """Fetch the instruments file and keep it; when the broker can't be reached, read the one that was kept."""
    kept = folder / f"instruments_{exchange}.json.gz"
    try:
        data = download(session, exchange)
        found = shares_and_indexes(data, exchange, day)
    except RetryLater as e:
        if not kept.exists():
            raise
        get_logger().warning("instruments.from_file", file=kept.name, error=str(e))
        return shares_and_indexes(kept.read_bytes(), exchange, day)
    write_atomically(kept, data)
    return found


def chosen(found: Sequence[Instrument], settings: Settings, room: int) -> dict[str, str]:
    """Give symbol and key of everything to capture; refuse names the exchange does not list."""
    keys = {row.symbol: row.instrument_key for row in found}
    unknown = sorted(set(settings.symbols) - keys.keys())
    if unknown:
        raise WrongConfiguration(
            f"ingestor.symbols has {', '.join(unknown[:10])}, not in the instruments file of {len(keys)} symbols"
        )
    wanted = settings.symbols or list(keys)
    most = min(settings.symbols_max, room)
    if len(wanted) > most:
        raise WrongConfiguration(
            f"{len(wanted)} symbols to capture, and room for {most}: name them in ingestor.symbols"
        )
    if not wanted:
        raise Refused("the instruments file has no share of this exchange")
    return {symbol: keys[symbol] for symbol in wanted}
