"""What a department sees of its own items: all of them, every version, drafts included."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from backend.catalogue.drafting import Content, content_of, get_own_item, get_version
from backend.catalogue.errors import ItemNotFound, ItemVersionNotFound
from backend.database import fetch, row_as
from backend.errors import raises
from backend.identity import AsStaff
from backend.paging import USUAL, CursorInvalid, paged
from models.catalogue import ItemVersion, VersionState


class StaffItemSummary(Struct, frozen=True, kw_only=True):
    """An item in the department's list. `name` is that of the latest version, in any state."""

    code: str
    kind: str
    name: str
    latest: int
    latest_state: str
    published: int | None


class VersionSummary(Struct, frozen=True, kw_only=True):
    """A version in the history of an item."""

    number: int
    state: VersionState
    revision: int
    based_on: int | None
    name: str
    published_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_because: str


class VersionDetail(Struct, frozen=True, kw_only=True):
    """A version whole. `revision` must be given back when the draft is saved or published."""

    code: str
    number: int
    state: VersionState
    revision: int
    based_on: int | None
    content: Content


_OWN = """
SELECT i.code, i.kind, l.name, l.number AS latest, l.state AS latest_state, p.number AS published
FROM service_items i
JOIN LATERAL (SELECT name, number, state FROM item_versions WHERE item_id = i.id ORDER BY number DESC LIMIT 1) l ON TRUE
LEFT JOIN item_versions p ON p.item_id = i.id AND p.state = 'published'
WHERE i.department_id = $1 AND ($2::text IS NULL OR i.code > $2)
ORDER BY i.code LIMIT $3
"""

_VERSIONS = """
SELECT v.number, v.state, v.revision, v.based_on, v.name, v.published_at, v.withdrawn_at, v.withdrawn_because
FROM item_versions v JOIN service_items i ON i.id = v.item_id
WHERE i.code = $1 AND i.department_id = $2 ORDER BY v.number DESC
"""


@raises(CursorInvalid)
async def list_own_items(
    staff: AsStaff, *, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[StaffItemSummary], str | None]:
    """One page of the department's items, by code."""
    purpose = f"own items {staff.department_id}"
    return await paged(
        _OWN, staff.department_id,
        by={"code": str}, make=lambda row: row_as(StaffItemSummary, row), purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(ItemNotFound)
async def list_versions(staff: AsStaff, code: str) -> list[VersionSummary]:
    """Every version of the item, the newest first. Raises ItemNotFound when it is not the department's."""
    rows = await fetch(_VERSIONS, code.upper(), staff.department_id)
    if not rows:
        raise ItemNotFound
    return [VersionSummary(**{**row, "state": VersionState(row["state"])}) for row in rows]


@raises(ItemNotFound, ItemVersionNotFound)
async def get_version_detail(staff: AsStaff, code: str, number: int) -> VersionDetail:
    """One version whole."""
    item = await get_own_item(staff, code)
    return version_detail(item.code, await get_version(item, number))


def version_detail(code: str, stored: ItemVersion) -> VersionDetail:
    """A stored version as its department sees it."""
    return VersionDetail(
        code=code,
        number=stored.number,
        state=stored.state,
        revision=stored.revision,
        based_on=stored.based_on,
        content=content_of(stored),
    )
