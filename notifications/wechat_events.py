"""Handles WeChat's pushed events: answers to popups, changed settings, receipts, followers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from backend import callbacks, identity, jobs
from backend.callbacks import WechatPushed
from backend.crypto import fingerprints
from backend.database import fetch_value, transaction
from backend.events import EventMeta, subscribe
from backend.partners import in_use
from backend.partners.wechat.port import Push, WechatRecipientNotFound
from models.notifications import ChannelName, ConsentAnswer, ConsentSource
from notifications import consent, receipts
from notifications.consent import Report
from notifications.receipts import Receipt

_RESIDENT = "SELECT resident_id FROM wechat_accounts WHERE account = $1 AND openid_fingerprint = ANY($2)"


async def handle_push(event: WechatPushed, meta: EventMeta) -> None:
    """Handle one push, once. Pushes without a handler are ignored."""
    handler = HANDLERS.get((event.account, event.name))
    if handler is None:
        return
    push = await callbacks.consume_wechat_push(event.message_id)
    if push is not None:
        await handler(push, event.message_id)


def wire() -> None:
    """Subscribe to the pushes. Safe to call again."""
    subscribe(WechatPushed, "notifications.handle-wechat-push", handle_push)


async def _resident(push: Push) -> UUID | None:
    found: UUID | None = await fetch_value(_RESIDENT, push.account, fingerprints(push.openid, "openid"))
    return found


def _entries(push: Push) -> Iterator[Mapping[str, Any]]:
    listed = push.content.get("List")
    yield from (entry for entry in (listed if isinstance(listed, list) else ()) if isinstance(entry, Mapping))


def _at(push: Push) -> datetime:
    return datetime.fromtimestamp(push.created_at, UTC)


async def _consents(push: Push, push_id: UUID, *, source: ConsentSource) -> None:
    resident_id = await _resident(push)
    if resident_id is None:
        return
    reports = [
        Report(
            str(entry.get("TemplateId", "")),
            ConsentAnswer(entry["SubscribeStatusString"]),
            source,
            f"{source}:{push.identity}:{number}",
            _at(push),
        )
        for number, entry in enumerate(_entries(push))
        if entry.get("SubscribeStatusString") in _ANSWERS[source]
    ]
    await consent.record_reports(resident_id, reports)


_ANSWERS = {ConsentSource.POPUP: ("accept", "reject"), ConsentSource.CHANGE: ("reject",)}


async def _apply_receipts(push: Push, push_id: UUID, retries: int = 0) -> None:
    resident_id = await _resident(push)
    if resident_id is None:
        return
    unmatched = [each for each in _receipts(push, resident_id) if not await receipts.apply_receipt(each)]
    if unmatched:
        await receipts.retry_unmatched("notifications.wechat-receipt", push_id, retries, len(unmatched))


def _receipts(push: Push, resident_id: UUID) -> Iterator[Receipt]:
    if push.account == "official_account":
        status = normalized(str(push.content.get("Status", "")))
        yield Receipt(resident_id, ChannelName.OFFICIAL_ACCOUNT, _message_id(push.content), status, _at(push))
        return
    for entry in _entries(push):
        status = "success" if str(entry.get("ErrorCode", "0")) == "0" else str(entry.get("ErrorStatus") or "failed")
        template_id = str(entry.get("TemplateId", ""))
        yield Receipt(resident_id, ChannelName.MINI_PROGRAM, _message_id(entry), status, _at(push), template_id)


def normalized(status: str) -> str:
    """One spelling of a status: `failed: user  block` is `failed:user block`; unknown ones are kept."""
    return " ".join(status.lower().split()).replace(": ", ":") or "failed"


def _message_id(content: Mapping[str, Any]) -> str:
    return str(content.get("MsgID") or content.get("MsgId") or "")


@jobs.job("notifications.wechat-receipt")
async def retry_receipt(payload: dict[str, Any]) -> None:
    """Look up the attempt of a receipt again."""
    push_id = UUID(payload["push_id"])
    push = await callbacks.consume_wechat_push(push_id)
    if push is not None:
        await _apply_receipts(push, push_id, payload["retries"])


async def _followed(push: Push, push_id: UUID) -> None:
    async with transaction():
        await jobs.enqueue("notifications.follower", {"push_id": str(push_id)})


@jobs.job("notifications.follower")
async def fetch_follower(payload: dict[str, Any]) -> None:
    """Fetch from WeChat who the new follower is, so that template messages can reach them."""
    push = await callbacks.consume_wechat_push(UUID(payload["push_id"]))
    if push is None:
        return
    try:
        follower = await in_use().wechat.follower(push.openid)
    except WechatRecipientNotFound:
        return
    if follower.follows and follower.unionid:
        await identity.record_follow(push.openid, follower.unionid)


async def _unfollowed(push: Push, push_id: UUID) -> None:
    await identity.record_unfollow(push.openid)


HANDLERS: Mapping[tuple[str, str], Callable[[Push, UUID], Awaitable[None]]] = {
    ("mini_program", "subscribe_msg_popup_event"): partial(_consents, source=ConsentSource.POPUP),
    ("mini_program", "subscribe_msg_change_event"): partial(_consents, source=ConsentSource.CHANGE),
    ("mini_program", "subscribe_msg_sent_event"): _apply_receipts,
    ("official_account", "TEMPLATESENDJOBFINISH"): _apply_receipts,
    ("official_account", "subscribe"): _followed,
    ("official_account", "unsubscribe"): _unfollowed,
}
"""The handler of each push. Events of the two accounts never share a meaning."""
