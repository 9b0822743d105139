"""Handles WeChat's pushed events: answers to popups, changed settings, receipts, followers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prometheus_client import Counter

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

log = logging.getLogger(__name__)

RETRY_SECONDS = (2, 5, 15, 60)
"""A receipt may come before the answer to our own call: after these seconds its attempt is looked up again."""

UNMATCHED = Counter("zhangban_messages_unmatched_receipts_total", "Receipts that fit no attempt of ours")

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


async def _consents(push: Push, source: ConsentSource) -> None:
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


async def _popup(push: Push, push_id: UUID) -> None:
    await _consents(push, ConsentSource.POPUP)


async def _changed(push: Push, push_id: UUID) -> None:
    await _consents(push, ConsentSource.CHANGE)


async def _receipt(push: Push, push_id: UUID) -> None:
    await _apply_receipts(push, push_id, 0)


async def _apply_receipts(push: Push, push_id: UUID, retries: int) -> None:
    resident_id = await _resident(push)
    if resident_id is None:
        return
    found = [await receipts.apply_receipt(each) for each in _receipts(push, resident_id)]
    if all(found):
        return
    if retries == len(RETRY_SECONDS):
        UNMATCHED.inc()
        facts = {"event": "receipt.unmatched", "push": push.event, "push_id": str(push_id)}
        log.warning("a receipt fits no attempt", extra=facts)
        return
    wait = timedelta(seconds=RETRY_SECONDS[retries])
    async with transaction():
        await jobs.enqueue(
            "notifications.wechat-receipt", {"push_id": str(push_id), "retries": retries + 1}, after=wait
        )


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
        await identity.follow(push.openid, follower.unionid)


async def _unfollowed(push: Push, push_id: UUID) -> None:
    await identity.unfollow(push.openid)


HANDLERS: Mapping[tuple[str, str], Callable[[Push, UUID], Awaitable[None]]] = {
    ("mini_program", "subscribe_msg_popup_event"): _popup,
    ("mini_program", "subscribe_msg_change_event"): _changed,
    ("mini_program", "subscribe_msg_sent_event"): _receipt,
    ("official_account", "TEMPLATESENDJOBFINISH"): _receipt,
    ("official_account", "subscribe"): _followed,
    ("official_account", "unsubscribe"): _unfollowed,
}
"""The handler of each push. Events of the two accounts never share a meaning."""
