"""DomainError becomes RFC 9457 `application/problem+json`, in one place.

Every document has `type, title, status, code, request_id, retryable`; faults in the input come as `errors` with a
JSON pointer and a Chinese sentence each. Internals never get out: what we did not expect is `internal`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from tortoise.exceptions import BaseORMException

from api import deprecation
from backend import database, errors, logs
from backend.errors import DomainError, Fault, Invalid, Malformed

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "/v1/public/problems#"


class RouteNotFound(errors.NotFound):
    """Nothing lives at this address."""

    title = "没有这个地址"


class MethodNotAllowed(DomainError):
    """The address exists, but not for this method."""

    title = "不支持这种请求方式"
    status = 405


class Internal(DomainError):
    """Our own mistake; the log knows more under the request id."""

    title = "服务出现问题，我们会尽快处理"
    status = 500


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The problem document as the OpenAPI shows it; facts of one kind of error may stand beside these fields."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    retryable: bool = False
    detail: str | None = None
    errors: list[Fault] = []


_BY_STATUS: dict[int, type[DomainError]] = {
    400: Malformed,
    401: errors.Unauthenticated,
    403: errors.Refused,
    404: RouteNotFound,
    405: MethodNotAllowed,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    422: Invalid,
    429: errors.TooMany,
    503: errors.Unavailable,
}


def document(problem: DomainError) -> dict[str, Any]:
    """The problem document of a domain error."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "request_id": logs.request_id.get(),
        "retryable": problem.retryable,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.fields:
        body["errors"] = problem.fields
    return {**problem.facts, **body}


def encoded(problem: DomainError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the answer to a domain error."""
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(problem.retry_after))).encode()))
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="zhangban"'))
    return problem.status, headers, msgspec.json.encode(document(problem), enc_hook=str)


def problem_of(error: Exception) -> DomainError:
    """The domain error that an exception amounts to."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, ValidationException):
        return _from_parameters(error)
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, Internal)()
    if isinstance(error, (BaseORMException, *database.BROKEN)):
        if database.is_contention(error):
            return database.DatabaseBusy(retry_after=1)
        if database.is_down(error):
            return database.DatabaseDown(retry_after=2)
        if isinstance(error, asyncpg.DataError) or isinstance(error.__cause__, asyncpg.DataError):
            return Invalid("数值超出允许范围")
    return Internal()


def log_problem(problem: DomainError, error: Exception, route: str | None) -> None:
    """Write into the log what an operator should know of: our own mistakes, and what is out of order."""
    if isinstance(problem, Internal) and not isinstance(error, Internal):
        log.error("unexpected error", exc_info=error, extra={"event": "request.unexpected-error", "route": route})
    elif problem.status == 503:
        facts = {"code": problem.code, "reason": repr(error.__cause__ or error)}
        log.warning("request refused: a dependency failed", extra={"event": "request.unavailable", **facts})


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    problem = problem_of(error)
    log_problem(problem, error, request.scope.get("path_template"))
    status, headers, body = encoded(problem)
    named = {name.decode(): value.decode() for name, value in headers if name != b"content-type"}
    named |= deprecation.headers_of(request.scope.get("route_handler"))
    return Response(body, status_code=status, headers=named, media_type=MEDIA_TYPE)


_PATH = re.compile(r" - at `(?:\$|key in )?([^`]*)`$")
_WORDS = (
    (re.compile(r"missing required field `(\w+)`"), "缺少必填项 {0}"),
    (re.compile(r"contains unknown field `([^`]+)`"), "不认识的字段 {0}"),
    (re.compile(r"Expected `([^`]+)`, got `([^`]+)`"), "类型不对，应为 {0}"),
    (re.compile(r"length <= (\d+)"), "长度不能超过 {0}"),
    (re.compile(r"length >= (\d+)"), "长度不能少于 {0}"),
    (re.compile(r"`(?:int|float)` (>=?) (-?[\d.]+)"), "数值不能小于 {1}"),
    (re.compile(r"`(?:int|float)` (<=?) (-?[\d.]+)"), "数值不能大于 {1}"),
    (re.compile(r"matching regex"), "格式不符合要求"),
    (re.compile(r"Invalid (?:RFC3339|datetime|date|time)"), "日期或时间的格式不对"),
    (re.compile(r"Invalid UUID"), "标识的格式不对"),
    (re.compile(r"Invalid enum value"), "不是允许的取值"),
    (re.compile(r"out of range"), "数值超出允许范围"),
)


def _in_chinese(message: str) -> str:
    for pattern, words in _WORDS:
        if found := pattern.search(message):
            return words.format(*found.groups())
    return "内容不符合要求"


def invalid_body(error: msgspec.ValidationError) -> Invalid:
    """What msgspec says of a body, as a pointer and a Chinese sentence."""
    text = str(error)
    path = _PATH.search(text)
    steps = re.findall(r"[^.\[\]]+", path.group(1)) if path else []
    named = re.search(r"field `([^`]+)`", text)
    pointer = "".join(f"/{step}" for step in [*steps, *([named.group(1)] if named else [])])
    return Invalid(fields=[Fault(pointer, _in_chinese(text))])


_MISSING = re.compile(r"Missing required (\w+) parameter '([^']+)'")


def _from_parameters(error: ValidationException) -> DomainError:
    listed = [each for each in error.extra or [] if isinstance(each, Mapping)]
    if any(each.get("source") == "path" for each in listed):
        return errors.NotFound()
    faults = [
        Fault(
            f"/{getattr(source := each.get('source', 'query'), 'value', source)}/{each.get('key', '')}",
            _in_chinese(str(each.get("message"))),
        )
        for each in listed
    ]
    if missing := _MISSING.match(error.detail):
        faults.append(Fault(f"/{missing[1]}/{missing[2]}", f"缺少必填项 {missing[2]}"))
    return Invalid(fields=faults) if faults else Malformed()


def answers(*sources: type[DomainError] | Callable[..., Any]) -> dict[int, ResponseSpec]:
    """The problem responses of a handler, for its OpenAPI: `responses=answers(appointments.book, KeyMissing)`.

    A use case stands for the errors that it declares by `@raises`.
    """
    kinds: dict[type[DomainError], None] = {}
    for source in sources:
        declared = (source,) if isinstance(source, type) else errors.raised_by(source)
        kinds.update(dict.fromkeys(declared))
    grouped: dict[int, list[type[DomainError]]] = {}
    for kind in kinds:
        grouped.setdefault(kind.status, []).append(kind)
    return {
        status: ResponseSpec(
            Problem,
            description="；".join(f"`{kind.code}` {kind.title}" for kind in of),
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status, of in grouped.items()
    }
