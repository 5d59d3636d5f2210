"""The unmodified SDK drives every REST endpoint the simulator has, and its typed models find what they look for."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
import upstox_client as sdk
from upstox_client.rest import ApiException

from tests.contract.upstox.conftest import sdk_client
from tests.kit.exchange_sim import ANALYTICS_TOKEN
from tests.kit.processes import wait_until

KEY = "NSE_EQ|INE002A01018"
VERSION = "2.0"


def order(**changes: Any) -> Any:
    terms = {
        "quantity": 10, "product": "I", "validity": "DAY", "price": 0, "tag": "test", "slice": False,
        "instrument_token": KEY, "order_type": "MARKET", "transaction_type": "BUY", "disclosed_quantity": 0,
        "trigger_price": 0, "is_amo": False, "market_protection": -1,
    }  # fmt: skip
    return sdk.PlaceOrderV3Request(**terms | changes)


def placed(client: Any, **changes: Any) -> str:
    return str(sdk.OrderApiV3(client).place_order(order(**changes)).data.order_ids[0])


def settled(client: Any, order_id: str, *statuses: str) -> Any:
    """Wait until an order has one of the statuses, and give it."""

    def look() -> Any:
        found = sdk.OrderApi(client).get_order_status(order_id=order_id).data
        return found if found.status in statuses else None

    return wait_until(look, f"order {order_id} to be {' or '.join(statuses)}")


@pytest.fixture(scope="module")
def last_price(client: Any) -> float:
    answer = sdk.MarketQuoteV3Api(client).get_ltp(instrument_key=KEY)
    return float(answer.data["NSE_EQ:RELIANCE"].last_price)


@pytest.fixture(scope="module")
def filled(client: Any) -> Any:
    return settled(client, placed(client, tag="filled"), "complete")


def test_market_order_is_filled_and_reported(client, filled):
    assert filled.filled_quantity == 10
    assert filled.pending_quantity == 0
    assert filled.average_price > 0
    assert filled.tag == "filled"
    assert filled.trading_symbol == "RELIANCE-EQ"
    assert re.fullmatch(r"2026-02-02 \d\d:\d\d:\d\d", filled.order_timestamp)


def test_order_book_history_and_trades_agree(client, filled):
    api = sdk.OrderApi(client)
    book = {row.order_id: row for row in api.get_order_book(VERSION).data}
    history = api.get_order_details(VERSION, order_id=filled.order_id).data
    by_tag = api.get_order_details(VERSION, tag="filled").data
    trades = api.get_trades_by_order(filled.order_id, VERSION).data
    day = [row for row in api.get_trade_history(VERSION).data if row.order_id == filled.order_id]

    assert book[filled.order_id].status == "complete"
    assert [row.status for row in history][:4] == [
        "put order req received", "validation pending", "open pending", "open",
    ]  # fmt: skip
    assert history[-1].status == "complete"
    assert [row.status for row in by_tag] == [row.status for row in history]
    assert sum(row.quantity for row in trades) == filled.filled_quantity
    assert [row.trade_id for row in day] == [row.trade_id for row in trades]


def test_positions_funds_and_charges(client, filled):
    position = sdk.PortfolioApi(client).get_positions(VERSION).data[0]
    funds = sdk.UserApi(client).get_user_fund_margin_v3().data
    older = sdk.UserApi(client).get_user_fund_margin(VERSION).data["equity"]
    charges = sdk.ChargeApi(client).get_brokerage(KEY, 10, "I", "BUY", 800.0, VERSION).data.charges
    margin = sdk.ChargeApi(client).post_margin(
        sdk.MarginRequest([sdk.Instrument(KEY, 10, "I", "BUY", 800.0)])
    ).data  # fmt: skip

    assert position.quantity == position.day_buy_quantity > 0
    assert older.used_margin > 0
    assert funds.available_to_trade.total == pytest.approx(older.available_margin, rel=0.01)
    assert charges.total > charges.brokerage > 0
    assert charges.other_taxes.transaction > 0
    assert charges.dp_plan.name
    assert margin.required_margin == pytest.approx(10 * 800.0 * 0.2)
    assert sdk.PortfolioApi(client).get_holdings(VERSION).data == []
    assert sdk.PortfolioApi(client).get_mtf_positions().data == []


def test_limit_order_rests_is_modified_and_cancelled(client, last_price):
    price = round(last_price * 0.95, 0)
    order_id = placed(client, order_type="LIMIT", price=price, quantity=5)
    settled(client, order_id, "open")
    api = sdk.OrderApiV3(client)
    terms = {"validity": "DAY", "order_type": "LIMIT", "disclosed_quantity": 0, "trigger_price": 0}
    changed = api.modify_order(sdk.ModifyOrderRequest(quantity=6, price=price - 1, order_id=order_id, **terms))
    wait_until(lambda: sdk.OrderApi(client).get_order_status(order_id=order_id).data.quantity == 6, "the modification")
    settled(client, order_id, "open")
    cancelled = api.cancel_order(order_id)
    found = settled(client, order_id, "cancelled")
    statuses = [row.status for row in sdk.OrderApi(client).get_order_details(VERSION, order_id=order_id).data]

    assert changed.data.order_id == cancelled.data.order_id == order_id
    assert (found.price, found.pending_quantity) == (price - 1, 0)
    assert statuses[4:] == [
        "modify validation pending", "modify pending", "modified", "open", "cancel pending", "cancelled",
    ]  # fmt: skip


def test_cancelling_twice_is_refused(client, last_price):
    order_id = placed(client, order_type="LIMIT", price=round(last_price * 0.95, 0))
    settled(client, order_id, "open")
    sdk.OrderApiV3(client).cancel_order(order_id)
    settled(client, order_id, "cancelled")

    with pytest.raises(ApiException) as refusal:
        sdk.OrderApiV3(client).cancel_order(order_id)

    error = json.loads(refusal.value.body)["errors"][0]
    assert refusal.value.status == 400
    assert error["error_code"] == error["errorCode"] == "UDAPI100040"


def test_slicing_gives_an_id_for_each_child(client, sim):
    freeze = 71_000
    ids = sdk.OrderApiV3(client).place_order(order(quantity=2 * freeze + 1, slice=True, tag="slice")).data.order_ids

    rows = {row.order_id: row for row in sdk.OrderApi(client).get_order_book(VERSION).data}
    assert [rows[one].quantity for one in ids] == [freeze, freeze, 1]


def test_many_orders_succeed_in_part(client, last_price):
    fields = {"product": "I", "validity": "DAY", "order_type": "LIMIT", "price": round(last_price * 0.95, 0),
              "instrument_token": KEY, "transaction_type": "BUY", "disclosed_quantity": 0, "trigger_price": 0,
              "is_amo": False, "slice": False, "tag": "many"}  # fmt: skip
    lines = [sdk.MultiOrderRequest(quantity=quantity, correlation_id=f"c{quantity}", **fields) for quantity in (1, 0)]
    api = sdk.OrderApi(client)
    answer = api.place_multi_order(lines)
    settled(client, answer.data[0].order_id, "open")
    stopped = api.cancel_multi_order(tag="many")

    assert answer.status == "partial_success"
    assert answer.data[0].correlation_id == "c1"
    assert (answer.errors[0].correlation_id, answer.errors[0].error_code) == ("c0", "UDAPI1052")
    assert (answer.summary.total, answer.summary.success, answer.summary.error) == (2, 1, 1)
    assert stopped.data.order_ids == [answer.data[0].order_id]
    assert stopped.summary.success == 1


def test_gtt_order_lives_and_is_cancelled(client, last_price):
    api = sdk.OrderApiV3(client)
    entry = sdk.GttRule(strategy="ENTRY", trigger_type="ABOVE", trigger_price=round(last_price * 1.08, 0))
    stop = sdk.GttRule(strategy="STOPLOSS", trigger_type="IMMEDIATE", trigger_price=round(last_price, 0))
    gtt_id = api.place_gtt_order(
        sdk.GttPlaceOrderRequest("MULTIPLE", 1, "I", [entry, stop], KEY, "BUY")
    ).data.gtt_order_ids[0]  # fmt: skip
    api.modify_gtt_order(sdk.GttModifyOrderRequest("MULTIPLE", 2, [entry, stop], gtt_id))
    before = api.get_gtt_order_details(gtt_order_id=gtt_id).data[0]
    api.cancel_gtt_order(sdk.GttCancelOrderRequest(gtt_order_id=gtt_id))
    after = api.get_gtt_order_details(gtt_order_id=gtt_id).data[0]

    assert (before.quantity, [rule.status for rule in before.rules]) == (2, ["OPEN", "SCHEDULED"])
    assert [rule.status for rule in after.rules] == ["CANCELLED", "CANCELLED"]
    assert before.expires_at > before.created_at > 10**15


def test_history_is_newest_first_and_intraday_is_complete_minutes(client, sim):
    api = sdk.HistoryV3Api(client)
    days = api.get_historical_candle_data1(KEY, "days", "1", "2026-01-30", "2026-01-05").data.candles
    one = api.get_historical_candle_data(KEY, "minutes", "1", "2026-01-30").data.candles
    today = api.get_intra_day_candle_data(KEY, "minutes", "1").data.candles
    now = datetime.fromisoformat(sim.clock()["now"])

    assert [row[0][:10] for row in days] == sorted((row[0][:10] for row in days), reverse=True)
    assert days[0][0].startswith("2026-01-30")
    assert "2026-01-26" not in {row[0][:10] for row in days}  # a holiday
    assert len(one) == 375
    assert one[-1][0] == "2026-01-30T09:15:00+05:30"
    assert 0 <= (now - datetime.fromisoformat(today[0][0])).total_seconds() - 60 < 120
    assert sum(row[5] for row in one) == days[0][5]
    assert max(row[2] for row in one) == days[0][2]


def test_quotes_are_keyed_by_symbol_and_carry_the_key(client):
    api = sdk.MarketQuoteV3Api(client)
    ltp = api.get_ltp(instrument_key=f"{KEY},NSE_INDEX|Nifty 50").data
    ohlc = api.get_market_quote_ohlc("1d", instrument_key=KEY).data["NSE_EQ:RELIANCE"]
    full = api.get_full_market_quote_v3(instrument_key=KEY).data["NSE_EQ:RELIANCE"]
    greek = api.get_market_quote_option_greek(instrument_key=KEY).data["NSE_EQ:RELIANCE"]

    assert {row.instrument_token for row in ltp.values()} == {KEY, "NSE_INDEX|Nifty 50"}
    assert ohlc.live_ohlc.high >= ohlc.live_ohlc.low > 0
    assert ohlc.prev_ohlc.close == pytest.approx(ltp["NSE_EQ:RELIANCE"].cp)
    assert full.lower_circuit_limit < full.last_price < full.upper_circuit_limit
    assert full.depth.buy[0].price < full.depth.sell[0].price
    assert greek.delta == 0


def test_calendar(client):
    api = sdk.MarketHolidaysAndTimingsApi(client)
    timings = {row.exchange: row for row in api.get_exchange_timings("2026-02-02").data}
    holidays = {str(row._date)[:10]: row for row in api.get_holidays().data}

    assert timings["NSE"].start_time == 1_770_003_900_000  # 09:15 IST
    assert timings["NSE"].end_time - timings["NSE"].start_time == 375 * 60_000
    assert api.get_exchange_timings("2026-02-01").data == []
    assert "NSE" in holidays["2026-01-26"].closed_exchanges
    assert api.get_holiday("2026-01-26").data[0].description == "Republic Day"
    assert api.get_market_status("NSE").data.status == "NORMAL_OPEN"


def test_user(client):
    api = sdk.UserApi(client)

    assert api.get_profile(VERSION).data.is_active is True
    assert api.get_user_ips().data.primary_ip == "127.0.0.1"
    assert {row["segment"] for row in api.get_kill_switch().data} >= {"NSE_EQ", "NSE_FO"}


def test_login_gives_a_token_once(sim, client):
    status, _ = sim.ask("GET", "/v2/login/authorization/dialog?response_type=code&client_id=me")
    code = sim.login_code("me", "http://127.0.0.1/back")
    api = sdk.LoginApi(sdk_client(sim.url, token=""))
    ask = {"code": code, "client_id": "me", "client_secret": "s", "redirect_uri": "http://127.0.0.1/back",
           "grant_type": "authorization_code"}  # fmt: skip
    token = api.token(VERSION, **ask)
    mine = sdk_client(sim.url, token.access_token)
    request = api.init_token_request_for_indie_user(sdk.IndieUserTokenRequest("s"), "me")

    assert status == 400  # without an address to go back to
    assert sdk.UserApi(mine).get_profile(VERSION).data.user_id == token.user_id
    assert int(request.data.authorization_expiry) > 10**12
    with pytest.raises(ApiException) as again:
        api.token(VERSION, **ask)
    assert again.value.status == 401
    assert sdk.LoginApi(mine).logout(VERSION).data is True
    with pytest.raises(ApiException) as gone:
        sdk.UserApi(mine).get_profile(VERSION)
    assert gone.value.status == 401


def test_reading_token_reads_but_does_not_trade(sim):
    reader = sdk_client(sim.url, ANALYTICS_TOKEN)

    assert sdk.MarketQuoteV3Api(reader).get_ltp(instrument_key=KEY).data
    with pytest.raises(ApiException) as refusal:
        sdk.OrderApiV3(reader).place_order(order())
    assert refusal.value.status == 401
    assert json.loads(refusal.value.body)["errors"][0]["errorCode"] == "UDAPI100067"


def test_exit_positions_flattens(client, sim, filled):
    answer = sdk.OrderApi(client).exit_positions()
    for order_id in answer.data.order_ids:
        settled(client, order_id, "complete", "open")
    sim.clock(advance_s=3600)

    assert answer.status == "success"
    assert [row.quantity for row in sdk.PortfolioApi(client).get_positions(VERSION).data] == [0]


def test_kill_switch_needs_a_flat_account_and_locks(client, sim, filled):
    api = sdk.UserApi(client)
    wait_until(lambda: not any(one["quantity"] for one in sim.state()["positions"]), "flat")
    off = api.update_kill_switch([sdk.KillSwitchSegmentUpdateRequest("NSE_EQ", "DISABLE")]).data

    assert {row["segment"]: row["kill_switch_enabled"] for row in off}["NSE_EQ"] is True
    with pytest.raises(ApiException) as refusal:
        sdk.OrderApiV3(client).place_order(order())
    assert refusal.value.status == 400
    with pytest.raises(ApiException):
        api.update_kill_switch([sdk.KillSwitchSegmentUpdateRequest("NSE_EQ", "ENABLE")])


def test_search_finds_by_symbol(client):
    found = sdk.InstrumentsApi(client).search_instrument("RELI")

    assert found.data[0]["instrument_key"] == KEY
