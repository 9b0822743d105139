"""Regions, departments and halls: codes that are checked, names that are looked up."""

from __future__ import annotations

from backend.regions.browsing import (
    DepartmentDetail,
    HallDetail,
    Hours,
    RegionDetail,
    get_hall,
    get_halls,
    get_lineage,
    list_departments,
    list_halls,
    list_regions,
)
from backend.regions.codes import check_uscc

__all__ = [
    "DepartmentDetail",
    "HallDetail",
    "Hours",
    "RegionDetail",
    "check_uscc",
    "get_hall",
    "get_halls",
    "get_lineage",
    "list_departments",
    "list_halls",
    "list_regions",
]
