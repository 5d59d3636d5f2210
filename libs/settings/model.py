"""The whole of the settings, one field a section of config/fleet.toml."""

from __future__ import annotations

import msgspec

from libs.settings import api as api_settings
from libs.settings import backtest as backtest_settings
from libs.settings import bus, execution, ops, risk, scanner, storage, strategies, watchdog
from libs.settings import exchange_sim as simulator
from libs.settings import feed as feed_settings
from libs.settings import importing as importing_settings
from libs.settings import journal as journal_settings
from libs.settings import upstox as upstox_settings


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sections. `profile` and `data_root` are resolved by the loader."""

    profile: str
    data_root: str
    data: storage.Data = storage.Data()
    live: storage.Live = storage.Live()
    journal: journal_settings.Journal = journal_settings.Journal()
    sqlite: storage.Sqlite = storage.Sqlite()
    query: storage.Query = storage.Query()
    health: storage.Health = storage.Health()
    backup: storage.Backup = storage.Backup()
    importing: importing_settings.Importing = importing_settings.Importing()
    archive: importing_settings.Archive = importing_settings.Archive()
    log: storage.Log = storage.Log()
    bus: bus.Bus = bus.Bus()
    exchange_sim: simulator.ExchangeSim = simulator.ExchangeSim()
    upstox: upstox_settings.Upstox = upstox_settings.Upstox()
    feed: feed_settings.Feed = feed_settings.Feed()
    ingestor: feed_settings.Ingestor = feed_settings.Ingestor()
    replay: feed_settings.Replay = feed_settings.Replay()
    runtime: feed_settings.Runtime = feed_settings.Runtime()
    risk: risk.Risk = risk.Risk()
    strategies: strategies.Strategies = strategies.Strategies()
    scanner: scanner.Scanner = scanner.Scanner()
    ops: ops.Ops = ops.Ops()
    watchdog: watchdog.Watchdog = watchdog.Watchdog()
    backtest: backtest_settings.Backtest = backtest_settings.Backtest()
    execution: execution.Execution = execution.Execution()
    api: api_settings.Api = api_settings.Api()
