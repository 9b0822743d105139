"""Deprecated routes: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) in every answer, and the mark in the description.

The rule is in docs/versioning.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler

from backend.clock import SHANGHAI

SHORTEST_NOTICE = timedelta(days=180)
"""The least time between the announcement and the end of a route."""
_OPTION = "deprecation_headers"

H = TypeVar("H", bound=HTTPRouteHandler)


def deprecated(*, since: date, sunset: date) -> Callable[[H], H]:
    """Mark a route as deprecated since a day, and as gone after another: stands above `@get(…)`.

    Days are those of Asia/Shanghai. Raises ValueError when clients get less than `SHORTEST_NOTICE`.
    """
    if sunset - since < SHORTEST_NOTICE:
        raise ValueError(f"a deprecated route answers for at least {SHORTEST_NOTICE.days} days")
    headers = {
        "Deprecation": f"@{int(_midnight(since).timestamp())}",
        "Sunset": format_datetime(_midnight(sunset).astimezone(UTC), usegmt=True),
    }
    described = [
        ResponseHeader(name="Deprecation", value=headers["Deprecation"], description="此接口自该时刻起不再推荐使用"),
        ResponseHeader(name="Sunset", value=headers["Sunset"], description="此接口在该时刻之后停止服务"),
    ]

    def mark(handler: H) -> H:
        handler.deprecated = True
        handler.response_headers = (*(handler.response_headers or ()), *described)
        handler.opt[_OPTION] = headers
        return handler

    return mark


def headers_of(handler: Any) -> dict[str, str]:
    """The headers that also the problem documents of a route carry; none for a route that is not deprecated."""
    options: dict[str, Any] = getattr(handler, "opt", {})
    found: dict[str, str] = options.get(_OPTION, {})
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
