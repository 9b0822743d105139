"""Service items: one code each, versions that are published whole or not at all, and a search that finds them."""

from __future__ import annotations

from backend.catalogue.browsing import Facets, PublishedItem, get_published_item, list_facets, search_items
from backend.catalogue.charges import PublishedCharge, list_charges
from backend.catalogue.codes import parse_item_code
from backend.catalogue.drafting import Content, ItemSpec, begin_item, begin_version, check_version, edit_version
from backend.catalogue.finding import FoundItems, Match
from backend.catalogue.guide import WORDS, Delivery, Guide, Short, Subject
from backend.catalogue.indexing import Card
from backend.catalogue.publishing import publish_version, withdraw_version
from backend.catalogue.seeding import seed_catalogue
from backend.catalogue.seeding import seed_catalogue as seed
from backend.catalogue.staff_views import (
    StaffItemSummary,
    VersionDetail,
    VersionSummary,
    get_version_detail,
    list_own_items,
    list_versions,
    version_detail,
)

__all__ = [
    "WORDS",
    "Card",
    "Content",
    "Delivery",
    "Facets",
    "FoundItems",
    "Guide",
    "ItemSpec",
    "Match",
    "PublishedCharge",
    "PublishedItem",
    "Short",
    "StaffItemSummary",
    "Subject",
    "VersionDetail",
    "VersionSummary",
    "begin_item",
    "begin_version",
    "check_version",
    "edit_version",
    "get_published_item",
    "get_version_detail",
    "list_charges",
    "list_facets",
    "list_own_items",
    "list_versions",
    "parse_item_code",
    "publish_version",
    "search_items",
    "seed",
    "seed_catalogue",
    "version_detail",
    "withdraw_version",
]
