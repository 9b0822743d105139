"""The ten kinds of domain error. Domains subclass them and name the class after what happened; no HTTP here.

Every class has a stable `code` for programs, derived from its name, and a Chinese `title` for the resident.
`api/problems.py` turns them into RFC 9457 documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

RESERVED = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id", "retryable"})

RETIRED_CODES: dict[str, str] = {}
"""Codes that a release answered and no class has any more, with that release: none of them is derived again."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with the input: where (a JSON pointer) and what (a Chinese sentence)."""

    pointer: str
    message: str


def kebab_case(name: str) -> str:
    """A class name as a code: SlotFull is slot-full."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


class DomainError(Exception):
    """An expected failure of a use case. `facts` go into the problem document beside the title."""

    code: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Derive the code from the name of the class."""
        super().__init_subclass__(**options)
        cls.code = kebab_case(cls.__name__)

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


class Malformed(DomainError):
    """The request cannot be read at all."""

    title = "请求格式有误"
    status = 400


class Unauthenticated(DomainError):
    """We do not know who is asking."""

    title = "请先登录"
    status = 401


class Refused(DomainError):
    """We know who is asking, and they may not."""

    title = "没有权限进行此操作"
    status = 403


class NotFound(DomainError):
    """There is no such thing, or it is not yours: the answer is the same."""

    title = "没有找到您要的内容"
    status = 404


class Conflict(DomainError):
    """It cannot be done in the present state."""

    title = "当前状态下不能进行此操作"
    status = 409


class TooLarge(DomainError):
    """The body is larger than we read."""

    title = "提交的内容过大"
    status = 413


class UnsupportedMediaType(DomainError):
    """The body is of a type that we do not read."""

    title = "不支持这种内容类型"
    status = 415


class Invalid(DomainError):
    """The request can be read but says something that cannot be; `fields` point to it."""

    title = "填写的内容有误，请检查后重试"
    status = 422


class TooMany(DomainError):
    """Asked too often; `retry_after` says in seconds when to come back."""

    title = "操作过于频繁，请稍后再试"
    status = 429
    retryable = True


class Unavailable(DomainError):
    """A dependency does not answer; nothing was changed, or a repetition under the same key shows what was."""

    title = "服务暂时不可用，请稍后再试"
    status = 503
    retryable = True


def catalogue() -> Iterator[type[DomainError]]:
    """Every domain error class that is loaded, sorted by its code."""
    found: list[type[DomainError]] = []
    queue: list[type[DomainError]] = [*DomainError.__subclasses__()]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return iter(sorted(found, key=lambda kind: (kind.code, kind.__qualname__)))


F = TypeVar("F", bound=Callable[..., Any])


def raises(*kinds: type[DomainError]) -> Callable[[F], F]:
    """Declare the domain errors that a use case raises; routes document what their use cases declare."""

    def declare(function: F) -> F:
        function.__dict__["raises"] = kinds
        return function

    return declare


def raised_by(function: Callable[..., Any]) -> tuple[type[DomainError], ...]:
    """The domain errors that the use case declares. Raises LookupError when it declares none."""
    try:
        kinds: tuple[type[DomainError], ...] = function.__dict__["raises"]
    except KeyError:
        raise LookupError(f"{function.__module__}.{function.__qualname__} declares no @raises") from None
    return kinds
