"""Login: the OAuth dialog with its one-time code, tokens, the indie request, logout."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from aiohttp import web

from services.exchange_sim.access import EXTENDED, TRADING, expiry_text
from services.exchange_sim.exchange.checks import Problem
from services.exchange_sim.handlers.guard import bearer
from services.exchange_sim.handlers.user import PROFILE
from services.exchange_sim.simulator import SIMULATOR, json_body
from services.exchange_sim.wire import answer, failure, success

_BAD_CREDENTIALS = Problem("UDAPI100016", "Invalid Credentials")
_BAD_CODE = Problem("UDAPI100057", "Invalid Auth code")


async def dialog(request: web.Request) -> web.StreamResponse:
    """GET /v2/login/authorization/dialog: nobody has to type here, the user is sent back with a code at once."""
    sim = request.app[SIMULATOR]
    query = request.query
    target = query.get("redirect_uri", "")
    if query.get("response_type") != "code" or not query.get("client_id") or not urlsplit(target).scheme:
        text = "response_type=code, client_id and redirect_uri are needed"
        return failure(400, Problem("UDAPI100068", text))
    back = {"code": sim.tokens.code(_login_purpose(query["client_id"], target))}
    if "state" in query:
        back["state"] = query["state"]
    joint = "&" if urlsplit(target).query else "?"
    raise web.HTTPFound(f"{target}{joint}{urlencode(back)}")


async def token(request: web.Request) -> web.StreamResponse:
    """POST /v2/login/authorization/token: a code becomes a token, once."""
    sim = request.app[SIMULATOR]
    form = await request.post()
    words = {name: str(form.get(name, "")) for name in ("code", "client_id", "client_secret", "redirect_uri")}
    if form.get("grant_type") != "authorization_code" or not words["client_secret"]:
        return failure(401, _BAD_CREDENTIALS)
    if not sim.tokens.redeem(words["code"], _login_purpose(words["client_id"], words["redirect_uri"])):
        return failure(401, _BAD_CODE)
    tokens = {"access_token": sim.tokens.issue(TRADING), "extended_token": sim.tokens.issue(EXTENDED)}
    return answer(PROFILE | tokens)


async def request_token(request: web.Request) -> web.StreamResponse:
    """POST /v3/login/auth/token/request/{client_id}: the token itself would be posted to the notifier."""
    sim = request.app[SIMULATOR]
    body = await json_body(request)
    if not body.get("client_secret"):
        return failure(401, _BAD_CREDENTIALS)
    expiry = expiry_text(sim.clock.now_us())
    return success({"authorization_expiry": expiry, "notifier_url": "http://127.0.0.1/notifier"})


async def logout(request: web.Request) -> web.StreamResponse:
    """DELETE /v2/logout: the token is dead from now on."""
    request.app[SIMULATOR].tokens.kill(bearer(request))
    return success(True)


def _login_purpose(client_id: str, redirect_uri: str) -> str:
    return f"login {client_id} {redirect_uri}"
