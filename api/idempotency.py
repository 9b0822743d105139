"""Creating requests of residents carry `Idempotency-Key`: repeated, they have one effect and one answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import HeaderParameter

from backend import database, idempotency
from backend.idempotency import Answer

IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="客户端生成的唯一标识（如 UUID），重复提交时保持不变；缺少时返回 400",
        required=False,
    ),
]

TRIES = 3


async def once(
    request: Request[Any, Any, Any],
    owner: UUID,
    key: str | None,
    work: Callable[[], Awaitable[Any]],
    *,
    status: int = 201,
) -> Response[bytes]:
    """Do the work once per key, in one transaction with the key and the answer.

    A repetition gets the same status and bytes with `Idempotency-Replayed: true`. Work that PostgreSQL asked us
    to try again (deadlock, lock timeout) is tried three times: the whole of it is one transaction.

    Raises what backend.idempotency.once raises, and what the work raises; then the key stays unused.
    """
    scope = f"resident:{owner} {request.method} {request.scope.get('path_template') or request.url.path}"
    content = request.url.path.encode() + b"\n" + await request.body()
    for attempt in range(1, TRIES + 1):
        try:
            return await _attempt(key, scope, content, work, status)
        except Exception as error:
            if attempt == TRIES or not database.is_contention(error):
                raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - jitter
    raise AssertionError("the last attempt returns or raises")


async def _attempt(
    key: str | None, scope: str, content: bytes, work: Callable[[], Awaitable[Any]], status: int
) -> Response[bytes]:
    async with database.transaction():
        answer = await idempotency.once(key, scope=scope, content=content)
        replayed = answer is not None
        if answer is None:
            body = msgspec.json.encode(await work(), enc_hook=str)
            answer = Answer(status, body, "application/json")
            await idempotency.remember(key or "", answer, scope=scope, content=content)
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=headers)
