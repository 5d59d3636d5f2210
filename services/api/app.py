"""The application: routes, who may use them, errors in one shape, headers that keep strangers' scripts out."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from libs.core.version import CODE_VERSION
from services.api.context import Context
from services.api.errors import HEADERS, on_error
from services.api.guards import Authentication, guard
from services.api.routes import actions, broker, lists, live, logins, market, pages, risk, runs, system

HANDLERS = [
    *system.HANDLERS, *lists.HANDLERS, *market.HANDLERS, *runs.HANDLERS, *risk.HANDLERS, *broker.HANDLERS,
    *logins.HANDLERS, *actions.HANDLERS, *live.HANDLERS, *pages.HANDLERS,
]  # fmt: skip


def make_app(context: Context) -> Litestar:
    """Put the application together; opens nothing."""
    app = Litestar(
        HANDLERS,
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        guards=[guard],
        middleware=[DefineMiddleware(Authentication)],
        exception_handlers={Exception: on_error},
        response_headers=HEADERS,
        openapi_config=OpenAPIConfig(
            title="tradefleet", version=CODE_VERSION, use_handler_docstrings=True,
            openapi_router=Router("/schema", route_handlers=[], opt={"role": "local"}),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        ),
        request_max_body_size=1_000_000,
        logging_config=None,
    )  # fmt: skip
    app.state.context = context
    return app
