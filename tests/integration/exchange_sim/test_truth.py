"""What the simulator says it sent is what a client received, at any speed; its limits are the broker's."""

from __future__ import annotations

import gzip
import json
import urllib.request
from contextlib import suppress
from typing import Any

import websocket

from libs.upstox.feed_messages import feed_messages
from tests.integration.exchange_sim.conftest import KEY, connected, find, order, place, subscribe
from tests.kit.commands import fleet_here
from tests.kit.exchange_sim import TRADING_TOKEN, Simulator, running_simulator
from tests.kit.processes import wait_until


def keys(sim: Simulator, count: int) -> list[str]:
    found = sim.ask("GET", "/v2/instruments/search?query=", token=TRADING_TOKEN)[1]["data"]
    return [row["instrument_key"] for row in found][:count]


def received(client: Any) -> tuple[list[tuple[str, int, float, int]], list[Any]]:
    """Read until the client was silent for a while; give the ticks in order, and the frames."""
    client.settimeout(2.0)
    ticks, frames = [], []
    with suppress(websocket.WebSocketTimeoutException):
        while True:
            frame = feed_messages().FeedResponse.FromString(client.recv())
            frames.append(frame)
            for key, feed in frame.feeds.items():
                full = feed.fullFeed.marketFF
                ticks.append((key, full.ltpc.ltt, full.ltpc.ltp, full.vtt))
    return ticks, frames


def test_every_tick_received_is_on_record_and_no_other(sim):
    """Ground truth for the kill matrices: records are written after the network took the frame."""
    sim.clock(paused=True)
    with connected(sim, keys=keys(sim, 20)) as client:
        wait_until(lambda: any(one["subscriptions"] for one in sim.state()["connections"]), "the subscription")
        sim.clock(advance_s=30)
        ticks, frames = received(client)
        number = str(sim.state()["connections"][0]["id"])
        recorded = sim.ticks()[number]
    sim.clock(paused=False)

    assert len(ticks) > 500
    assert sorted(ticks) == sorted(recorded)
    assert [frame.type for frame in frames[:3]] == [2, 0, 1]


def test_history_of_a_minute_is_the_feeds_minute(sim):
    """One market: what backfill brings is what the feed showed."""
    sim.clock(paused=True)
    with connected(sim, keys=[KEY]) as client:
        wait_until(lambda: sim.state()["connections"], "the connection")
        sim.clock(advance_s=180)
        _, frames = received(client)
    _, answer = sim.ask("GET", "/v3/historical-candle/intraday/NSE_EQ%7CINE002A01018/minutes/1")
    sim.clock(paused=False)
    history = {row[0]: row[1:6] for row in answer["data"]["candles"]}
    shown = {}
    for frame in frames:
        for row in frame.feeds[KEY].fullFeed.marketFF.marketOHLC.ohlc if KEY in frame.feeds else ():
            if row.interval == "I1":
                shown[row.ts] = [row.open, row.high, row.low, row.close, row.vol]

    assert len(shown) >= 3
    assert all(values in history.values() for values in shown.values())


def minute_at(speed: float) -> list[tuple[str, int, float, int]]:
    """What a simulator of this speed sends in one market minute."""
    with running_simulator(symbols=5, speed=speed) as sim, connected(sim, keys=[KEY]) as client:
        wait_until(lambda: any(one["subscriptions"] for one in sim.state()["connections"]), "the subscription")
        sim.clock(paused=True)
        sim.clock(jump_to="2026-02-02T11:00:00")
        received(client)
        sim.clock(paused=False)
        sim.clock(play_to="2026-02-02T11:01:00")
        sim.clock(paused=True)
        ticks, _ = received(client)
    begin, end = 1_770_010_200_000, 1_770_010_260_000  # eleven o'clock and a minute later
    return [tick for tick in ticks if begin < tick[1] <= end]


def test_same_market_at_any_speed():
    """The trading day does not depend on the machine nor on the clock's speed."""
    slow, fast = minute_at(1.0), minute_at(200.0)

    assert len(slow) > 80
    assert slow == fast


def test_days_pass_at_speed_and_positions_are_settled():
    settings = {"TRADEFLEET_EXCHANGE_SIM_CONFLATION_MS": "30000"}
    with running_simulator(symbols=3, start="2026-01-23T15:29:00", **settings) as sim:
        place(sim, tag="keep", product="D")
        wait_until(lambda: find(sim, "keep")["status"] == "complete", "the purchase")
        sim.clock(speed=600)
        wait_until(lambda: sim.clock()["now"].startswith("2026-01-27T09:1"), "the session after the holiday")
        state = sim.state()
        _, holdings = sim.ask("GET", "/v2/portfolio/long-term-holdings", token=TRADING_TOKEN)

    assert state["orders"] == []
    assert state["positions"] == []
    assert [(row["trading_symbol"], row["quantity"]) for row in holdings["data"]] == [("RELIANCE", 10)]


