"""Receiving a payment channel's push; after an error the channel gets a status that makes it repeat the push."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.types import ASGIApp, Receive, Scope, Send

from api import problems
from backend import database, payments
from backend.partners.base import join_headers
from backend.partners.paying.port import PayChannel
from backend.payments.errors import PaymentChannelInvalid

LARGEST = 65_536
"""A notice is a few kilobytes."""


def served_first(app: ASGIApp) -> ASGIApp:
    """A layer around the door: partners wait five seconds and then count us as down, so they have priority."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with database.priority():
            await app(scope, receive, send)

    return serve


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The headers as `join_headers` gives them."""
    return join_headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"])


async def ingest_push(request: Request[Any, Any, Any], channel: PayChannel | None) -> None:
    """Ingest the push. Raises PaymentChannelInvalid when the channel is switched off, and what `payments.ingest_notice`
    raises."""
    if channel is None:
        raise PaymentChannelInvalid
    await payments.ingest_notice(channel, headers_of(request), await request.body())


async def ingest_v2_push(request: Request[Any, Any, Any], channel: PayChannel | None) -> None:
    """The same for a push in the channel's older form."""
    if channel is None:
        raise PaymentChannelInvalid
    await payments.ingest_v2_notice(channel, await request.body())


def fail(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The usual problem document in WeChat Pay's words: `code` is FAIL, `message` is the title."""
    problem = problems.problem_of(error)
    problems.log_problem(problem, error, request.scope.get("path_template"))
    status, headers, _ = problems.encoded(problem)
    body = {**problems.document(problem), "code": "FAIL", "message": problem.title}
    named = {name.decode(): value.decode() for name, value in headers if name != b"content-type"}
    return Response(
        msgspec.json.encode(body, enc_hook=str), status_code=status, headers=named, media_type=problems.MEDIA_TYPE
    )
