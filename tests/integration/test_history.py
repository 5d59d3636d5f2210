"""C4, issue 4: candles of the past through the real SDK into closed days; what is there is left, what fails is said."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace

import pytest

import libs.upstox.history as upstox_history
from libs.core.clock import SystemClock, trading_date
from libs.core.errors import Corrupt, RetryLater
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.dbaccess.connections import sqlite_reader
from libs.dbaccess.coverage import stored_certificates
from libs.simulation.clock import ManualClock
from libs.upstox.credentials import Scope
from libs.upstox.history import History, spans
from libs.upstox.session import BrokerSession
from tests.kit.commands import fleet_here
from tests.kit.crashes import Crash, crashing_at
from tests.kit.exchange_sim import running_simulator
from tests.kit.processes import running_code, wait_until
from tests.kit.rollover import everything
from tests.kit.roots import copy_stores, settings

FRIDAY, MONDAY = date(2026, 1, 30), date(2026, 2, 2)


@pytest.fixture(scope="module")
def sim():
    """As strict as the broker may be: what asks faster is turned away."""
    limit = {"TRADEFLEET_EXCHANGE_SIM_REQUESTS_PER_SECOND_MAX": "10"}
    with running_simulator(start="2026-02-02T10:00:00", symbols=5, record_ticks=False, **limit) as found:
        yield found


def fetch(data_root, sim, *arguments: str):
    done = fleet_here(
        "history", "fetch", "--json", *arguments, TRADEFLEET_DATA=str(data_root), TRADEFLEET_PROFILE="demo",
        TRADEFLEET_UPSTOX_API_URL=sim.url,
    )  # fmt: skip
    return done, json.loads(done.stdout) if done.stdout else {}


def test_days_are_fetched_once_and_read_like_any_other(data_root, sim):
    copy_stores(data_root)
    wanted = ("--symbols", "RELIANCE,TCS", "--from", "2026-01-22", "--to", str(FRIDAY))
    done, found = fetch(data_root, sim, *wanted)
    assert done.returncode == 0, done.stderr
    assert len(found["closed"]) == found["days"] > 5
    assert all(each["symbols"] == 2 and each["rows"] > 600 for each in found["closed"])
    with MarketDataQuery(DatabaseManager(data_root)) as query:
        candles = query.get_candles("RELIANCE", "nse", "1m", FRIDAY, MONDAY)
        hours = query.get_candles("TCS", "nse", "1h", FRIDAY, MONDAY)
    assert len(candles) >= 300
    assert candles["timestamp"].is_monotonic_increasing
    assert (candles["high"] >= candles["low"]).all()
    assert len(hours) >= 6

    done, again = fetch(data_root, sim, *wanted)
    assert (done.returncode, again["closed"], again["closed_before"]) == (0, [], found["days"])


def test_fetched_days_have_certificates_and_are_held_against_the_broker(data_root, sim, tmp_path):
    """What was fetched agrees with what is fetched again; a price somebody changed on the way does not."""
    copy_stores(data_root)
    names = ("--symbols", "RELIANCE,TCS")
    fetch(data_root, sim, *names, "--from", str(FRIDAY), "--to", str(FRIDAY))
    fetched = stored_certificates(DatabaseManager(data_root), "nse", FRIDAY, FRIDAY)
    assert [each.symbol for each in fetched] == ["RELIANCE", "TCS"]
    assert all(each.bars_backfilled > 300 and each.bars_compared is None for each in fetched)
    with MarketDataQuery(DatabaseManager(data_root)) as query:
        ours = query.get_candles(["RELIANCE", "TCS"], "nse", "1m", FRIDAY, MONDAY)
    other = tmp_path / "other"
    copy_stores(other)
    ours.loc[ours.index[:3], "high"] += 1.0  # RELIANCE's first three minutes
    ours.drop(columns="timeframe").to_csv(tmp_path / "ours.csv", index=False)
    assert fleet_here("import", "candles", tmp_path / "ours.csv", "--data-root", other).returncode == 0

    for root, differing in ((data_root, 0), (other, 3)):
        shown = fleet_here(
            "coverage", "--compare", "--from", FRIDAY, "--to", FRIDAY, *names, "--json", TRADEFLEET_DATA=str(root),
            TRADEFLEET_PROFILE="demo", TRADEFLEET_UPSTOX_API_URL=sim.url,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        (day,) = json.loads(shown.stdout)
        assert (day["bars_differing"], day["bars_compared"]) == (differing, len(ours))
        reliance, tcs = day["certificates"]
        assert (reliance["bars_differing"], tcs["bars_differing"]) == (differing, 0)


#: After it the simulator counts nothing any more of what was asked before.
A_SECOND = 1.05
KEYS = {"RELIANCE": "NSE_EQ|INE002A01018", "TCS": "NSE_EQ|INE467B01029"}
SHORT_SPANS = {"1m": ("minutes", "1", 3)}
FETCH_SHORT = """
    import sys
    from libs.upstox import history
    history._SPANS |= {"1m": ("minutes", "1", 3)}
    from cli.main import main
    main(sys.argv[1:])
