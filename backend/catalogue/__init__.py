"""Service items: one code each, versions that are published whole or not at all, and a search that finds them."""

from __future__ import annotations

from backend.catalogue.seeding import seed_catalogue
from backend.catalogue.seeding import seed_catalogue as seed

__all__ = ["seed", "seed_catalogue"]
