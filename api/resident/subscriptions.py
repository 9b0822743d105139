"""Consent to WeChat messages: what a page should request, and the results of its popups."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromHeader, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.idempotency import IDEMPOTENCY_ERRORS, IdempotencyKeyHeader, idempotent
from api.problems import answers
from backend.identity import AsResident
from notifications import subscribing
from notifications.subscribing import PageSubscriptions, PopupResult
from notifications.templates import ASKED_AT_ONCE

Page = Annotated[
    str, QueryParameter(min_length=1, max_length=32, description="页面名称：case 办件、apply 申报、account 账号")
]


Results = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], PopupResult],
    Meta(
        min_length=1,
        max_length=ASKED_AT_ONCE,
        description="模板编号 → 结果，即 wx.requestSubscribeMessage 的返回（不含 errMsg）",
    ),
]


class SubscriptionsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The result of `wx.requestSubscribeMessage`, and the page that called it."""

    page: Annotated[str, Meta(min_length=1, max_length=32)]
    results: Results


class SubscriptionController(Controller):
    """`/v1/resident/subscriptions`."""

    path = "/subscriptions"
    tags = ["消息"]

    @get(
        summary="某页面需要请求订阅的消息模板",
        description="把 `template_ids` 原样交给 `wx.requestSubscribeMessage`（须由点击触发），再把结果用 POST 交回。",
        operation_id="getSubscriptions",
        responses=answers(subscribing.get_page_subscriptions),
    )
    async def subscriptions(self, resident: NamedDependency[AsResident], page: FromQuery[Page]) -> PageSubscriptions:
        return await subscribing.get_page_subscriptions(resident.id, page)

    @post(
        summary="交回订阅授权弹窗的结果",
        description="需要 `Idempotency-Key`。微信也会推送同一次弹窗的结果，两者只计一次。",
        operation_id="reportSubscriptions",
        responses=answers(subscribing.report_popup, *IDEMPOTENCY_ERRORS),
    )
    @idempotent()
    async def report(
        self,
        resident: NamedDependency[AsResident],
        data: JSONBody[SubscriptionsIn],
        idempotency_key: FromHeader[IdempotencyKeyHeader] = None,
    ) -> PageSubscriptions:
        return await subscribing.report_popup(resident.id, data.page, data.results, key=idempotency_key or "")
