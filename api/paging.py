"""Lists come in pages: the items, and a cursor while there is more."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from litestar.params import QueryParameter
from msgspec import Struct

from backend.paging import LARGEST, SMALLEST

T = TypeVar("T")


class Page(Struct, Generic[T]):
    """One page of a list. `next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


Limit = Annotated[int, QueryParameter(ge=SMALLEST, le=LARGEST, description="每页条数")]
Cursor = Annotated[str | None, QueryParameter(max_length=400, required=False, description="上一页给出的 next_cursor")]
