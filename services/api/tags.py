"""Entity tags: what has not changed is not sent again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from litestar import Request, Response


def tagged(
    request: Request[Any, Any, Any], body: bytes, media_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Response[bytes]:  # fmt: skip
    """Give a body with its tag, or 304 to who has it already. It must be asked for again each time."""
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    all_headers = {"Cache-Control": "private, no-cache", "ETag": tag, **(headers or {})}
    given = request.headers.get("if-none-match", "")
    if tag in (each.strip().removeprefix("W/") for each in given.split(",")):
        return Response(b"", status_code=304, headers=all_headers, media_type=media_type)
    return Response(body, headers=all_headers, media_type=media_type)
