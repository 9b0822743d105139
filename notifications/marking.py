"""The mark: what an attempt came to, written down with everything that hangs on it."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from uuid_utils.compat import uuid7

from backend import clock
from backend.database import fetch_row, in_transaction, may_pass
from backend.settings import settings
from models.notifications import ChannelName, MessageState, Outcome
from notifications.outbox import Parcel

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between marks that a lost database refuses."""


class Result(NamedTuple):
    """What an attempt came to, as it is to be marked."""

    state: MessageState
    channel: ChannelName
    """The way that carried the message, or the one to try next."""
    tries: int
    delay: float
    """Seconds until the next attempt."""
    outcome: Outcome
    code: str = ""
    partner_id: str = ""
    spends: str = ""
    """WeChat's id of the template whose one-off consent was used."""


class Marked(NamedTuple):
    """Whether the mark was accepted, and whether the turn is still ours because more is waiting."""

    accepted: bool
    more: bool


# The mark, the answer, the consent that was used and what becomes of the turn: one statement. The answer is kept even
# when the mark comes too late, because it proves that the partner was asked twice; one that stands already (a receipt
# brought it, or this is a repeated mark) is left as it is.
_MARK = """
WITH held AS (
    UPDATE message_queues SET leased_until = CASE
        WHEN $7::float8 > 0 THEN NULL
        WHEN $5::text = 'pending' OR EXISTS (SELECT FROM messages WHERE resident_id = $1 AND waiting AND id <> $3::uuid)
        THEN clock_timestamp() + make_interval(secs => $13) END
    WHERE resident_id = $1 AND fence = $2 RETURNING leased_until IS NOT NULL AS more
), marked AS (
    UPDATE messages m SET state = $5::text, waiting = ($5::text = 'pending'), channel = $6::text, tries = $8,
        unanswered = 0,
        due_at = clock_timestamp() + make_interval(secs => $7::float8),
        finished_at = CASE WHEN $5::text <> 'pending' THEN clock_timestamp() END
    FROM held WHERE m.id = $3::uuid AND m.attempts = $4::int AND m.state = 'leased' RETURNING m.id
), answered AS (
    UPDATE message_attempts SET finished_at = clock_timestamp(), code = $10, partner_id = $11,
        outcome = CASE WHEN EXISTS (SELECT FROM marked) THEN $9::text ELSE 'late' END
    WHERE message_id = $3::uuid AND n = $4::int AND outcome IS NULL
), spent AS (
    UPDATE consent_balances b SET remaining = remaining - 1, changed_at = now()
    FROM marked WHERE b.resident_id = $1 AND b.template_id = $12::text AND b.kind = 'one-off' AND b.remaining > 0
    RETURNING b.resident_id
), written AS (
    INSERT INTO consent_changes (id, created_at, resident_id, template_id, kind, answer, source, source_id, delta,
                                 happened_at)
    SELECT $14::uuid, now(), resident_id, $12::text, 'one-off', 'used', 'send',
           'send:' || $3::uuid::text || ':' || $4::int::text, -1, now()
    FROM spent ON CONFLICT (source_id) DO NOTHING
)
SELECT EXISTS (SELECT FROM marked) AS accepted, coalesce((SELECT more FROM held), false) AS more
"""


async def mark(parcel: Parcel, result: Result) -> Marked:
    """Write down what the attempt came to; keep the turn when more can be sent at once, else give it back.

    A mark with an old fence changes nothing but the record of the attempt. A database that goes away just now is asked
    again for as long as a lease lasts: what the partner has accepted would go out twice without the mark.
    """
    if in_transaction():
        raise RuntimeError("a mark is a transaction of its own: nobody may wait for a partner with one open")
    until, wait = clock.monotonic() + settings().notification_lease_seconds, FIRST_PAUSE
    while True:
        try:
            return await _mark(parcel, result)
        except Exception as error:
            if not may_pass(error) or clock.monotonic() + wait > until:
                raise
            log.warning("a mark is tried again", extra={"message_id": str(parcel.id), "why": repr(error)})
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_PAUSE)


async def _mark(parcel: Parcel, result: Result) -> Marked:
    row = await fetch_row(
        _MARK, parcel.resident_id, parcel.fence, parcel.id, parcel.attempt, str(result.state), str(result.channel),
        result.delay, result.tries, str(result.outcome), result.code[:64], result.partner_id[:64], result.spends,
        settings().notification_lease_seconds, uuid7(),
    )  # fmt: skip
    return Marked(bool(row and row["accepted"]), bool(row and row["more"]))
