"""The stores' lists."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from libs.core.errors import Refused
from services.api.context import Context
from services.api.reading import ADMIN_VIEWS, VIEWS, Rows, Wanted, read

Text = Annotated[str | None, Parameter(max_length=200)]
Moment = Annotated[int | None, Parameter(ge=0, le=2**53)]
Limit = Annotated[int, Parameter(ge=1, le=1000)]


def _make(name: str) -> HTTPRouteHandler:
    view, role = VIEWS[name], "admin" if name in ADMIN_VIEWS else "viewer"
    path = "/api/" + name.replace("_", "-")

    @get(path, role=role, sync_to_thread=True, name=name, operation_id=f"list_{name}")
    def rows(
        context: Context, filter_by: Text = None, equals: Text = None, from_us: Moment = None, to_us: Moment = None,
        limit: Limit = 100, offset: Annotated[int, Parameter(ge=0, le=10_000_000)] = 0,
    ) -> Rows:  # fmt: skip
        if (filter_by is None) != (equals is None):
            raise Refused("filter_by and equals go together, e.g. filter_by=symbol&equals=RELIANCE")
        filters = {filter_by: equals} if filter_by is not None and equals is not None else {}
        bounded = min(limit, context.settings.api.rows_max)
        return read(context.db, view, Wanted(filters, from_us, to_us, bounded, offset))

    return rows


HANDLERS = [_make(name) for name in VIEWS]
