"""What the public reads: lists of published items, and the guide that is in force."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from backend import regions
from backend.catalogue.errors import ItemNotFound
from backend.catalogue.finding import Filters, FoundItems, find_items
from backend.catalogue.guide import Guide
from backend.catalogue.indexing import Card
from backend.database import fetch, fetch_row
from backend.errors import raises
from backend.paging import USUAL, CursorInvalid
from backend.regions.errors import RegionNotFound

_GUIDE = """
SELECT e.card::text AS card, v.number, v.published_at, v.guide::text AS guide
FROM catalogue_entries e JOIN item_versions v ON v.id = e.version_id WHERE e.code = $1
"""


_FACETS = """
WITH here AS (SELECT domain, themes, subjects FROM catalogue_entries WHERE $1::text[] IS NULL OR region_code = ANY($1))
SELECT 'domains' AS facet, domain AS value, count(*) FROM here GROUP BY domain
UNION ALL SELECT 'themes', theme, count(*) FROM here, unnest(themes) AS theme GROUP BY theme
UNION ALL SELECT 'subjects', subject, count(*) FROM here, unnest(subjects) AS subject GROUP BY subject
ORDER BY facet, count DESC, value
"""


class Facet(Struct, frozen=True, kw_only=True):
    """A value that a list may be narrowed to, and how many items there are of it."""

    value: str
    count: int


class Facets(Struct, frozen=True, kw_only=True):
    """What the menus of a page are made of; most items first."""

    domains: list[Facet]
    themes: list[Facet]
    subjects: list[Facet]


class PublishedItem(Struct, frozen=True, kw_only=True):
    """An item as it is in force: its row in the lists, its guide, and the halls where it can be done."""

    item: Card
    version: int
    published_at: datetime
    guide: Guide
    halls: list[regions.HallDetail]


@raises(RegionNotFound, CursorInvalid)
async def search_items(
    query: str = "",
    *,
    region: str | None = None,
    department_id: UUID | None = None,
    domain: str | None = None,
    theme: str | None = None,
    subject: str | None = None,
    limit: int = USUAL,
    cursor: str | None = None,
) -> FoundItems:
    """One page of what people in the region can ask for: items of the region and of the regions around it."""
    filters = Filters(
        region_codes=await regions.get_lineage(region) if region else (),
        department_id=department_id,
        domain=domain,
        theme=theme,
        subject=subject,
    )
    return await find_items(query, filters=filters, limit=limit, cursor=cursor)


@raises(ItemNotFound)
async def get_published_item(code: str) -> PublishedItem:
    """The guide in force. Raises ItemNotFound when the item is not published, or there is none."""
    row = await fetch_row(_GUIDE, code.upper())
    if row is None:
        raise ItemNotFound
    guide = msgspec.json.decode(row["guide"], type=Guide)
    return PublishedItem(
        item=msgspec.json.decode(row["card"], type=Card),
        version=row["number"],
        published_at=row["published_at"],
        guide=guide,
        halls=await regions.get_halls(guide.hall_ids),
    )


@raises(RegionNotFound)
async def list_facets(region: str | None = None) -> Facets:
    """Domains, themes and subjects of what people in the region can ask for."""
    codes = list(await regions.get_lineage(region)) if region else None
    found: dict[str, list[Facet]] = {"domains": [], "themes": [], "subjects": []}
    for row in await fetch(_FACETS, codes):
        found[row["facet"]].append(Facet(value=row["value"], count=row["count"]))
    return Facets(**found)
