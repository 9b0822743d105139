"""The events of pushes."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from backend.events import Event


class WechatPushed(Event, frozen=True, kw_only=True, tag="wechat.pushed"):
    """WeChat pushed a message or an event about a user.

    Its content names a person, so it is kept sealed and not in the ledger: `callbacks.consume_wechat_push(message_id)`.
    """

    about: ClassVar[str] = "message_id"

    message_id: UUID
    account: str
    """`mini_program` or `official_account`."""
    kind: str
    """`event`, or the kind of an ordinary message."""
    name: str
    """WeChat's name of an event, such as `subscribe_msg_popup_event`; empty for other kinds."""
    openid_fingerprint: str


class SmsPushed(Event, frozen=True, kw_only=True, tag="sms.pushed"):
    """An SMS gateway pushed receipts. They name phones, so they are kept sealed and not in the ledger."""

    about: ClassVar[str] = "message_id"

    message_id: UUID
    gateway: str
    """`tencent` or `aliyun`."""
    receipts: int
