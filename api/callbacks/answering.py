"""What a payment channel hears when we did not take its notice: a status that makes it come again, in its own words."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from api import problems
from backend import database, payments
from backend.errors import Trouble
from backend.partners.paying.port import PayChannel
from backend.payments.errors import ChannelUnknown

LARGEST = 65_536
"""A notice is a few kilobytes."""


def served_first(app: ASGIApp) -> ASGIApp:
    """A layer around the door: partners wait five seconds and then count us as down, so residents leave them room."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with database.favoured():
            await app(scope, receive, send)

    return serve


class Failed(Struct):
    """WeChat's form of a refusal; the status counts, the words are for whoever reads the log there."""

    code: str
    message: str


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Names in lower case; a header that came twice is joined, so that whoever verifies it sees both."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in request.scope["headers"]:
        found[name.decode("latin-1").lower()].append(value.decode("latin-1"))
    return {name: ", ".join(values) for name, values in found.items()}


async def hear(request: Request[Any, Any, Any], channel: PayChannel | None) -> None:
    """Take the push. Raises ChannelUnknown when the channel is switched off, and what `payments.receive` raises."""
    if channel is None:
        raise ChannelUnknown
    await payments.receive(channel, headers_of(request), await request.body())


async def hear_old_form(request: Request[Any, Any, Any], channel: PayChannel | None) -> None:
    """The same for a push in the channel's older form."""
    if channel is None:
        raise ChannelUnknown
    await payments.receive_old_form(channel, await request.body())


def fail_as_json(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """`{"code": "FAIL", "message": …}` with the status of the trouble."""
    trouble = _noted(request, error)
    body = msgspec.json.encode(Failed("FAIL", trouble.title))
    return Response(body, status_code=trouble.status, media_type="application/json")


def fail_as_text(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """`fail` with the status of the trouble: anything but `success` is repeated."""
    return Response(b"fail", status_code=_noted(request, error).status, media_type="text/plain")


def _noted(request: Request[Any, Any, Any], error: Exception) -> Trouble:
    trouble = problems.trouble_of(error)
    problems.note(trouble, error, request.scope.get("path_template"))
    return trouble


def refusals(*kinds: type[Trouble]) -> dict[int, ResponseSpec]:
    """The refusals of a handler for its description, in the words of the channel."""
    grouped: dict[int, list[type[Trouble]]] = {}
    for kind in kinds:
        grouped.setdefault(kind.status, []).append(kind)
    return {
        status: ResponseSpec(
            Failed, description="；".join(f"`{kind.code}` {kind.title}" for kind in of), generate_examples=False
        )
        for status, of in grouped.items()
    }
