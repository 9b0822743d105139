"""What a channel pushes to us: believed, compared with our order, settled and kept in one transaction, then answered.

The channel hears "yes" after COMMIT and never before. What it says of a number that we do not have is not kept at all:
it may be on its way from elsewhere, and the channel repeats it. What does not fit our order or refund is kept, moves
nothing, alarms operators, and the channel is asked what is true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Protocol, runtime_checkable

from backend import logs
from backend.callbacks.inbound import RECEIVED
from backend.database import execute, fetch_value, transaction
from backend.errors import DomainError
from backend.events import act_as, record
from backend.jobs import enqueue
from backend.partners.paying.port import (
    Notice,
    NoticeKind,
    OrderSeen,
    PayChannel,
    PaymentNoticeSignatureInvalid,
    RefundSeen,
)
from backend.payments import settling
from backend.payments.errors import PaymentNoticeMismatch
from backend.payments.events import NoticeRefused
from backend.payments.refund_settling import look_into
from backend.payments.refunding import settle_refund
from backend.payments.settling import HANDLED, PARTNERS, Found, keep
from models.payments import Channel

_OURS = "SELECT 1 FROM payments WHERE number = $1 AND channel = $2"
_HEARD = "SELECT state FROM inbound_messages WHERE partner = $1 AND partner_id = $2"
_HANDLED = """
UPDATE inbound_messages SET state = 'handled', handled_at = now()
WHERE partner = $1 AND partner_id = $2 AND state = 'received'
"""


@runtime_checkable
class SpeaksOldForm(Protocol):
    """A channel that tells of refunds in its console in an older form as well."""

    def open_v2_notice(self, body: bytes) -> Notice:
        """Raises PaymentNoticeSignatureInvalid and PaymentNoticeInvalid."""
        ...


async def receive(channel: PayChannel, headers: Mapping[str, str], body: bytes) -> None:
    """Take a push: whatever it says is in our books when this returns, once, however often it comes.

    Raises PaymentNoticeSignatureInvalid, PaymentNoticeExpired, PaymentNoticeInvalid, PaymentNoticeOrderNotFound and
    PaymentNoticeMismatch: the channel is told no and comes again. What is refused leaves nothing but a line in the
    security log and a count.
    """
    await _receive(Channel(channel.name), channel.open_notice(headers, body))


async def receive_old_form(channel: PayChannel, body: bytes) -> None:
    """Take the XML notice of a refund that was made in the channel's console. Nothing signs it: it is kept, and the
    channel is asked what is true. Raises PaymentNoticeSignatureInvalid, also where the channel has no such form, and
    PaymentNoticeInvalid."""
    await _receive(Channel(channel.name), _opened_old_form(channel, body))


async def _opened_old_form(channel: PayChannel, body: bytes) -> Notice:
    if not isinstance(channel, SpeaksOldForm):
        raise PaymentNoticeSignatureInvalid("no-old-form")
    return channel.open_v2_notice(body)


async def _receive(channel: Channel, opening: Awaitable[Notice]) -> None:
    partner = PARTNERS[channel]
    act_as("partner", partner)
    try:
        new = await _take(channel, await opening)
    except DomainError as trouble:
        refused(partner, trouble)
        raise
    RECEIVED.labels(partner, "new" if new else "repeated").inc()


def refused(partner: str, trouble: DomainError) -> None:
    """Count and log a push that we did not take."""
    RECEIVED.labels(partner, trouble.code).inc()
    logs.security.warning(
        "push refused", extra={"partner": partner, "why": trouble.code, "what": getattr(trouble, "why", "")}
    )


async def _take(channel: Channel, notice: Notice) -> bool:
    if notice.kind is NoticeKind.ORDER and notice.order is not None:
        return await _order(channel, notice, notice.order)
    if notice.kind is NoticeKind.REFUND and notice.refund is not None:
        return await _refund(channel, notice, notice.refund)
    async with transaction():
        if not await keep(notice, channel):
            return False
        if notice.refund is not None:
            await _look_at_refund(channel, notice.refund)
    return True


async def _look_at_refund(channel: Channel, seen: RefundSeen) -> None:
    """Have the channel asked about a refund that a notice speaks of without being proof of it."""
    if await fetch_value("SELECT 1 FROM refunds WHERE number = $1", seen.number):
        await enqueue("payments.check-refund", {"number": seen.number}, key=f"check-refund:{seen.number}")
    elif await fetch_value(_OURS, seen.payment_number, channel.value):
        await look_into(channel, seen.payment_number, seen.number)


async def _order(channel: Channel, notice: Notice, seen: OrderSeen) -> bool:
    async with transaction():
        found = await settling.find(seen, channel, notice)
        if found.row["heard"] == HANDLED:
            return False
        wrong = settling.differences(found, seen)
        if not wrong:
            await settling.take(found, seen, "notice", notice=notice)
            if found.row["heard"]:  # it did not fit before; the question that it led to has been answered since
                await execute(_HANDLED, PARTNERS[channel], notice.identity)
        elif not found.row["heard"]:
            await _doubt(found, notice, wrong)
    if wrong:
        raise PaymentNoticeMismatch
    return True


async def _doubt(found: Found, notice: Notice, wrong: list[str]) -> None:
    """Keep the notice unhandled, say that it does not fit, and have the channel asked."""
    row = found.row
    await keep(notice, row["channel"], state="received")
    await record(NoticeRefused(payment_id=row["id"], channel=row["channel"], fields=wrong))
    await enqueue("payments.check", {"number": row["number"]}, key=f"payment-check:{row['number']}")
    logs.security.error("a notice does not fit our order", extra={"payment": row["number"], "what": wrong})


async def _refund(channel: Channel, notice: Notice, seen: RefundSeen) -> bool:
    try:
        async with transaction():
            heard = await fetch_value(_HEARD, PARTNERS[channel], notice.identity)
            if heard == HANDLED:
                return False
            await settle_refund(seen, channel=channel, known_by="notice")
            await _keep_handled(notice, channel, heard)
    except PaymentNoticeMismatch as mismatch:
        await _doubt_refund(channel, notice, seen, list(mismatch.facts.get("fields_that_differ", ["refund"])))
        raise
    return True


async def _keep_handled(notice: Notice, channel: Channel, heard: str | None) -> None:
    if heard:
        await execute(_HANDLED, PARTNERS[channel], notice.identity)
    else:
        await keep(notice, channel)


async def _doubt_refund(channel: Channel, notice: Notice, seen: RefundSeen, wrong: list[str]) -> None:
    async with transaction():
        payment = await fetch_value(
            "SELECT p.id FROM payments p JOIN refunds r ON r.payment_id = p.id WHERE r.number = $1", seen.number
        )
        if payment is None or not await keep(notice, channel, state="received"):
            return
        await record(NoticeRefused(payment_id=payment, channel=channel.value, fields=wrong))
        await enqueue("payments.check-refund", {"number": seen.number}, key=f"check-refund:{seen.number}")
    logs.security.error("a notice does not fit our refund", extra={"refund": seen.number, "what": wrong})
