"""A version comes into force, and goes out of it again. At most one of an item is in force at any moment."""

from __future__ import annotations

from backend import clock
from backend.catalogue.drafting import content_of, get_own_item, get_version, list_faults, require_revision
from backend.catalogue.errors import (
    GuideInvalid,
    ItemDraftEditConflict,
    ItemDraftSuperseded,
    ItemNotFound,
    ItemVersionNotFound,
    ItemVersionTransitionRefused,
)
from backend.catalogue.events import ItemPublished, ItemWithdrawn
from backend.catalogue.indexing import index_item, unindex_item
from backend.catalogue.lifecycle import ITEM_VERSIONS, VersionTransition
from backend.database import transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from models.catalogue import ItemVersion, VersionState

PUBLISH = "catalogue.publish"


@raises(
    DutyMissing,
    ItemNotFound,
    ItemVersionNotFound,
    ItemVersionTransitionRefused,
    ItemDraftEditConflict,
    ItemDraftSuperseded,
    GuideInvalid,
)
async def publish_version(staff: AsStaff, code: str, number: int, *, revision: int) -> ItemVersion:
    """Put the draft in force, in the place of the version it was based on.

    Raises DutyMissing, ItemNotFound, ItemVersionNotFound; ItemVersionTransitionRefused for anything but a draft;
    ItemDraftEditConflict when it is no longer the revision that was read; GuideInvalid with a pointer to each fault;
    ItemDraftSuperseded when another version came into force since the draft was begun.
    """
    staff.require(PUBLISH)
    async with transaction():
        item = await get_own_item(staff, code, lock=True)
        version = await get_version(item, number)
        state = ITEM_VERSIONS.after(version.state, VersionTransition.PUBLISH)
        require_revision(version, revision)
        if faults := await list_faults(version):
            raise GuideInvalid(fields=faults)
        current = await ItemVersion.get_or_none(item_id=item.id, state=VersionState.PUBLISHED)
        replaced = current.number if current else None
        if replaced != version.based_on:
            raise ItemDraftSuperseded(published=replaced, based_on=version.based_on)
        if current is not None:
            await _withdraw(current, f"由第 {number} 版代替")
        version.state, version.published_at, version.published_by = state, clock.now(), staff.id
        await version.save(update_fields=["state", "published_at", "published_by"])
        await index_item(item, version, content_of(version).guide)
        await record(ItemPublished(item_id=item.id, code=item.code, number=number, replaced=replaced))
    return version


@raises(DutyMissing, ItemNotFound, ItemVersionNotFound, ItemVersionTransitionRefused)
async def withdraw_version(staff: AsStaff, code: str, number: int, *, because: str) -> ItemVersion:
    """Take the version out of force; the item disappears from the public pages until another is published.

    Raises DutyMissing, ItemNotFound, ItemVersionNotFound, and ItemVersionTransitionRefused unless it is in force.
    """
    staff.require(PUBLISH)
    async with transaction():
        item = await get_own_item(staff, code, lock=True)
        version = await get_version(item, number)
        await _withdraw(version, because)
        await unindex_item(item.id)
        await record(ItemWithdrawn(item_id=item.id, code=item.code, number=number))
    return version


async def _withdraw(version: ItemVersion, because: str) -> None:
    version.state = ITEM_VERSIONS.after(version.state, VersionTransition.WITHDRAW)
    version.withdrawn_at, version.withdrawn_because = clock.now(), because
    await version.save(update_fields=["state", "withdrawn_at", "withdrawn_because"])
