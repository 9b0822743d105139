"""Service items: one code each, versions that are published whole or not at all, and a search that finds them."""

from __future__ import annotations

from backend.catalogue.browsing import Facets, PublishedItem, facets, guide_of, search
from backend.catalogue.drafting import Content, ItemSpec, begin_item, begin_version, check, edit
from backend.catalogue.finding import Found, Match
from backend.catalogue.guide import WORDS, Guide
from backend.catalogue.indexing import Card
from backend.catalogue.publishing import publish, withdraw
from backend.catalogue.reviewing import (
    OwnItem,
    VersionLine,
    VersionSeen,
    items_of,
    seen,
    version,
    versions_of,
)
from backend.catalogue.seeding import seed_catalogue
from backend.catalogue.seeding import seed_catalogue as seed

__all__ = [
    "WORDS",
    "Card",
    "Content",
    "Facets",
    "Found",
    "Guide",
    "ItemSpec",
    "Match",
    "OwnItem",
    "PublishedItem",
    "VersionLine",
    "VersionSeen",
    "begin_item",
    "begin_version",
    "check",
    "edit",
    "facets",
    "guide_of",
    "items_of",
    "publish",
    "search",
    "seed",
    "seed_catalogue",
    "seen",
    "version",
    "versions_of",
    "withdraw",
]
