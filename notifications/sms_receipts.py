"""Handles the receipts that SMS gateways push: each is applied to the attempt that it is about.

The gateway's id of the text decides. When no attempt has it, the answer to our call may have been lost: then our own id
of the message, or else the phone, identifies the resident.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from backend import callbacks, clock, jobs
from backend.callbacks import SmsPushed
from backend.crypto import fingerprints
from backend.database import fetch_row
from backend.events import EventMeta, subscribe
from backend.partners.sms.numbers import domestic
from backend.partners.sms.port import SmsPhoneRefused
from backend.partners.sms.receipts import SmsReceipt
from models.notifications import ChannelName
from notifications.receipts import Receipt, apply_receipt, retry_unmatched

# The first that is known: the gateway's id, our own id, the phone.
_RESIDENT = """
SELECT m.resident_id, NULL::uuid AS message_id, 1 AS place
FROM message_attempts a JOIN messages m ON m.id = a.message_id WHERE a.partner_id = $1 AND a.channel = 'sms'
UNION ALL SELECT resident_id, id, 2 FROM messages WHERE id = $2
UNION ALL SELECT id, NULL::uuid, 3 FROM residents WHERE phone_fingerprint = ANY($3)
ORDER BY place LIMIT 1
"""


async def handle_push(event: SmsPushed, meta: EventMeta) -> None:
    """Have a job apply the receipts of one push, each in a transaction of its own."""
    await jobs.enqueue("notifications.sms-receipts", {"push_id": str(event.message_id), "retries": 0})


def wire() -> None:
    """Subscribe to the pushes. Safe to call again."""
    subscribe(SmsPushed, "notifications.handle-sms-push", handle_push)


@jobs.job("notifications.sms-receipts")
async def apply_push(payload: dict[str, Any]) -> None:
    """Apply every receipt of a push; when some fit no attempt, the push is applied again later, a few times."""
    push_id, retries = UUID(payload["push_id"]), int(payload["retries"])
    pushed = await callbacks.consume_sms_push(push_id)
    unmatched = [each.serial for each in pushed if not await _apply(each)]
    if unmatched:
        await retry_unmatched("notifications.sms-receipts", push_id, retries, len(unmatched))


async def _apply(pushed: SmsReceipt) -> bool:
    row = await fetch_row(_RESIDENT, pushed.serial, _message_id(pushed.reference), _fingerprints(pushed.phone))
    if row is None:
        return False
    status = "success" if pushed.arrived else f"failed:{pushed.code}".rstrip(":")
    at = pushed.at or clock.now()
    return await apply_receipt(
        Receipt(row["resident_id"], ChannelName.SMS, pushed.serial, status, at, message_id=row["message_id"])
    )


def _message_id(reference: str) -> UUID | None:
    try:
        return UUID(hex=reference)
    except ValueError:
        return None


def _fingerprints(phone: str) -> list[str]:
    """The fingerprints of the phone as residents' phones are stored: eleven digits."""
    try:
        return fingerprints(domestic(phone), "phone")
    except SmsPhoneRefused:
        return []
