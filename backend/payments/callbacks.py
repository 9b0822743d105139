"""Ingesting what a channel pushes: verified, compared with our order, settled and stored in one transaction, answered.

The channel gets its "yes" after COMMIT and never before. A notice about a number that we do not have is not stored at
all: it may be on its way from elsewhere, and the channel repeats it. A notice that does not fit our order or refund is
stored, moves nothing, alarms operators, and the channel is queried for the truth.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Protocol, runtime_checkable

from backend import logs
from backend.callbacks import RECEIVED
from backend.database import execute, fetch_value, transaction
from backend.errors import DomainError, raises
from backend.events import act_as, record
from backend.jobs import enqueue
from backend.partners.paying.port import (
    ChannelOrder,
    ChannelRefund,
    Notice,
    NoticeKind,
    PayChannel,
    PaymentNoticeExpired,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)
from backend.payments import settling
from backend.payments.errors import PaymentNoticeMismatch, PaymentNoticeOrderNotFound
from backend.payments.events import NoticeRefused
from backend.payments.refund_settling import enqueue_unrequested_refund, settle_refund
from backend.payments.settling import HANDLED, PARTNERS, LockedOrder, store_notice
from models.payments import Channel

_OURS = "SELECT 1 FROM payments WHERE number = $1 AND channel = $2"
_NOTICE_STATE = "SELECT state FROM inbound_messages WHERE partner = $1 AND partner_id = $2"
_MARK_HANDLED = """
UPDATE inbound_messages SET state = 'handled', handled_at = now()
WHERE partner = $1 AND partner_id = $2 AND state = 'received'
"""


@runtime_checkable
class SupportsV2Notices(Protocol):
    """A channel that reports refunds made in its console in an older form as well."""

    def open_v2_notice(self, body: bytes) -> Notice:
        """Raises PaymentNoticeSignatureInvalid and PaymentNoticeInvalid."""
        ...


@raises(
    PaymentNoticeSignatureInvalid,
    PaymentNoticeExpired,
    PaymentNoticeInvalid,
    PaymentNoticeOrderNotFound,
    PaymentNoticeMismatch,
)
async def ingest_notice(channel: PayChannel, headers: Mapping[str, str], body: bytes) -> None:
    """Ingest a push: its content is in our books when this returns, once, however often it comes.

    After an error the channel repeats the push. A refused push leaves nothing but a line in the security log and a
    count.
    """
    await _ingest(Channel(channel.name), channel.open_notice(headers, body))


async def ingest_v2_notice(channel: PayChannel, body: bytes) -> None:
    """Ingest the XML notice of a refund that was made in the channel's console. Nothing signs it: it is stored, and the
    channel is queried for the truth. Raises PaymentNoticeSignatureInvalid, also where the channel has no such form, and
    PaymentNoticeInvalid."""
    await _ingest(Channel(channel.name), _open_v2(channel, body))


async def _open_v2(channel: PayChannel, body: bytes) -> Notice:
    if not isinstance(channel, SupportsV2Notices):
        raise PaymentNoticeSignatureInvalid("no-old-form")
    return channel.open_v2_notice(body)


async def _ingest(channel: Channel, opening: Awaitable[Notice]) -> None:
    partner = PARTNERS[channel]
    act_as("partner", partner)
    try:
        new = await _apply(channel, await opening)
    except DomainError as error:
        RECEIVED.labels(partner, error.code).inc()
        facts = {"partner": partner, "why": error.code, "what": getattr(error, "why", "")}
        logs.security.warning("push refused", extra={"event": "push.refused", **facts})
        raise
    RECEIVED.labels(partner, "new" if new else "repeated").inc()


async def _apply(channel: Channel, notice: Notice) -> bool:
    if notice.kind is NoticeKind.ORDER and notice.order is not None:
        return await _apply_order(channel, notice, notice.order)
    if notice.kind is NoticeKind.REFUND and notice.refund is not None:
        return await _apply_refund(channel, notice, notice.refund)
    async with transaction():
        if not await store_notice(notice, channel):
            return False
        if notice.refund is not None:
            await _enqueue_query(channel, notice.refund)
    return True


async def _enqueue_query(channel: Channel, observed: ChannelRefund) -> None:
    """Have the channel queried about a refund that a notice mentions without being proof of it."""
    if await fetch_value("SELECT 1 FROM refunds WHERE number = $1", observed.number):
        await enqueue("payments.check-refund", {"number": observed.number}, key=f"check-refund:{observed.number}")
    elif await fetch_value(_OURS, observed.payment_number, channel.value):
        await enqueue_unrequested_refund(channel, observed.payment_number, observed.number)


async def _apply_order(channel: Channel, notice: Notice, observed: ChannelOrder) -> bool:
    async with transaction():
        found = await settling.lock_order(observed, channel, notice)
        if found.row["notice_state"] == HANDLED:
            return False
        wrong = settling.mismatched_fields(found, observed)
        if not wrong:
            await settling.apply_channel_order(found, observed, "notice", notice=notice)
            if found.row["notice_state"]:  # it did not fit before; the query that it led to has been answered since
                await execute(_MARK_HANDLED, PARTNERS[channel], notice.identity)
        elif not found.row["notice_state"]:
            await _suspect_order(found, notice, wrong)
    if wrong:
        raise PaymentNoticeMismatch
    return True


async def _suspect_order(found: LockedOrder, notice: Notice, wrong: list[str]) -> None:
    """Store the notice unhandled, record that it does not fit, and have the channel queried."""
    row = found.row
    await store_notice(notice, row["channel"], state="received")
    await record(NoticeRefused(payment_id=row["id"], channel=row["channel"], fields=wrong))
    await enqueue("payments.check", {"number": row["number"]}, key=f"payment-check:{row['number']}")
    facts = {"event": "payments.notice-mismatched", "payment": row["number"], "fields": wrong}
    logs.security.error("a notice does not match our order", extra=facts)


async def _apply_refund(channel: Channel, notice: Notice, observed: ChannelRefund) -> bool:
    try:
        async with transaction():
            state = await fetch_value(_NOTICE_STATE, PARTNERS[channel], notice.identity)
            if state == HANDLED:
                return False
            await settle_refund(observed, channel=channel, known_by="notice")
            if state:
                await execute(_MARK_HANDLED, PARTNERS[channel], notice.identity)
            else:
                await store_notice(notice, channel)
    except PaymentNoticeMismatch as mismatch:
        await _suspect_refund(channel, notice, observed, list(mismatch.facts.get("fields_that_differ", ["refund"])))
        raise
    return True


async def _suspect_refund(channel: Channel, notice: Notice, observed: ChannelRefund, wrong: list[str]) -> None:
    async with transaction():
        payment = await fetch_value(
            "SELECT p.id FROM payments p JOIN refunds r ON r.payment_id = p.id WHERE r.number = $1", observed.number
        )
        if payment is None or not await store_notice(notice, channel, state="received"):
            return
        await record(NoticeRefused(payment_id=payment, channel=channel.value, fields=wrong))
        await enqueue("payments.check-refund", {"number": observed.number}, key=f"check-refund:{observed.number}")
    facts = {"event": "payments.notice-mismatched", "refund": observed.number, "fields": wrong}
    logs.security.error("a notice does not match our refund", extra=facts)
