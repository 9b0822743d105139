"""Regions, departments and halls: codes that are checked, names that are looked up."""

from __future__ import annotations
