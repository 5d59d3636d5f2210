"""What every handler is given: the stores, the config store's owner, the newest of the bus."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from libs.contracts.topics import topic
from libs.core.clock import Clock
from libs.core.ids import random_id
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.dbaccess.sqlite_session import SqliteSession
from libs.messaging import CommandClient, Publisher
from libs.settings import Settings
from services.api.broker import BrokerToken
from services.api.changes import Asked, Done, perform, record
from services.api.instruments import ImportInstruments, Prepared, prepare
from services.api.quotes import DayFigures
from services.api.told import ToldSource, store
from services.api.watch import Watch


class Context:
    """One API's parts. `session` and `publisher` belong to its event loop; `db` and `market` to any thread."""

    def __init__(
        self, settings: Settings, clock: Clock, db: DatabaseManager, session: SqliteSession, publisher: Publisher,
        market: MarketDataQuery, watch: Watch, told: ToldSource, broker: BrokerToken,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.clock = clock
        self.db = db
        self.session = session
        self.publisher = publisher
        self.market = market
        self.watch = watch
        self.told = told
        self.broker = broker
        self.days = DayFigures(market, clock, settings.data.exchange)
        #: A password costs memory to check, on purpose; so only a few at a time.
        self.hashing = asyncio.Semaphore(2)
        self._preparing: dict[bytes, asyncio.Future[Prepared]] = {}

    def change(self, action: str, given: dict[str, Any], *, actor: str, address: str, prepared: Any = None) -> Any:
        """Change the config store, with its line in the audit log, and tell the bus."""
        with self.session.transaction() as connection:
            done = perform(connection, action, Asked(actor, address, self.clock.now_us(), given, prepared))
        self.tell(done)
        return done.result

    def prepare_import(self, given: dict[str, Any]) -> Prepared:
        """Work out what an instruments file changes, on a reader. Takes long: call it in a thread."""
        with self.db.config_reader() as connection:
            return prepare(connection, msgspec.convert(given, ImportInstruments))

    def prepared_import(self, given: dict[str, Any]) -> Prepared | None:
        """The same for who cannot wait: begins it in a thread, and gives None until it is done."""
        key = msgspec.json.encode(given, order="sorted")
        found = self._preparing.get(key)
        if found is None:
            self._preparing[key] = asyncio.get_running_loop().run_in_executor(None, self.prepare_import, given)
        elif found.done():
            return self._preparing.pop(key).result()
        return None

    def note(self, asked: Asked, action: str, done: Done, reason: str = "") -> None:
        """Write into the audit log what was done elsewhere than in the config store, and tell the bus."""
        with self.session.transaction() as connection:
            record(connection, asked, action, done, reason)
            seq = store(connection, done.table, done.key, asked.at_us)
        self.tell(msgspec.structs.replace(done, seq=seq))

    def broker_changed(self) -> None:
        """Write down and tell that the broker takes the token no more, or again."""
        asked = Asked("api", "", self.clock.now_us(), {})
        self.note(asked, "broker.checked", Done("broker", "token", None, {"state": self.broker.view()["state"]}))

    def tell(self, done: Done) -> None:
        """Publish that a table changed; what it holds now is read from the store."""
        self.told.renew()
        text, payload = topic("config", done.table), {"table": done.table, "key": done.key}
        self.publisher.publish(text, payload, seq=done.seq)
        self.watch.take_in(text, self.clock.now_us(), payload)

    def ask(self, service: str, name: str, arguments: dict[str, Any], request_id: str) -> Any:
        """Have an owner do something. Waits: call it in a thread.

        The command's id begins with the request's, and is followed by it; it is never the same twice, so that who
        gives all his requests one id is not told that his second halt was done with the first.
        """
        with CommandClient(service, settings=self.settings, clock=self.clock) as client:
            return msgspec.to_builtins(client.call(name, arguments, command_id=f"{request_id}.{random_id(8)}"))
