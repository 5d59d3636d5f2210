"""The dashboard's pages: one shell with the page's name, filled by our own scripts over the API."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from libs.settings import PROJECT_ROOT
from services.api.changes import NotThere
from services.api.tags import tagged

STATIC = Path(__file__).parents[1] / "static"
PAGES = {
    "overview": "Overview", "charts": "Charts", "watchlist": "Watchlist", "signals": "Signals & scans",
    "trading": "Orders & positions", "risk": "Risk", "backtests": "Backtests", "data": "Data", "logs": "Logs",
    "settings": "Settings",
}  # fmt: skip
#: What others wrote, by its npm package; where `make setup` found no npm, the charts are our own drawings.
VENDOR = {
    "lightweight-charts.js": PROJECT_ROOT
    / "node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.mjs",
}
#: Asked for at once: a browser that finds imports one behind the other waits for each in turn.
_PRELOADED = "".join(
    f'<link rel="modulepreload" href="/static/{path.name}">'
    for path in sorted(STATIC.glob("*.js"))
    if path.stem != "app"
)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def shell(page: str, title: str, *, with_menu: bool = True) -> str:
    """The page around the content; no script stands in it, so that none can be put in it."""
    links = "".join(
        f'<a href="/{name}"{" aria-current=page" if name == page else ""}>{escape(text.split(" ")[0])}</a>'
        for name, text in PAGES.items()
    )
    menu = f'<nav aria-label="Pages">{links}</nav>' if with_menu else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · tradefleet</title>"
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/app.css">'
        f'{_PRELOADED}<script type="module" src="/static/app.js"></script></head><body data-page="{page}">'
        f'<a class="skip" href="#main">Skip to content</a><header><strong class="brand">tradefleet</strong>{menu}'
        '<span id="state"></span><span id="live" role="status">connecting…</span><span id="who"></span></header>'
        f'<main id="main" tabindex="-1"><h1>{escape(title)}</h1><p id="stale" role="alert" hidden></p>'
        '<p id="notice" role="alert" hidden></p>'
        '<div id="content"><p class="muted">Loading…</p></div></main>'
        "<noscript>The dashboard needs JavaScript; the same is in `fleet` and under /api.</noscript></body></html>"
    )


def _page(name: str) -> HTTPRouteHandler:
    @get(
        f"/{name}",
        role="public",
        media_type=MediaType.HTML,
        sync_to_thread=False,
        include_in_schema=False,
        name=name + "_page",
    )
    def page() -> str:
        return shell(name, PAGES[name])

    return page


@get("/", role="public", sync_to_thread=False, include_in_schema=False)
def home() -> Redirect:
    return Redirect("/overview")


@get(["/login", "/welcome"], role="public", media_type=MediaType.HTML, sync_to_thread=False, include_in_schema=False)
def login() -> str:
    return shell("login", "Log in", with_menu=False)


@get("/broker", role="public", media_type=MediaType.HTML, sync_to_thread=False, include_in_schema=False)
def broker() -> str:
    """Where the broker sends people back to."""
    return shell("broker", "Log in at the broker")


@get("/static/{name:str}", role="public", sync_to_thread=True, include_in_schema=False)
def static(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES} | VENDOR
    if name not in files or not files[name].exists():
        raise NotThere(f"no file {name!r}")
    return tagged(request, files[name].read_bytes(), _TYPES[Path(name).suffix])


HANDLERS = [*(_page(name) for name in PAGES), home, login, broker, static]
