"""The fast path for the hottest reads: from a known token straight to finished bytes.

What a framework does for a request (routing, guards, parameters, dependencies, a response object) costs more than such
a read itself. `FastPath` stands in front of the router. A resident whose token this process has checked before gets
the bytes at once, with the ETag of the ordinary way and, after an error the same problem document. Everything
else (a token seen for the first time, an ended session, no token, another spelling of the address) goes the ordinary
way, where the guard decides: nothing is allowed here that would not be allowed there. docs/performance.md has figures.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.auth import known_resident
from api.etag import PRIVATE, matches, strong
from backend.identity import AsResident

log = logging.getLogger(__name__)

Read = Callable[[AsResident, str], Awaitable[bytes]]
"""Takes the resident and the last part of the path; gives JSON or raises DomainError, as the route's handler does."""

_JSON = (b"content-type", b"application/json")
_CACHING = (b"cache-control", PRIVATE.encode())


class FastPath:
    """Wraps the Litestar application; `reads` names each route by its template, whose last part is the parameter."""

    def __init__(self, app: ASGIApp, reads: Mapping[str, Read]) -> None:
        self.app = app
        self._reads = {template.rpartition("/")[0]: (template, read) for template, read in reads.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once when the route has a fast path and the token is known."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "GET":
            prefix, _, last = scope["path"].rpartition("/")
            found = self._reads.get(prefix)
            if found is not None and last and (resident := known_resident(scope)) is not None:
                scope["path_template"], read = found
                await _answer(scope, send, read, resident, last)
                return
        await self.app(scope, receive, send)


async def _answer(scope: Any, send: Send, read: Read, resident: AsResident, last: str) -> None:
    try:
        body = await read(resident, last)
    except Exception as error:
        problem = problems.problem_of(error)
        problems.log_problem(problem, error, scope["path_template"])
        await _send(send, *problems.encoded(problem))
        return
    tag = strong(body)
    given = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if given and matches(b",".join(given).decode("latin-1"), tag):
        await _send(send, 304, [(b"etag", tag.encode()), _CACHING], b"")
        return
    await _send(send, 200, [_JSON, (b"etag", tag.encode()), _CACHING], body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if status != 304:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
