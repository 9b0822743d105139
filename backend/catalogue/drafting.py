"""How a department writes a version of its own items: nothing here is public before it is published."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
from msgspec import UNSET, Struct, UnsetType
from tortoise.exceptions import IntegrityError

from backend.catalogue import codes
from backend.catalogue.errors import (
    ItemCodeInvalid,
    ItemDraftEditConflict,
    ItemExists,
    ItemNotFound,
    ItemVersionNotFound,
    ItemVersionTransitionRefused,
)
from backend.catalogue.events import ItemDrafted, ItemEdited
from backend.catalogue.guide import Guide, Short
from backend.catalogue.lifecycle import ITEM_VERSIONS, VersionTransition
from backend.catalogue.linting import lint
from backend.database import transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.regions import get_halls
from models.catalogue import ItemKind, ItemVersion, ServiceItem, VersionState
from models.regions import Department

EDIT = "catalogue.edit"


class Content(Struct, frozen=True, kw_only=True):
    """What a version says."""

    name: Short
    themes: tuple[Short, ...] = ()
    keywords: tuple[Short, ...] = ()
    guide: Guide


class ItemSpec(Struct, frozen=True, kw_only=True):
    """What makes a new item; the department is that of the member of staff."""

    basic_code: str
    level: str
    kind: ItemKind
    handling: str = ""


async def get_own_item(staff: AsStaff, code: str, *, lock: bool = False) -> ServiceItem:
    """The item, if it is of their department. Raises ItemNotFound otherwise; `lock` makes other writers wait."""
    scope = ServiceItem.filter(code=code.upper(), department_id=staff.department_id)
    item = await (scope.select_for_update() if lock else scope).get_or_none()
    if item is None:
        raise ItemNotFound
    return item


async def get_version(item: ServiceItem, number: int) -> ItemVersion:
    """The version of that number. Raises ItemVersionNotFound."""
    version = await ItemVersion.get_or_none(item_id=item.id, number=number)
    if version is None:
        raise ItemVersionNotFound
    return version


async def published_number(item: ServiceItem) -> int | None:
    """The number of the version in force, if one is."""
    version = await ItemVersion.get_or_none(item_id=item.id, state=VersionState.PUBLISHED)
    return version.number if version else None


@raises(DutyMissing, ItemCodeInvalid, ItemExists)
async def begin_item(staff: AsStaff, spec: ItemSpec, content: Content) -> tuple[str, ItemVersion]:
    """The code of a new item of the department, made of USCC, level and basic code; and its first draft.

    Raises DutyMissing, ItemCodeInvalid, and ItemExists when the department has this item already.
    """
    staff.require(EDIT)
    department = await Department.get(id=staff.department_id)
    code = codes.build(department.uscc, spec.level, spec.basic_code, spec.handling)
    try:
        async with transaction():
            item = await ServiceItem.create(
                code=code, department=department, kind=spec.kind, level=spec.level, basic_code=spec.basic_code
            )
            return code, await _draft(staff, item, content, number=1, based_on=None)
    except (IntegrityError, asyncpg.UniqueViolationError) as error:
        raise ItemExists(item_code=code) from error


@raises(DutyMissing, ItemNotFound)
async def begin_version(staff: AsStaff, code: str) -> ItemVersion:
    """A draft that begins as a copy of the version in force, or of the last one when none is."""
    staff.require(EDIT)
    async with transaction():
        item = await get_own_item(staff, code, lock=True)
        versions = await ItemVersion.filter(item_id=item.id).order_by("-number")
        published = next((each for each in versions if each.state is VersionState.PUBLISHED), None)
        return await _draft(
            staff,
            item,
            content_of(published or versions[0]),
            number=versions[0].number + 1,
            based_on=published.number if published else None,
        )


async def _draft(
    staff: AsStaff, item: ServiceItem, content: Content, *, number: int, based_on: int | None
) -> ItemVersion:
    version = await ItemVersion.create(
        item=item, number=number, based_on=based_on, drafted_by=staff.id, **columns(content)
    )
    await record(ItemDrafted(item_id=item.id, code=item.code, number=number))
    return version


@raises(DutyMissing, ItemNotFound, ItemVersionNotFound, ItemVersionTransitionRefused, ItemDraftEditConflict)
async def edit_version(
    staff: AsStaff,
    code: str,
    number: int,
    content: Content,
    *,
    revision: int,
    based_on: int | UnsetType | None = UNSET,
) -> ItemVersion:
    """Save the draft whole. `revision` is the one that was read; `based_on` moves the draft onto another version.

    Raises DutyMissing, ItemNotFound, ItemVersionNotFound, ItemVersionTransitionRefused for anything but a draft,
    ItemDraftEditConflict.
    """
    staff.require(EDIT)
    async with transaction():
        item = await get_own_item(staff, code, lock=True)
        version = await get_version(item, number)
        ITEM_VERSIONS.after(version.state, VersionTransition.EDIT)
        require_revision(version, revision)
        changes = columns(content) if based_on is UNSET else {**columns(content), "based_on": based_on}
        version = version.update_from_dict({**changes, "revision": revision + 1})
        await version.save()
        await record(ItemEdited(item_id=item.id, code=item.code, number=number, revision=version.revision))
    return version


@raises(DutyMissing, ItemNotFound, ItemVersionNotFound)
async def check_version(staff: AsStaff, code: str, number: int) -> list[Fault]:
    """What would keep the version from being published."""
    staff.require(EDIT)
    return await list_faults(await get_version(await get_own_item(staff, code), number))


async def list_faults(version: ItemVersion) -> list[Fault]:
    """Every fault of a version: those of its guide, and what only the database knows."""
    content = content_of(version)
    faults = [Fault(f"/guide{fault.pointer}", fault.message) for fault in lint(content.guide)]
    known = {hall.id for hall in await get_halls(content.guide.hall_ids)}
    for index, hall_id in enumerate(content.guide.hall_ids):
        if hall_id not in known:
            faults.append(Fault(f"/guide/hall_ids/{index}", "没有这个办事大厅"))
    if not content.name.strip():
        faults.append(Fault("/name", "请写明事项名称"))
    if not content.themes:
        faults.append(Fault("/themes", "请至少选择一个主题，方便群众查找"))
    return faults


def require_revision(version: ItemVersion, revision: int) -> None:
    """Raises ItemDraftEditConflict unless this is the revision that was read."""
    if version.revision != revision:
        raise ItemDraftEditConflict(revision=version.revision)


def content_of(version: ItemVersion) -> Content:
    """What a stored version says."""
    return Content(
        name=version.name,
        themes=tuple(version.themes),
        keywords=tuple(version.keywords),
        guide=msgspec.convert(version.guide, Guide),
    )


def columns(content: Content) -> dict[str, Any]:
    """How a version is stored."""
    return {
        "name": content.name,
        "themes": list(content.themes),
        "keywords": list(content.keywords),
        "guide": msgspec.to_builtins(content.guide),
    }
