"""What can go wrong with regions, departments and halls."""

from __future__ import annotations

from backend.errors import NotFound


class RegionNotFound(NotFound):
    """No region is, or was, known under this code."""

    title = "没有找到这个地区"


class HallNotFound(NotFound):
    """There is no such hall."""

    title = "没有找到这个办事大厅"
