"""The catalogue as everybody reads it: search, and the guide in force."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from api import etag, limits, openapi
from api.paging import Cursor, Limit
from api.problems import answers
from api.public.regions import Domain, RegionCode
from backend import catalogue
from backend.catalogue import Card, Facets, Match, PublishedItem, Subject
from backend.paging import USUAL


class ItemPage(Struct):
    """A page of items. `match` is how they were found: exact, reworded, similar; all without a query."""

    items: list[Card]
    match: Match
    next_cursor: str | None = None


Query = Annotated[
    str,
    QueryParameter(
        max_length=50,
        required=False,
        description="搜索词：可以是任意片段、几个词、拼音或拼音首字母，如 补办身份证、sfz",
    ),
]
ItemCode = Annotated[
    str, PathParameter(min_length=31, max_length=33, pattern="^[0-9A-Za-z]+$", description="事项编码（31 位实施编码）")
]


class CatalogueController(Controller):
    """`/v1/public/items` and the words that go with it."""

    tags = ["事项"]
    middleware = [etag.Revalidated(public=True, max_age=60)]
    response_headers = etag.HEADERS

    @get(
        "/items",
        summary="查找事项",
        description="按地区查时，列出本地区和上级部门办理的事项。名称开头相符的排在最前。",
        operation_id="listItems",
        guards=[limits.limit("item-search", 300, 60)],
        responses=etag.NOT_MODIFIED | answers(catalogue.search_items),
    )
    async def list_items(
        self,
        q: Query = "",
        region: RegionCode = None,
        department: Annotated[UUID | None, QueryParameter(required=False, description="部门")] = None,
        domain: Domain = None,
        theme: Annotated[str | None, QueryParameter(max_length=20, required=False, description="主题")] = None,
        subject: Annotated[Subject | None, QueryParameter(required=False, description="服务对象")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> ItemPage:
        found = await catalogue.search_items(
            q,
            region=region,
            department_id=department,
            domain=domain,
            theme=theme,
            subject=subject,
            limit=limit,
            cursor=cursor,
        )
        return ItemPage(items=found.items, next_cursor=found.next_cursor, match=found.match)

    @get(
        "/items/{code:str}",
        summary="办事指南（现行版本）",
        operation_id="getItem",
        responses=etag.NOT_MODIFIED | answers(catalogue.get_published_item),
    )
    async def get_item(self, code: ItemCode) -> PublishedItem:
        return await catalogue.get_published_item(code)

    @get(
        "/item-facets",
        summary="事项的领域、主题和服务对象，各有多少项",
        operation_id="listItemFacets",
        responses=etag.NOT_MODIFIED | answers(catalogue.list_facets),
    )
    async def list_facets(self, region: RegionCode = None) -> Facets:
        return await catalogue.list_facets(region)

    @get(
        "/guide-words",
        summary="指南用语：代码与中文名称",
        operation_id="listGuideWords",
        responses=etag.NOT_MODIFIED,
        sync_to_thread=False,
    )
    def list_words(self) -> dict[str, dict[str, str]]:
        return catalogue.WORDS


openapi.LINKS["listItems"] = {
    "guide": {"operationId": "getItem", "parameters": {"code": "$response.body#/items/0/code"}}
}
