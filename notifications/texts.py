"""What became of texts: the receipts that SMS gateways push, each brought to the attempt that it is about.

The gateway's id of the text decides. When nobody knows it, the answer to our call may have been lost: then our own id
of the message, or else the phone, says whose attempt it may be.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from backend import clock, jobs
from backend.callbacks import SmsPushed, texting
from backend.crypto import fingerprints
from backend.database import fetch_row, transaction
from backend.events import EventMeta, subscribe
from backend.partners.sms.numbers import domestic
from backend.partners.sms.port import SmsPhoneRefused
from backend.partners.sms.receipts import SmsReceipt
from models.notifications import ChannelName
from notifications import receipts
from notifications.hearing import ASK_AGAIN_SECONDS, UNMATCHED
from notifications.receipts import Receipt

log = logging.getLogger(__name__)

# The first that knows: the id that the gateway gave, our own id, the phone.
_WHOSE = """
SELECT m.resident_id, NULL::uuid AS message_id, 1 AS place
FROM message_attempts a JOIN messages m ON m.id = a.message_id WHERE a.partner_id = $1 AND a.channel = 'sms'
UNION ALL SELECT resident_id, id, 2 FROM messages WHERE id = $2
UNION ALL SELECT id, NULL::uuid, 3 FROM residents WHERE phone_fingerprint = ANY($3)
ORDER BY place LIMIT 1
"""


async def hear(event: SmsPushed, meta: EventMeta) -> None:
    """Have the receipts of one push looked through, each in a transaction of its own."""
    await jobs.enqueue("notifications.texts", {"push_id": str(event.message_id), "asked": 0})


def wire() -> None:
    """Have the pushes heard. Safe to call again."""
    subscribe(SmsPushed, "notifications.handle-sms-push", hear)


@jobs.job("notifications.texts")
async def look_through(payload: dict[str, Any]) -> None:
    """Bring every receipt of a push to its attempt; those that fit none are looked at again later, a few times."""
    push_id, asked = UUID(payload["push_id"]), int(payload["asked"])
    told = await texting.take_sms(push_id)
    left = [each.serial for each in told if not await _taken(each)]
    if not left:
        return
    if asked == len(ASK_AGAIN_SECONDS):
        UNMATCHED.inc(len(left))
        log.warning("receipts of texts fit no attempt", extra={"receipts": len(left), "push_id": str(push_id)})
        return
    wait = timedelta(seconds=ASK_AGAIN_SECONDS[asked])
    async with transaction():
        await jobs.enqueue("notifications.texts", {"push_id": str(push_id), "asked": asked + 1}, after=wait)


async def _taken(told: SmsReceipt) -> bool:
    row = await fetch_row(_WHOSE, told.serial, _message_of(told.reference), _fingerprints(told.phone))
    if row is None:
        return False
    said = "success" if told.arrived else f"failed:{told.code}".rstrip(":")
    at = told.at or clock.now()
    return await receipts.take(
        Receipt(row["resident_id"], ChannelName.SMS, told.serial, said, at, message_id=row["message_id"])
    )


def _message_of(reference: str) -> UUID | None:
    try:
        return UUID(hex=reference)
    except ValueError:
        return None


def _fingerprints(phone: str) -> list[str]:
    """Under which a resident with this phone is found: it is kept as eleven digits."""
    try:
        return fingerprints(domestic(phone), "phone")
    except SmsPhoneRefused:
        return []
