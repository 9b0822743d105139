"""The kinds of trouble. Domains subclass them and name the class after what happened; no HTTP here.

Every class has a stable `code` for programs and a Chinese `title` for the resident. `api/problems.py` turns
them into RFC 9457 documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

RESERVED = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id", "retryable"})


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with the input: where (a JSON pointer) and what (a Chinese sentence)."""

    pointer: str
    message: str


class Trouble(Exception):
    """Something we expected might go wrong. `facts` go into the problem document beside the title."""

    code: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: Sequence[Fault] = (),
        retry_after: float | None = None,
        **facts: Any,
    ) -> None:
        if taken := RESERVED & facts.keys():
            raise ValueError(f"facts must not be called {taken}")
        super().__init__(detail or self.code)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after = retry_after
        self.facts = facts


class Malformed(Trouble):
    """The request cannot be read at all."""

    code = "malformed"
    title = "请求格式有误"
    status = 400


class Unauthenticated(Trouble):
    """We do not know who is asking."""

    code = "unauthenticated"
    title = "请先登录"
    status = 401


class Refused(Trouble):
    """We know who is asking, and they may not."""

    code = "refused"
    title = "没有权限进行此操作"
    status = 403


class NotFound(Trouble):
    """There is no such thing, or it is not yours: the answer is the same."""

    code = "not-found"
    title = "没有找到您要的内容"
    status = 404


class Conflict(Trouble):
    """It cannot be done in the present state."""

    code = "conflict"
    title = "当前状态下不能进行此操作"
    status = 409


class TooLarge(Trouble):
    """The body is larger than we read."""

    code = "too-large"
    title = "提交的内容过大"
    status = 413


class Unsupported(Trouble):
    """The body is of a type that we do not read."""

    code = "unsupported-media-type"
    title = "不支持这种内容类型"
    status = 415


class Invalid(Trouble):
    """The request can be read but says something that cannot be; `fields` point to it."""

    code = "invalid"
    title = "填写的内容有误，请检查后重试"
    status = 422


class TooMany(Trouble):
    """Asked too often; `retry_after` says in seconds when to come back."""

    code = "too-many"
    title = "操作过于频繁，请稍后再试"
    status = 429
    retryable = True


class Unavailable(Trouble):
    """Something that we need does not answer; nothing was changed, or the key of the request tells."""

    code = "unavailable"
    title = "服务暂时不可用，请稍后再试"
    status = 503
    retryable = True


def catalogue() -> Iterator[type[Trouble]]:
    """Every kind of trouble that the loaded code can raise, sorted by its code."""
    found: list[type[Trouble]] = []
    queue: list[type[Trouble]] = [*Trouble.__subclasses__()]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return iter(sorted(found, key=lambda kind: (kind.code, kind.__qualname__)))
