"""The resident's inbox: every message, and the proof of what became of it."""

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
from backend.paging import USUAL, CursorInvalid
from notifications import inbox
from notifications.consent import ConsentThen
from notifications.inbox import Entries, Entry, MessageNotFound, Proof, Tried

UnreadOnly = Annotated[bool, QueryParameter(description="只看未读")]


class MessageOut(Struct, kw_only=True):
    """One message. `page` is where a tap on it leads in the mini-program."""

    id: UUID
    name: str
    title: str
    body: str
    subject_kind: str
    subject_id: UUID
    at: datetime
    read_at: datetime | None
    page: str

    @classmethod
    def of(cls, entry: Entry) -> MessageOut:
        """The message as the list shows it."""
        return cls(**entry._asdict())


class MessagesOut(Struct, kw_only=True):
    """One page of the inbox, the newest first. `unread` counts all unread messages, not only those of the page."""

    items: list[MessageOut]
    unread: int
    next_cursor: str | None

    @classmethod
    def of(cls, found: Entries) -> MessagesOut:
        """The page."""
        return cls(
            items=[MessageOut.of(each) for each in found.items], unread=found.unread, next_cursor=found.next_cursor
        )


class AttemptOut(Struct, kw_only=True):
    """One attempt: the way, how it ended (null: no answer came), the partner's own code, its receipt, plain words."""

    channel: str
    at: datetime
    outcome: str | None
    code: str
    receipt: str
    receipt_at: datetime | None
    words: str

    @classmethod
    def of(cls, tried: Tried) -> AttemptOut:
        """The attempt."""
        return cls(**tried._asdict())


class MessageProofOut(Struct, kw_only=True):
    """A message with its proof. `channel` carried it (null while that is open); `fell_back`: not the first way;
    `message.read_at`: when it was opened; `consent` is null for messages that need none."""

    message: MessageOut
    state: str
    channel: str | None
    fell_back: bool
    words: str
    consent: ConsentThen | None
    attempts: list[AttemptOut]

    @classmethod
    def of(cls, proof: Proof) -> MessageProofOut:
        """The message and its attempts."""
        return cls(
            message=MessageOut.of(proof.entry),
            state=proof.state,
            channel=proof.channel,
            fell_back=proof.fell_back,
            words=proof.words,
            consent=proof.consent,
            attempts=[AttemptOut.of(each) for each in proof.attempts],
        )


class ReadOut(Struct):
    """When the message was first opened."""

    read_at: datetime


class ReadAllIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Up to which message; left out: all."""

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
        responses=answers(CursorInvalid) | NOT_MODIFIED,
    )
    async def messages(
        self,
        resident: NamedDependency[AsResident],
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
        unread: FromQuery[UnreadOnly] = False,
    ) -> MessagesOut:
        return MessagesOut.of(await inbox.entries(resident, cursor=cursor, limit=limit, unread_only=unread))

    @get(
        "/{message_id:uuid}",
        summary="一条消息及其送达记录",
        description="列出每一次发送：是否有订阅授权、走了哪个渠道、对方平台的返回码及含义、回执、是否改走其他渠道、何时打开。",
        operation_id="getMessage",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(MessageNotFound) | NOT_MODIFIED,
    )
    async def message(self, resident: NamedDependency[AsResident], message_id: FromPath[UUID]) -> MessageProofOut:
        return MessageProofOut.of(await inbox.shown(resident, message_id))

    @post(
        "/{message_id:uuid}/read",
        summary="标记一条消息为已读",
        description="重复调用没有影响，返回首次打开的时间。",
        operation_id="readMessage",
        status_code=200,
        responses=answers(MessageNotFound),
    )
    async def read(self, resident: NamedDependency[AsResident], message_id: FromPath[UUID]) -> ReadOut:
        return ReadOut(await inbox.read(resident, message_id))

    @post("/read", summary="全部标记为已读", operation_id="readAllMessages", status_code=200)
    async def read_all(self, resident: NamedDependency[AsResident], data: JSONBody[ReadAllIn]) -> ReadAllOut:
        return ReadAllOut(await inbox.read_all(resident, up_to=data.up_to))


_MESSAGE = {
    "id": "0194a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "name": "case_accepted",
    "title": "已受理：居民身份证申领",
    "body": "您好，市公安局已于2026年11月22日 15:04受理您「居民身份证申领」的申请（办件编号 202611220001），"
    "预计办结时间：2026年12月6日。办理有新进展，我们会告诉您。",
    "subject_kind": "case",
    "subject_id": "0194a1b2-0000-7e5f-8a6b-7c8d9e0f1a2b",
    "at": "2026-11-22T07:04:00Z",
    "read_at": None,
    "page": "pages/case/detail?number=202611220001&message=0194a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
}
openapi.EXAMPLES |= {
    "listMessages": {"response": {"items": [_MESSAGE], "unread": 1, "next_cursor": None}},
    "getMessage": {
        "response": {
            "message": _MESSAGE,
            "state": "sent",
            "channel": "sms",
            "fell_back": True,
            "words": "已发出（短信）",
            "consent": {
                "template": "办件进度通知",
                "kind": "one-off",
                "allowed": False,
                "remaining": 0,
                "accepted_at": "2026-11-20T01:00:00Z",
                "withdrawn_at": None,
            },
            "attempts": [
                {
                    "channel": "mini_program",
                    "at": "2026-11-22T07:04:01Z",
                    "outcome": "refused",
                    "code": "43101",
                    "receipt": "",
                    "receipt_at": None,
                    "words": "对方平台未接收，改用其他方式：您没有订阅这类消息，或订阅次数已用完",
                },
                {
                    "channel": "sms",
                    "at": "2026-11-22T07:04:02Z",
                    "outcome": "accepted",
                    "code": "0",
                    "receipt": "success",
                    "receipt_at": "2026-11-22T07:04:07Z",
                    "words": "对方平台已接收，短信平台确认手机已收到",
                },
            ],
        }
    },
    "readMessage": {"response": {"read_at": "2026-11-22T07:10:00Z"}},
    "readAllMessages": {"request": {"up_to": None}, "response": {"read": 3}},
}
openapi.LINKS["listMessages"] = {
    name: {"operationId": name, "parameters": {"message_id": "$response.body#/items/0/id"}}
    for name in ("getMessage", "readMessage")
}
