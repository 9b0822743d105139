"""What can go wrong with regions, departments and halls."""

from __future__ import annotations

from backend.errors import NotFound


class RegionUnknown(NotFound):
    """No region is, or was, known under this code."""

    code = "region-unknown"
    title = "没有找到这个地区"


class HallUnknown(NotFound):
    """There is no such hall."""

    code = "hall-unknown"
    title = "没有找到这个办事大厅"
