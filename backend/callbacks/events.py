"""What is recorded of a push."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from backend.events import Event


class WechatPushed(Event, frozen=True, kw_only=True, tag="wechat.pushed"):
    """WeChat pushed a message or an event about somebody. What it said is read with `callbacks.take(message_id)`:
    it names a person, so it is kept sealed and not in the ledger."""

    about: ClassVar[str] = "message_id"

    message_id: UUID
    account: str
    """`mini_program` or `official_account`."""
    kind: str
    """`event`, or the kind of an ordinary message."""
    name: str
    """Of an event, WeChat's name of it, such as `subscribe_msg_popup_event`; of other kinds empty."""
    openid_fingerprint: str


class SmsPushed(Event, frozen=True, kw_only=True, tag="sms.pushed"):
    """An SMS gateway pushed receipts of texts. They name phones, so they are kept sealed and not in the ledger."""

    about: ClassVar[str] = "message_id"

    message_id: UUID
    gateway: str
    """`tencent` or `aliyun`."""
    receipts: int
