"""What is at risk, against what may be; and what ops warns of."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get

from libs.core.clock import US_PER_DAY, day_start_us, trading_date
from libs.dbaccess import Store
from libs.runtime.telling import read_addresses
from services.api.changes import fetch
from services.api.context import Context

#: What is held is open whatever day it was bought; booked today is what was sold or bought back today, less charges.
_HELD = (
    "SELECT COALESCE(sum(abs(quantity) * price_mark), 0) AS exposure_rupees, count(*) AS positions, "
    "COALESCE(sum(profit_unrealised_paise), 0) AS profit_open_paise FROM positions WHERE quantity <> 0"
)
_TRADED = (
    "SELECT count(*) AS trades, COALESCE(sum(COALESCE(profit_paise, 0) - fees_paise), 0) AS profit_booked_paise "
    "FROM trades WHERE status = 'filled' AND timestamp_us >= ? AND timestamp_us < ?"
)


@get("/api/risk", role="viewer", sync_to_thread=True)
def risk(context: Context) -> dict[str, Any]:
    """Say the settings' limits and what of the account's is used: what is held, without orders that may still fill."""
    with context.db.reader(Store.TRADING) as connection:
        newest_us = fetch(connection, "SELECT max(timestamp_us) AS at_us FROM trades")[0]["at_us"]
        # Today is the market's, whose clock a simulated or replayed day has for itself.
        day = trading_date(context.watch.heard_market_us() or newest_us or context.clock.now_us())
        held = fetch(connection, _HELD)[0]
        traded = fetch(connection, _TRADED, day_start_us(day), day_start_us(day) + US_PER_DAY)[0]
    profit_paise = held["profit_open_paise"] + traded["profit_booked_paise"]
    limits = msgspec.to_builtins(context.settings.risk)
    used = {
        "account_exposure_max_rupees": held["exposure_rupees"],
        "account_loss_day_max_rupees": max(0, -profit_paise) / 100,
        "account_trades_day_max": traded["trades"],
    }
    rows = [{"limit_name": name, "value": value, "used": used.get(name)} for name, value in limits.items()]
    return {"rows": rows, "trading_date": day.isoformat(), "positions": held["positions"],
            "profit_paise": profit_paise, "capital_rupees": context.settings.execution.capital_rupees}  # fmt: skip


@get("/api/alerts", role="viewer", sync_to_thread=False)
def alerts(context: Context) -> dict[str, Any]:
    """Give the alerts heard since the api started that are not over, the worst first."""
    return {"rows": msgspec.to_builtins(context.watch.standing.now())}


@get("/api/alert-targets", role="admin", sync_to_thread=True)
def alert_targets(context: Context) -> dict[str, Any]:
    """Name the addresses alerts can go to, out of ops' private file; never an address."""
    addresses = read_addresses(context.settings.ops.alert_urls_file)
    named = sorted({each.name for each in addresses if each.name})
    return {"rows": [{"target": name} for name in named], "unnamed": sum(not each.name for each in addresses)}


HANDLERS = [risk, alerts, alert_targets]
