"""The resident's inbox: every message, with the proof of its delivery."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.paging import Cursor, Limit
from api.problems import answers
from backend.identity import AsResident
from backend.paging import USUAL
from notifications import inbox
from notifications.inbox import InboxPage, MessageDetail

UnreadOnly = Annotated[bool, QueryParameter(description="只看未读")]


class ReadOut(Struct):
    """When the message was first opened."""

    read_at: datetime


class ReadAllIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which messages: all up to `up_to`, or all."""

    up_to: UUID | None = None


class ReadAllOut(Struct):
    """How many messages were unread until now."""

    read: int


class MessageController(Controller):
    """`/v1/resident/messages`."""

    path = "/messages"
    tags = ["消息"]

    @get(
        summary="我的消息",
        description="最新的在前。发生变化时每位收件人有且只有一条消息，微信、短信发送与否都会出现在这里。",
        operation_id="listMessages",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(inbox.list_own_messages) | NOT_MODIFIED,
    )
    async def messages(
        self,
        resident: NamedDependency[AsResident],
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
        unread: FromQuery[UnreadOnly] = False,
    ) -> InboxPage:
        return await inbox.list_own_messages(resident, cursor=cursor, limit=limit, unread_only=unread)

    @get(
        "/{message_id:uuid}",
        summary="一条消息及其送达记录",
        description="列出每一次发送：是否有订阅授权、走了哪个渠道、对方平台的返回码及含义、回执、是否改走其他渠道、何时打开。",
        operation_id="getMessage",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(inbox.get_own_message) | NOT_MODIFIED,
    )
    async def message(self, resident: NamedDependency[AsResident], message_id: FromPath[UUID]) -> MessageDetail:
        return await inbox.get_own_message(resident, message_id)

    @post(
        "/{message_id:uuid}/read",
        summary="标记一条消息为已读",
        description="重复调用没有影响，返回首次打开的时间。",
        operation_id="readMessage",
        status_code=200,
        responses=answers(inbox.mark_read),
    )
    async def read(self, resident: NamedDependency[AsResident], message_id: FromPath[UUID]) -> ReadOut:
        return ReadOut(await inbox.mark_read(resident, message_id))

    @post("/read", summary="全部标记为已读", operation_id="readAllMessages", status_code=200)
    async def read_all(self, resident: NamedDependency[AsResident], data: JSONBody[ReadAllIn]) -> ReadAllOut:
        return ReadAllOut(await inbox.mark_all_read(resident, up_to=data.up_to))


openapi.LINKS["listMessages"] = {
    name: {"operationId": name, "parameters": {"message_id": "$response.body#/items/0/id"}}
    for name in ("getMessage", "readMessage")
}
