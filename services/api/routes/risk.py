"""What is at risk, against what may be; and what ops warns of."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get

from libs.core.clock import day_start_us, trading_date
from libs.dbaccess import Store
from libs.runtime.telling import read_addresses
from services.api.changes import fetch
from services.api.context import Context

_HELD = (
    "SELECT COALESCE(sum(abs(quantity) * price_mark), 0) AS exposure_rupees, "
    "COALESCE(sum(profit_realised_paise + profit_unrealised_paise - fees_paise), 0) AS profit_paise, "
    "COALESCE(sum(quantity <> 0), 0) AS positions FROM positions WHERE updated_at_us >= ?"
)


@get("/api/risk", role="viewer", sync_to_thread=True)
def risk(context: Context) -> dict[str, Any]:
    """Say the settings' limits and what of the account's is used: what is held, without orders that may still fill."""
    with context.db.reader(Store.TRADING) as connection:
        newest = fetch(connection, "SELECT max(updated_at_us) AS at_us FROM positions")[0]["at_us"]
        day_us = day_start_us(trading_date(newest or context.clock.now_us()))
        held = fetch(connection, _HELD, day_us)[0]
        # Trades have the market's time, which on the simulator is another day's.
        traded = fetch(connection, "SELECT COALESCE(max(timestamp_us), 0) AS at_us FROM trades")[0]["at_us"]
        since_us = day_start_us(trading_date(traded))
        trades = fetch(connection, "SELECT count(*) AS n FROM trades WHERE timestamp_us >= ?", since_us)[0]["n"]
    limits = msgspec.to_builtins(context.settings.risk)
    used = {
        "account_exposure_max_rupees": held["exposure_rupees"],
        "account_loss_day_max_rupees": max(0, -held["profit_paise"]) / 100,
        "account_trades_day_max": trades,
    }
    rows = [{"limit_name": name, "value": value, "used": used.get(name)} for name, value in limits.items()]
    return {"rows": rows, "positions": held["positions"], "profit_paise": held["profit_paise"],
            "capital_rupees": context.settings.execution.capital_rupees}  # fmt: skip


@get("/api/alerts", role="viewer", sync_to_thread=False)
def alerts(context: Context) -> dict[str, Any]:
    """Give the newest alert of each severity heard since the api started, the newest first."""
    found = [news.payload for news in context.watch.latest.values() if news.topic.startswith("alert.")]
    return {"rows": sorted(found, key=lambda each: -each["timestamp_us"])}


@get("/api/alert-targets", role="admin", sync_to_thread=True)
def alert_targets(context: Context) -> dict[str, Any]:
    """Name the addresses alerts can go to, out of ops' private file; never an address."""
    addresses = read_addresses(context.settings.ops.alert_urls_file)
    named = sorted({each.name for each in addresses if each.name})
    return {"rows": [{"target": name} for name in named], "unnamed": sum(not each.name for each in addresses)}


HANDLERS = [risk, alerts, alert_targets]
