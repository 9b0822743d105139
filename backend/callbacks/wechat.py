"""WeChat's pushes: verify the raw bytes, store once, record the event; subscribers do the work later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

from uuid_utils.compat import uuid7

from backend.callbacks.errors import PushReplayed
from backend.callbacks.events import WechatPushed
from backend.callbacks.inbound import RECEIVED, consume_push, log_refusal, store_push
from backend.crypto import fingerprint
from backend.database import fetch_value, transaction
from backend.errors import DomainError, raises
from backend.events import act_as, record
from backend.partners.wechat.port import (
    Push,
    WeChat,
    WechatPushExpired,
    WechatPushInvalid,
    WechatPushSignatureInvalid,
)

LONGEST_EVENT = 64
_KNOWN = "SELECT 1 FROM inbound_messages WHERE partner = 'wechat' AND partner_id = $1"


@raises(WechatPushSignatureInvalid, WechatPushInvalid, WechatPushExpired, PushReplayed)
async def receive_wechat(query: Mapping[str, str], body: bytes, *, wechat: WeChat) -> bool:
    """Verify and store what WeChat pushed; True when it is new, False when it came before.

    A refused push leaves nothing but a line in the security log and a count.
    """
    act_as("partner", "wechat")
    try:
        new = await _store(wechat.open_push(query, body))
    except DomainError as error:
        log_wechat_refusal(error)
        raise
    RECEIVED.labels("wechat", "new" if new else "repeated").inc()
    return new


@raises(WechatPushSignatureInvalid, WechatPushInvalid, WechatPushExpired)
def answer_address_check(query: Mapping[str, str], *, wechat: WeChat) -> str:
    """The text that WeChat expects back when it checks our address."""
    try:
        return wechat.echo(query)
    except DomainError as error:
        log_wechat_refusal(error)
        raise


def log_wechat_refusal(error: DomainError) -> None:
    """Count and log a push of WeChat that was refused."""
    log_refusal(error, metric="wechat", partner="wechat")


async def _store(push: Push) -> bool:
    message_id = uuid7()
    nonce = hashlib.sha256(f"{push.account}.{push.nonce}".encode()).hexdigest()
    name = (push.event or push.kind)[:LONGEST_EVENT]
    async with transaction():
        if not await store_push(message_id, "wechat", push.identity, push, event=name, nonce=nonce):
            if await fetch_value(_KNOWN, push.identity) is None:
                raise PushReplayed("nonce")
            return False
        await record(
            WechatPushed(
                message_id=message_id,
                account=push.account,
                kind=push.kind[:LONGEST_EVENT],
                name=push.event[:LONGEST_EVENT],
                openid_fingerprint=fingerprint(push.openid, "openid"),
            )
        )
    return True


async def consume_wechat_push(message_id: UUID) -> Push | None:
    """What WeChat pushed, marked as handled; None when it was deleted meanwhile."""
    return await consume_push(message_id, Push)