"""


def test_a_killed_fetch_asks_only_for_what_is_missing(data_root, sim, tmp_path, monkeypatch):
    """Killed while the broker answers, then while a day gets its name; what comes of it is what one fetch gives."""
    monkeypatch.setattr(upstox_history, "_SPANS", upstox_history._SPANS | SHORT_SPANS)
    whole = tmp_path / "whole"
    for root in (data_root, whole):
        copy_stores(root)
    # Three calls a symbol: for 22 and 23 January, for the 27th (a holiday before it), for 28 and 29.
    wanted = ("--symbols", "RELIANCE,TCS", "--from", str(DAYS[0]), "--to", str(DAYS[1]))
    hanging = f"/v3/historical-candle/{KEYS['TCS']}/minutes/1/2026-01-27/2026-01-27"
    sim.add_fault("slow", path=hanging, delay_s=300.0, count=1)
    words = ("history", "fetch", *wanted, "--data-root", data_root)
    with running_code(FETCH_SHORT, *words, TRADEFLEET_PROFILE="demo", TRADEFLEET_UPSTOX_API_URL=sim.url) as process:
        wait_until(lambda: asked(sim)[hanging] or process.poll() is not None, "the call that hangs", every_s=0.1)
        assert process.poll() is None, process.communicate()
        process.kill()
    closed = days_of(data_root)
    before = asked(sim)
    with pytest.raises(Crash), crashing_at("history.rename.before", 2):
        fetch(data_root, sim, *wanted)
    between = asked(sim)
    done, found = fetch(data_root, sim, *wanted)
    after = asked(sim)
    undisturbed, all_at_once = fetch(whole, sim, *wanted)

    assert (done.returncode, undisturbed.returncode) == (0, 0)
    assert closed == ["2026-01-22", "2026-01-23"]
    # The second life closed the 27th and died at the 28th; the third asks for what is left.
    assert spans_asked(between - before) == {("2026-01-29", "2026-01-27"): 2}
    assert spans_asked(after - between) == {("2026-01-29", "2026-01-28"): 2}
    assert (found["closed_before"], len(found["closed"])) == (3, 2)
    assert all_at_once["closed"][-2:] == found["closed"]
    assert everything(data_root) == everything(whole)
    assert catalogued(data_root) == catalogued(whole)
    assert len(catalogued(whole)) == 10
    certificates = [stored_certificates(DatabaseManager(root), "nse", *DAYS) for root in (data_root, whole)]
    assert certificates[0] == certificates[1]
    assert len(certificates[0]) == 10


DAYS = (date(2026, 1, 22), date(2026, 1, 29))


def asked(sim) -> Counter[str]:
    """How often each address of history was asked for."""
    paths = sim.state()["requests"]
    return Counter({name.split(" ")[1]: count for name, count in paths.items() if "/historical-candle/" in name})


def spans_asked(calls: Counter[str]) -> dict[tuple[str, ...], int]:
    found: Counter[tuple[str, ...]] = Counter()
    for path, count in calls.items():
        found[tuple(path.split("/")[-2:])] += count
    return dict(found)


def days_of(root) -> list[str]:
    return sorted(path.stem for path in (root / "market_data" / "nse" / "candles" / "1m").glob("*.duckdb"))


def catalogued(root) -> list[tuple[object, ...]]:
    with sqlite_reader(DatabaseManager(root).layout.catalogue, settings().sqlite) as connection:
        return connection.execute(
            "SELECT trading_date, symbol, s.rows, first_us, last_us, price_min, price_max, volume, origin"
            " FROM catalogue_symbols s JOIN catalogue_days USING (exchange, data_type, timeframe, trading_date)"
        ).fetchall()


def test_longer_ranges_are_asked_for_in_calls_the_broker_serves(sim):
    """It refuses more days than it serves at once: a month of minutes, a quarter of hours."""
    session = BrokerSession.open(settings(TRADEFLEET_UPSTOX_API_URL=sim.url), Scope.MARKET_DATA, {})
    session.authorize()
    history = History(session, SystemClock())
    for timeframe, first, calls in (("15m", date(2025, 12, 26), 2), ("1h", date(2025, 10, 24), 2)):
        before = asked(sim)
        candles = history.candles(KEYS["TCS"], timeframe, first, FRIDAY)

        assert (asked(sim) - before).total() == calls
        assert [trading_date(each.timestamp_us) for each in (candles[0], candles[-1])] == [first, FRIDAY]
        assert candles == sorted(set(candles))
    session.close()


def test_what_the_broker_refuses_leaves_nothing(data_root, sim):
    copy_stores(data_root)
    done, _ = fetch(data_root, sim, "--symbols", "NOSUCH", "--from", str(FRIDAY), "--to", str(FRIDAY))
    assert done.returncode == 1
    assert "NOSUCH" in done.stderr
    assert list((data_root / "market_data").rglob("*.duckdb")) == []


def test_the_simulators_rate_is_kept_and_a_429_is_waited_out(sim):
    """Twelve calls at once are none too many in any second; a broker that says 429 all the same is asked again."""
    session = BrokerSession.open(settings(TRADEFLEET_UPSTOX_API_URL=sim.url), Scope.MARKET_DATA, {})
    session.authorize()
    clock, ask, refused = SystemClock(), session.call, []
    clock.sleep(A_SECOND)  # what other tests asked is out of the simulator's mind

    def call(*arguments):
        try:
            return ask(*arguments)
        except RetryLater as e:
            refused.append(str(e))
            raise

    session.call = call  # type: ignore[method-assign]
    history = History(session, clock)
    begun_ns = clock.monotonic_ns()
    answers = [history.candles("NSE_EQ|INE002A01018", "1d", FRIDAY, FRIDAY) for _ in range(12)]
    took_s = (clock.monotonic_ns() - begun_ns) / 1e9
    assert refused == []
    assert took_s >= 1  # nine a second
    clock.sleep(A_SECOND)  # who comes next knows nothing of those calls, and does not sleep
    sim.add_fault("rate_limit", path="/v3/historical-candle", count=2)
    sleepy = Sleepy()
    again = History(session, sleepy).candles("NSE_EQ|INE002A01018", "1d", FRIDAY, FRIDAY)
    session.close()

    assert len(refused) == 2
    assert sleepy.slept == 3  # a second, then two
    assert len(answers[0]) == 1
    assert all(each == again for each in answers)

    def ask_at_once(_number: int) -> int:
        return sim.ask("GET", f"/v3/historical-candle/{KEYS['TCS']}/days/1/{FRIDAY}/{FRIDAY}")[0]

    with ThreadPoolExecutor(20) as pool:  # the simulator does mind: or nothing was shown here
        wait_until(lambda: 429 in pool.map(ask_at_once, range(20)), "the simulator to turn away who hurries")


def test_ranges_are_cut_to_what_a_call_may_span():
    pieces = list(spans("1m", date(2025, 1, 1), date(2025, 12, 31)))

    assert pieces[0][0] == date(2025, 1, 1)
    assert pieces[-1][1] == date(2025, 12, 31)
    assert all((last - first).days < 28 for first, last in pieces)
    assert all((after[0] - before[1]).days == 1 for before, after in itertools.pairwise(pieces))


class Sleepy(ManualClock):
    """A clock whose sleeps pass at once, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.advance(seconds)


@pytest.mark.parametrize("answer", [SimpleNamespace(data=None), SimpleNamespace(data=SimpleNamespace(candles=None))])
def test_an_answer_without_candles_is_an_error_of_ours(answer):
    """The ingestor gives a gap up on those; any other error ended the process, and every one after it."""
    api = SimpleNamespace(get_intra_day_candle_data=None)
    history = History.__new__(History)
    history._session = SimpleNamespace(call=lambda *_: answer)  # type: ignore[assignment]
    history._api, history._clock, history._calls = api, Sleepy(), deque()

    with pytest.raises(Corrupt, match="no list of candles"):
        history.today("NSE_EQ|INE002A01018")


def test_calls_stay_within_every_rate():
    class Session:
        client = None

    history, clock = History.__new__(History), Sleepy()
    History.__init__(history, Session(), clock)  # type: ignore[arg-type]
    for _ in range(451):
        history._pace()

    assert clock.slept >= 60
