"""A small ingestor to kill: `python -m tests.kit.owner DATA_ROOT SEED` journals and publishes until it dies."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

from libs.dbaccess import WriterLock
from libs.messaging import Publisher
from libs.settings import load_settings
from tests.kit.journals import FileJournal, Owner

SYMBOLS = ["RELIANCE", "REL", "TCS", "INFY", "SBIN", "ITC"]


def main(data_root: str, seed: str) -> None:
    random = Random(int(seed))
    settings = load_settings(environment={"TRADEFLEET_DATA": data_root, "TRADEFLEET_BUS_HEAD_INTERVAL_MS": "200"})
    with WriterLock(Path(data_root) / "owner.lock"):  # before anything opens or binds
        journal = FileJournal(Path(data_root) / "journal.bin")
        with Publisher.open("ingestor", settings=settings, source=journal) as publisher:
            for stream in ("ticks", "candles"):
                publisher.prime(stream, journal.last_by_topic(stream), journal.head(stream))
            owner = Owner(journal, publisher)
            sys.stdout.write("publishing\n")
            sys.stdout.flush()
            while True:
                publisher.pump()
                for _ in range(random.randrange(4)):
                    owner.candle(random.choice(SYMBOLS))
                    owner.ticks(random.choices(SYMBOLS, k=random.randrange(1, 8)))
                time.sleep(random.uniform(0, 0.004))


if __name__ == "__main__":
    main(*sys.argv[1:])
