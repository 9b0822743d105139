"""What WeChat's pushes mean to us: answers to popups, changed settings, receipts, followers."""

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

ASK_AGAIN_SECONDS = (2, 5, 15, 60)
"""A receipt may come before the answer to our own call; so often we look for its attempt again."""

UNMATCHED = Counter("zhangban_messages_unmatched_receipts_total", "Receipts that fit no attempt of ours")

_RESIDENT = "SELECT resident_id FROM wechat_accounts WHERE account = $1 AND openid_fingerprint = ANY($2)"


async def hear(event: WechatPushed, meta: EventMeta) -> None:
    """Deal with one push, once. Pushes that mean nothing to us are left alone."""
    handler = HANDLERS.get((event.account, event.name))
    if handler is None:
        return
    push = await callbacks.take(event.message_id)
    if push is not None:
        await handler(push, event.message_id)


def wire() -> None:
    """Have the pushes heard. Safe to call again."""
    subscribe(WechatPushed, "notifications.handle-wechat-push", hear)


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
    await consent.take_down(resident_id, reports)


_ANSWERS = {ConsentSource.POPUP: ("accept", "reject"), ConsentSource.CHANGE: ("reject",)}


async def _popup(push: Push, push_id: UUID) -> None:
    await _consents(push, ConsentSource.POPUP)


async def _changed(push: Push, push_id: UUID) -> None:
    await _consents(push, ConsentSource.CHANGE)


async def _receipt(push: Push, push_id: UUID) -> None:
    await _match(push, push_id, 0)


async def _match(push: Push, push_id: UUID, asked: int) -> None:
    resident_id = await _resident(push)
    if resident_id is None:
        return
    found = [await receipts.take(each) for each in _receipts(push, resident_id)]
    if all(found):
        return
    if asked == len(ASK_AGAIN_SECONDS):
        UNMATCHED.inc()
        log.warning("a receipt fits no attempt", extra={"event": push.event, "push_id": str(push_id)})
        return
    wait = timedelta(seconds=ASK_AGAIN_SECONDS[asked])
    async with transaction():
        await jobs.enqueue("notifications.receipt", {"push_id": str(push_id), "asked": asked + 1}, after=wait)


def _receipts(push: Push, resident_id: UUID) -> Iterator[Receipt]:
    if push.account == "official_account":
        said = said_of(str(push.content.get("Status", "")))
        yield Receipt(resident_id, ChannelName.OFFICIAL_ACCOUNT, _message_id(push.content), said, _at(push))
        return
    for entry in _entries(push):
        said = "success" if str(entry.get("ErrorCode", "0")) == "0" else str(entry.get("ErrorStatus") or "failed")
        template_id = str(entry.get("TemplateId", ""))
        yield Receipt(resident_id, ChannelName.MINI_PROGRAM, _message_id(entry), said, _at(push), template_id)


def said_of(status: str) -> str:
    """One spelling of a status: `failed: user  block` is `failed:user block`; unknown ones are kept."""
    return " ".join(status.lower().split()).replace(": ", ":") or "failed"


def _message_id(content: Mapping[str, Any]) -> str:
    return str(content.get("MsgID") or content.get("MsgId") or "")


@jobs.job("notifications.receipt")
async def look_again(payload: dict[str, Any]) -> None:
    """Look again for the attempt that a receipt belongs to."""
    push_id = UUID(payload["push_id"])
    push = await callbacks.take(push_id)
    if push is not None:
        await _match(push, push_id, payload["asked"])


async def _followed(push: Push, push_id: UUID) -> None:
    async with transaction():
        await jobs.enqueue("notifications.follower", {"push_id": str(push_id)})


@jobs.job("notifications.follower")
async def learn_follower(payload: dict[str, Any]) -> None:
    """Ask WeChat who the new follower is, so that template messages can reach them."""
    push = await callbacks.take(UUID(payload["push_id"]))
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
"""Which push is dealt with by what. Events of the two accounts never share a meaning."""