def test_orders_beyond_the_limit_get_the_brokers_code_and_reads_go_on():
    limits = {"ORDERS_PER_SECOND_MAX": "1000", "ORDERS_PER_MINUTE_MAX": "12"}
    with running_simulator(**{f"TRADEFLEET_EXCHANGE_SIM_{name}": value for name, value in limits.items()}) as sim:
        answers = [place(sim, tag=f"n{number}") for number in range(15)]
        reading, _ = sim.ask("GET", "/v2/order/retrieve-all", token=TRADING_TOKEN)
        held = len(sim.state()["orders"])

    assert [status for status, _ in answers] == [200] * 12 + [429] * 3
    assert answers[-1][1]["errors"][0]["errorCode"] == "UDAPI10005"
    assert (reading, held) == (200, 12)


def test_subscriptions_have_the_brokers_limits(sim):
    with connected(sim) as client:
        subscribe(client, keys(sim, 30) + [f"NSE_EQ|X{n}" for n in range(30)], "full_d30")
        subscribe(client, keys(sim, 30), "full_d30")

        def mine() -> dict[str, Any]:
            return sim.state()["connections"][0]

        wait_until(lambda: mine()["subscriptions"], "the subscription")
        client.send_binary(b"not json")
        wait_until(lambda: len(mine()["refused"]) == 2, "the refusals")

        assert mine()["subscriptions"] == {"full_d30": 30}


def test_flood_is_valid_and_counted(sim):
    """Frames written over in place still decode, and rise in time and volume as a market's do."""
    with connected(sim, keys=keys(sim, 25)) as client:
        wait_until(lambda: any(one["subscriptions"] for one in sim.state()["connections"]), "the subscription")
        sim.clock(paused=True)
        status, figures = sim.ask(
            "POST", "/_sim/flood", {"ticks_per_second": 2000, "duration_s": 0.5, "ticks_per_frame": 10}
        )
        ticks, _ = received(client)
        number = str(sim.state()["connections"][0]["id"])
        recorded = sim.ticks()[number]
    sim.clock(paused=False)

    assert status == 200
    assert figures["ticks"] >= 500
    assert sorted(ticks) == sorted(recorded)
    for key in keys(sim, 25):
        volumes = [tick[3] for tick in ticks if tick[0] == key]
        assert volumes == sorted(volumes)
        assert len(set(volumes)) >= len(volumes) - 1  # the snapshot, and from then on always more


def test_instruments_file_is_gzipped_json_of_everything_listed(sim):
    with urllib.request.urlopen(f"{sim.url}/market-quote/instruments/exchange/NSE.json.gz", timeout=60) as answer:  # noqa: S310
        rows = {row["instrument_key"]: row for row in json.loads(gzip.decompress(answer.read()))}

    assert len(rows) == 51
    assert rows[KEY]["trading_symbol"] == "RELIANCE"
    assert (rows[KEY]["tick_size"], rows[KEY]["freeze_quantity"]) == (10.0, 71_000.0)  # paise, shares
    assert rows["NSE_INDEX|Nifty 50"]["instrument_type"] == "INDEX"


def test_commands_of_the_fleet(sim):
    url = ("sim", "--url", sim.url)
    added = fleet_here(*url, "faults", "add", "slow", "path=/v3/order", "delay_s=0.2", "--count", "3", "--for", "60")
    fault_id = json.loads(added.stdout)["id"]
    listed = json.loads(fleet_here(*url, "faults", "list", "--json").stdout)
    cleared = fleet_here(*url, "faults", "clear", fault_id)
    again = fleet_here(*url, "faults", "clear", fault_id)
    wrong = fleet_here(*url, "faults", "add", "earthquake")
    state = json.loads(fleet_here(*url, "state", "--json").stdout)
    clock = fleet_here(*url, "clock", "--speed", "2")
    token = fleet_here(*url, "token", "--life", "60").stdout.strip()

    assert listed["faults"][0]["parameters"] == {"path": "/v3/order", "delay_s": 0.2}
    assert (cleared.stdout.strip(), cleared.returncode, again.returncode) == ("cleared 1", 0, 1)
    assert wrong.returncode == 1
    assert "earthquake" in wrong.stderr
    assert state["symbols"] == 50
    assert "speed 2" in clock.stdout
    assert sim.ask("GET", "/v2/user/profile", token=token)[0] == 200


def test_no_simulator_is_said_so():
    done = fleet_here("sim", "--url", "http://127.0.0.1:9", "state")

    assert done.returncode == 1
    assert "python -m services.exchange_sim" in done.stderr


def test_control_needs_no_token_and_orders_do(sim):
    assert sim.ask("GET", "/_sim/clock")[0] == 200
    assert sim.ask("POST", "/v3/order/place", order())[0] == 401
