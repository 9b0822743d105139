"""Recording the result of an attempt, with everything that depends on it, in one statement."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from uuid_utils.compat import uuid7

from backend import clock
from backend.database import fetch_row, in_transaction, may_pass
from backend.settings import settings
from backend.sql import named
from models.notifications import ChannelName, MessageState, Outcome
from notifications.outbox import LeasedMessage

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between attempts to record a result while the database is away."""


class Result(NamedTuple):
    """The result of an attempt, as it is to be recorded."""

    state: MessageState
    channel: ChannelName
    """The channel that carried the message, or the one to try next."""
    tries: int
    delay: float
    """Seconds until the next attempt."""
    outcome: Outcome
    code: str = ""
    partner_id: str = ""
    spends: str = ""
    """WeChat's id of the template whose one-off consent was used."""


class Recorded(NamedTuple):
    """Whether the result was accepted, and whether the lease is still ours because more is waiting."""

    accepted: bool
    more: bool


# The state of the message, the partner's answer, the consent that was used and the lease: one statement. The answer is
# kept even when the result is stale, because it proves that the partner was called twice; one that stands already (from
# a receipt, or from this very statement repeated) is left as it is.
_RECORD = """
WITH held AS (
    UPDATE message_queues SET leased_until = CASE
        WHEN :delay::float8 > 0 THEN NULL
        WHEN :state::text = 'pending' OR EXISTS (
            SELECT FROM messages WHERE resident_id = :resident AND waiting AND id <> :message::uuid)
        THEN clock_timestamp() + make_interval(secs => :lease) END
    WHERE resident_id = :resident AND fence = :fence RETURNING leased_until IS NOT NULL AS more
), recorded AS (
    UPDATE messages m SET state = :state::text, waiting = (:state::text = 'pending'), channel = :channel::text,
        tries = :tries, unanswered = 0,
        due_at = clock_timestamp() + make_interval(secs => :delay::float8),
        finished_at = CASE WHEN :state::text <> 'pending' THEN clock_timestamp() END
    FROM held WHERE m.id = :message::uuid AND m.attempts = :attempt::int AND m.state = 'leased'
    RETURNING m.id
), answered AS (
    UPDATE message_attempts SET finished_at = clock_timestamp(), code = :code, partner_id = :partner_id,
        outcome = CASE WHEN EXISTS (SELECT FROM recorded) THEN :outcome::text ELSE 'late' END
    WHERE message_id = :message::uuid AND n = :attempt::int AND outcome IS NULL
), spent AS (
    UPDATE consent_balances b SET remaining = remaining - 1, changed_at = now()
    FROM recorded
    WHERE b.resident_id = :resident AND b.template_id = :template::text AND b.kind = 'one-off' AND b.remaining > 0
    RETURNING b.resident_id
), written AS (
    INSERT INTO consent_changes (id, created_at, resident_id, template_id, kind, answer, source, source_id, delta,
                                 happened_at)
    SELECT :change::uuid, now(), resident_id, :template::text, 'one-off', 'used', 'send',
           'send:' || :message::uuid::text || ':' || :attempt::int::text, -1, now()
    FROM spent ON CONFLICT (source_id) DO NOTHING
)
SELECT EXISTS (SELECT FROM recorded) AS accepted, coalesce((SELECT more FROM held), false) AS more
"""


async def record_result(message: LeasedMessage, result: Result) -> Recorded:
    """Record the result of an attempt; keep the lease when more can be sent at once, else release it.

    A result with an old fence changes nothing but the row of its attempt. While the database is away, the statement is
    repeated for as long as a lease lasts: what the partner has accepted would go out twice without its record.
    """
    if in_transaction():
        raise RuntimeError("a result is recorded in a transaction of its own: no partner is called with one open")
    until, wait = clock.monotonic() + settings().notification_lease_seconds, FIRST_PAUSE
    while True:
        try:
            return await _record(message, result)
        except Exception as error:
            if not may_pass(error) or clock.monotonic() + wait > until:
                raise
            log.warning(
                "recording a result failed, trying again",
                extra={"event": "message.result-retried", "message_id": str(message.id), "why": repr(error)},
            )
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_PAUSE)


async def _record(message: LeasedMessage, result: Result) -> Recorded:
    row = await fetch_row(*named(_RECORD, {
        "resident": message.resident_id, "fence": message.fence, "message": message.id, "attempt": message.attempt,
        "state": str(result.state), "channel": str(result.channel), "delay": result.delay, "tries": result.tries,
        "outcome": str(result.outcome), "code": result.code[:64], "partner_id": result.partner_id[:64],
        "template": result.spends, "lease": settings().notification_lease_seconds, "change": uuid7(),
    }))  # fmt: skip
    return Recorded(bool(row and row["accepted"]), bool(row and row["more"]))
