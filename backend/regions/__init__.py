"""Regions, departments and halls: codes that are checked, names that are looked up."""

from __future__ import annotations

from backend.regions.browsing import (
    DepartmentSeen,
    HallSeen,
    Hours,
    RegionSeen,
    departments,
    hall,
    halls,
    halls_of,
    lineage,
    regions,
)

__all__ = [
    "DepartmentSeen",
    "HallSeen",
    "Hours",
    "RegionSeen",
    "departments",
    "hall",
    "halls",
    "halls_of",
    "lineage",
    "regions",
]
