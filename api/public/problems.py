"""The one catalogue of problems: every code that any answer can carry."""

from __future__ import annotations

from litestar import Controller, get
from msgspec import Struct

from backend import errors


class ProblemKind(Struct):
    """One kind of problem: its stable code, the status it comes with, and what residents read."""

    code: str
    status: int
    title: str
    retryable: bool
    meaning: str


def kinds() -> list[ProblemKind]:
    """Every kind that can be answered, sorted by code."""
    return [
        ProblemKind(kind.code, kind.status, kind.title, kind.retryable, (kind.__doc__ or "").split("\n")[0])
        for kind in errors.catalogue()
    ]


class ProblemController(Controller):
    """`GET /v1/public/problems`."""

    path = "/problems"
    tags = ["公共"]

    @get(summary="错误目录：所有错误代码及其含义", operation_id="listProblems", sync_to_thread=False)
    def list_problems(self) -> list[ProblemKind]:
        return kinds()
