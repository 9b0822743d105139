"""Receipts: a partner reports, after it accepted a message, that the message arrived, or that it did not after all.

A receipt finds its attempt by the partner's id of the message. When there is no such attempt, the answer to our call
may have been lost: then the receipt is the answer, and it saves the resident from a second copy.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from prometheus_client import Counter

from backend import jobs
from backend.database import fetch, fetch_value, transaction
from models.notifications import ChannelName, ConsentAnswer, ConsentSource, MessageState
from notifications import channels, consent
from notifications.consent import Report
from notifications.templates import messages, partner_templates

log = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(seconds=5)
RETRY_SECONDS = (2, 5, 15, 60)
"""A receipt may come before the answer to our own call: after these seconds its attempt is looked up again."""

UNMATCHED = Counter("zhangban_messages_unmatched_receipts_total", "Receipts that fit no attempt of ours")


class Receipt(NamedTuple):
    """The partner's report about one message."""

    resident_id: UUID
    channel: ChannelName
    partner_id: str
    status: str
    """`success`, or the partner's word for the failure."""
    at: datetime
    template_id: str = ""
    """WeChat's id of the template, when the receipt names it."""
    message_id: UUID | None = None
    """Our own id of the message, when the receipt names it."""


# What has arrived has arrived: a later receipt of a failure is late or false.
_RECORD = """
UPDATE message_attempts a SET receipt = CASE WHEN a.receipt = 'success' THEN a.receipt ELSE $3 END,
       received_at = CASE WHEN a.receipt = 'success' THEN a.received_at ELSE now() END
FROM messages m
WHERE m.id = a.message_id AND m.resident_id = $4 AND a.partner_id = $1 AND a.channel = $2
RETURNING a.message_id, a.n, a.receipt
"""
_FALL_BACK = """
UPDATE messages SET state = $4::text, waiting = ($4::text = 'pending'), channel = $3, tries = 0, due_at = now(),
       finished_at = CASE WHEN $4::text = 'pending' THEN NULL ELSE now() END
WHERE id = $1 AND attempts = $2 AND state = 'sent'
"""
_UNANSWERED = """
SELECT m.id, m.name, a.n
FROM messages m JOIN message_attempts a ON a.message_id = m.id AND a.channel = $2 AND a.partner_id = ''
WHERE m.resident_id = $1 AND m.waiting AND (a.outcome IS NULL OR a.outcome = 'uncertain')
  AND a.started_at <= $3::timestamptz + $4::interval
ORDER BY a.started_at
"""
# As long as the lease runs, the worker may be alive and record the answer itself.
_ANSWERED = """
WITH recorded AS (
    UPDATE messages m SET state = 'sent', waiting = false, unanswered = 0, finished_at = clock_timestamp(), channel = $5
    FROM message_queues q
    WHERE m.id = $1 AND m.waiting AND q.resident_id = m.resident_id
      AND (m.state = 'pending' OR q.leased_until IS NULL OR q.leased_until <= clock_timestamp())
    RETURNING m.id
)
UPDATE message_attempts SET outcome = 'accepted', code = '0', partner_id = $3, receipt = $4, received_at = now(),
       finished_at = coalesce(finished_at, now())
FROM recorded WHERE message_id = recorded.id AND n = $2 RETURNING message_id
"""


async def apply_receipt(receipt: Receipt) -> bool:
    """Record the receipt and act on it; False when no attempt fits yet, so that it is worth trying again soon.

    A receipt without a message id cannot be assigned and is ignored.
    """
    if not receipt.partner_id:
        return True
    async with transaction() as connection:
        row = await connection.fetchrow(
            _RECORD, receipt.partner_id, str(receipt.channel), receipt.status[:64], receipt.resident_id
        )
        if row is None:
            return receipt.status == "success" and await _replaces_lost_answer(receipt)
        if row["receipt"] != "success":
            following = channels.next_channel(receipt.channel)
            state = MessageState.INBOX if following is ChannelName.INBOX else MessageState.PENDING
            await connection.execute(_FALL_BACK, row["message_id"], row["n"], str(following), str(state))
    return True


async def retry_unmatched(job: str, push_id: UUID, retries: int, unmatched: int) -> None:
    """Have the job apply the receipts of a push again later; after the last retry count and log the unmatched ones."""
    if retries == len(RETRY_SECONDS):
        UNMATCHED.inc(unmatched)
        facts = {"event": "receipt.unmatched", "receipts": unmatched, "push_id": str(push_id)}
        log.warning("receipts fit no attempt", extra=facts)
        return
    wait = timedelta(seconds=RETRY_SECONDS[retries])
    async with transaction():
        await jobs.enqueue(job, {"push_id": str(push_id), "retries": retries + 1}, after=wait)


async def _replaces_lost_answer(receipt: Receipt) -> bool:
    rows = await fetch(_UNANSWERED, receipt.resident_id, str(receipt.channel), receipt.at, CLOCKS_DIFFER)
    fitting = [row for row in rows if _fits(row["id"], row["name"], receipt)]
    if not fitting:
        return False
    found = fitting[0]
    answer = (found["id"], found["n"], receipt.partner_id, receipt.status, str(receipt.channel))
    if not await fetch_value(_ANSWERED, *answer):
        return False
    if receipt.template_id:
        source_id = f"send:{found['id']}:{found['n']}"
        used = Report(receipt.template_id, ConsentAnswer.USED, ConsentSource.SEND, source_id, receipt.at)
        await consent.record_reports(receipt.resident_id, [used])
    return True


def _fits(message_id: UUID, name: str, receipt: Receipt) -> bool:
    if receipt.message_id is not None:
        return message_id == receipt.message_id
    return not receipt.template_id or _template_of(name) == receipt.template_id


def _template_of(name: str) -> str:
    template = messages().get(name)
    if template is None or template.mini_program is None:
        return ""
    return partner_templates().mini_program[template.mini_program.template].id
