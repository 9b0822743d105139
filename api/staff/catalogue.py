"""Departments write, check, publish and withdraw their own items."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import catalogue
from backend.catalogue import (
    Content,
    Guide,
    ItemSpec,
    Short,
    StaffItemSummary,
    VersionDetail,
    VersionSummary,
    version_detail,
)
from backend.errors import Fault
from backend.identity import AsStaff
from backend.paging import USUAL
from models.catalogue import ItemKind

ItemCode = Annotated[str, PathParameter(min_length=31, max_length=33, pattern="^[0-9A-Za-z]+$", description="事项编码")]
Number = Annotated[int, PathParameter(ge=1, le=1_000_000_000, description="版本号")]
Words = Annotated[tuple[Short, ...], Meta(max_length=30)]


class ContentIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a version says."""

    name: Short
    themes: Words = ()
    keywords: Words = ()
    guide: Guide

    def content(self) -> Content:
        return Content(name=self.name, themes=self.themes, keywords=self.keywords, guide=self.guide)


class ItemIn(ContentIn, forbid_unknown_fields=True, kw_only=True):
    """A new item: what its code is made of, and its first draft."""

    basic_code: Annotated[str, Meta(min_length=12, max_length=12)]
    level: Annotated[str, Meta(pattern="^[1-6]$")]
    kind: ItemKind
    handling: Annotated[str, Meta(max_length=2)] = ""

    def spec(self) -> ItemSpec:
        return ItemSpec(basic_code=self.basic_code, level=self.level, kind=self.kind, handling=self.handling)


class EditIn(ContentIn, forbid_unknown_fields=True, kw_only=True):
    """The draft whole, the revision that was read, and, to move it onto another version, that one's number."""

    revision: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    based_on: Annotated[int, Meta(ge=1, le=1000000000)] | UnsetType | None = UNSET


class PublishIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The revision that was read: what is published is what was looked at."""

    revision: Annotated[int, Meta(ge=1, le=1_000_000_000)]


class WithdrawIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the version goes out of force."""

    because: Annotated[str, Meta(min_length=1, max_length=200)]


class CheckOut(Struct, kw_only=True):
    """What keeps a version from being published; nothing when `publishable`."""

    publishable: bool
    faults: list[Fault]


class ItemController(Controller):
    """`/v1/staff/items`."""

    path = "/items"
    tags = ["事项管理"]

    @get(summary="本部门的事项", operation_id="listOwnItems", responses=answers(catalogue.list_own_items))
    async def list_own(
        self, staff: NamedDependency[AsStaff], limit: Limit = USUAL, cursor: Cursor = None
    ) -> Page[StaffItemSummary]:
        return Page(*await catalogue.list_own_items(staff, limit=limit, cursor=cursor))

    @post(
        summary="新建事项（生成编码和第一版草稿）",
        operation_id="createItem",
        responses=answers(catalogue.begin_item),
    )
    async def create(self, staff: NamedDependency[AsStaff], data: JSONBody[ItemIn]) -> VersionDetail:
        code, version = await catalogue.begin_item(staff, data.spec(), data.content())
        return version_detail(code, version)

    @get(
        "/{code:str}/versions",
        summary="事项的各个版本",
        operation_id="listVersions",
        responses=answers(catalogue.list_versions),
    )
    async def list_versions(self, staff: NamedDependency[AsStaff], code: ItemCode) -> list[VersionSummary]:
        return await catalogue.list_versions(staff, code)

    @post(
        "/{code:str}/versions",
        summary="起草新版本（从现行版本复制）",
        operation_id="draftVersion",
        responses=answers(catalogue.begin_version),
    )
    async def draft(self, staff: NamedDependency[AsStaff], code: ItemCode) -> VersionDetail:
        return version_detail(code, await catalogue.begin_version(staff, code))

    @get(
        "/{code:str}/versions/{number:int}",
        summary="一个版本的全部内容",
        operation_id="getVersion",
        responses=answers(catalogue.get_version_detail),
    )
    async def get_version(self, staff: NamedDependency[AsStaff], code: ItemCode, number: Number) -> VersionDetail:
        return await catalogue.get_version_detail(staff, code, number)

    @put(
        "/{code:str}/versions/{number:int}",
        summary="保存草稿",
        operation_id="editVersion",
        responses=answers(catalogue.edit_version),
    )
    async def edit(
        self,
        staff: NamedDependency[AsStaff],
        code: ItemCode,
        number: Number,
        data: JSONBody[EditIn],
    ) -> VersionDetail:
        revision, base = data.revision, data.based_on
        return version_detail(
            code, await catalogue.edit_version(staff, code, number, data.content(), revision=revision, based_on=base)
        )

    @get(
        "/{code:str}/versions/{number:int}/faults",
        summary="发布前检查",
        operation_id="checkVersion",
        responses=answers(catalogue.check_version),
    )
    async def check(self, staff: NamedDependency[AsStaff], code: ItemCode, number: Number) -> CheckOut:
        faults = await catalogue.check_version(staff, code, number)
        return CheckOut(publishable=not faults, faults=faults)

    @post(
        "/{code:str}/versions/{number:int}/publish",
        summary="发布版本",
        operation_id="publishVersion",
        status_code=200,
        responses=answers(catalogue.publish_version),
    )
    async def publish(
        self,
        staff: NamedDependency[AsStaff],
        code: ItemCode,
        number: Number,
        data: JSONBody[PublishIn],
    ) -> VersionDetail:
        return version_detail(code, await catalogue.publish_version(staff, code, number, revision=data.revision))

    @post(
        "/{code:str}/versions/{number:int}/withdraw",
        summary="撤回版本",
        operation_id="withdrawVersion",
        status_code=200,
        responses=answers(catalogue.withdraw_version),
    )
    async def withdraw(
        self,
        staff: NamedDependency[AsStaff],
        code: ItemCode,
        number: Number,
        data: JSONBody[WithdrawIn],
    ) -> VersionDetail:
        return version_detail(code, await catalogue.withdraw_version(staff, code, number, because=data.because))


_ITEM = {"code": "$response.body#/code"}
_VERSION = {**_ITEM, "number": "$response.body#/number"}
openapi.LINKS["createItem"] = {
    name: {"operationId": name, "parameters": _VERSION}
    for name in ("getVersion", "editVersion", "checkVersion", "publishVersion", "withdrawVersion")
} | {name: {"operationId": name, "parameters": _ITEM} for name in ("listVersions", "draftVersion", "getItem")}
openapi.LINKS["draftVersion"] = openapi.LINKS["createItem"]
openapi.LINKS["listOwnItems"] = {
    name: {"operationId": name, "parameters": {"code": "$response.body#/items/0/code"}}
    for name in ("listVersions", "draftVersion")
}
