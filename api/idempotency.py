"""Creating requests carry `Idempotency-Key`: repeated, they have one effect and one answer."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import FromHeader, HeaderParameter

from backend import database, idempotency
from backend.idempotency import Answer, IdempotencyKeyInFlight, IdempotencyKeyMissing, IdempotencyKeyReused

IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="客户端生成的唯一标识（如 UUID），重复提交时保持不变；缺少时返回 400",
        required=False,
    ),
]
IDEMPOTENCY_ERRORS = (IdempotencyKeyMissing, IdempotencyKeyInFlight, IdempotencyKeyReused)
"""What every idempotent route may answer, for its OpenAPI."""
_KeyParameter = FromHeader[IdempotencyKeyHeader]

T = TypeVar("T")
Handler = Callable[..., Awaitable[T]]
Around = Callable[[dict[str, Any]], AbstractAsyncContextManager[Any]]
TRIES = 3


def idempotent(around: Around = lambda _: nullcontext()) -> Callable[[Handler[T]], Handler[Response[T]]]:
    """Run a handler once per caller, route and `Idempotency-Key`, in one transaction with the key and the answer.

    A repetition gets the same status and bytes with `Idempotency-Replayed: true`. The handler names its caller
    `resident` or `staff`. `around` is entered with the handler's arguments outside of the transaction: for limits, and
    for queues that must not hold a connection.

    The route raises IdempotencyKeyMissing, IdempotencyKeyInFlight, IdempotencyKeyReused, and what the handler raises;
    then the key stays unused.
    """

    def decorate(handler: Handler[T]) -> Handler[Response[T]]:
        signature = inspect.signature(handler)
        passed = [name for name in ("request", "idempotency_key") if name in signature.parameters]

        @wraps(handler)
        async def run(self: Any, **arguments: Any) -> Response[T]:
            request, key = arguments["request"], arguments["idempotency_key"]
            given = {name: value for name, value in arguments.items() if name in signature.parameters}
            caller = arguments.get("resident") or arguments["staff"]

            async def work() -> T:
                return await handler(self, **given)

            async with around(arguments):
                return await once(request, caller.id, key, work, status=request.route_handler.status_code)

        added: dict[str, Any] = {"request": Request[Any, Any, Any], "idempotency_key": _KeyParameter}
        hints = get_type_hints(handler, include_extras=True)
        returned: Any = hints["return"]
        parameters = [each for each in signature.parameters.values() if each.name not in passed]
        parameters += [
            inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=added["request"]),
            inspect.Parameter(
                "idempotency_key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=added["idempotency_key"]
            ),
        ]
        # Litestar reads the wrapper's own signature: the handler's parameters, and the two that the wrapper needs.
        run.__dict__["__signature__"] = signature.replace(parameters=parameters, return_annotation=Response[returned])
        run.__annotations__ = {**hints, **added, "return": Response[returned]}
        return run

    return decorate


async def once(
    request: Request[Any, Any, Any],
    owner: UUID,
    key: str | None,
    work: Callable[[], Awaitable[Any]],
    *,
    status: int = 201,
) -> Response[Any]:
    """Do the work once per key, in one transaction with the key and the answer.

    Work that PostgreSQL wants to be tried again (deadlock, lock timeout) is tried three times: the whole of it is one
    transaction. Raises what backend.idempotency.once raises, and what the work raises; then the key stays unused.
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
) -> Response[Any]:
    async with database.transaction():
        answer = await idempotency.once(key, scope=scope, content=content)
        replayed = answer is not None
        if answer is None:
            body = msgspec.json.encode(await work(), enc_hook=str)
            answer = Answer(status, body, "application/json")
            await idempotency.remember(key or "", answer, scope=scope, content=content)
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=headers)
