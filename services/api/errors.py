"""Errors in one shape: `{"error": {"status", "kind", "message"}}`, whatever went wrong."""

from __future__ import annotations

import traceback
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from libs.core.errors import Corrupt, FleetError, OutcomeUnknown, Refused, RetryLater
from libs.dbaccess import StoreMissing, UnsafeName
from libs.runtime.logs import get_logger
from services.api.access import LockedOut, LoginRefused
from services.api.changes import NotThere
from services.api.requests import request_id_of

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

#: The first that fits: what was raised, the status, the word a program goes by.
_KINDS: tuple[tuple[type[Exception], int, str], ...] = (
    (LoginRefused, 401, "login_refused"),
    (LockedOut, 429, "locked_out"),
    (NotThere, 404, "not_found"),
    (StoreMissing, 404, "store_missing"),
    (UnsafeName, 400, "invalid"),
    (Refused, 409, "refused"),
    (RetryLater, 503, "retry_later"),
    (OutcomeUnknown, 504, "outcome_unknown"),
    (Corrupt, 503, "corrupt"),
)
_HTTP_KINDS = {400: "invalid", 401: "not_logged_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
               413: "too_large"}  # fmt: skip


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Turn what was raised into an answer; what nobody expected is logged and not told."""
    headers = dict(HEADERS)
    if isinstance(error, HTTPException):
        status, message = error.status_code, _told(error)
        kind = _HTTP_KINDS.get(status, "invalid" if status < 500 else "failed")
        headers |= dict(error.headers or {})
    elif isinstance(error, FleetError):
        status, kind = _known(error)
        message = str(error)
    else:
        get_logger().error(
            "api.failed", path=request.url.path, error=f"{type(error).__name__}: {error}", where=_where(error)
        )
        status, kind = 500, "failed"
        message = f"request {request_id_of(request)} failed in the api; its log says how (`fleet logs api`)"
    if status in {429, 503}:
        headers["Retry-After"] = "5"
    body = {"error": {"status": status, "kind": kind, "message": message}}
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)


def _told(error: HTTPException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [f"{each.get('key', '')}: {each.get('message', '')}" for each in extra if isinstance(each, dict)]
    return "; ".join([error.detail, *found]) if found else error.detail


def _known(error: FleetError) -> tuple[int, str]:
    for kind, status, word in _KINDS:
        if isinstance(error, kind):
            return status, word
    return 503, "failed"


def _where(error: Exception) -> list[str]:
    """Say which lines it came through, without their variables: those hold cookies and passwords."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
