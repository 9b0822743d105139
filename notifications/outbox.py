"""The outbox: messages wait in the database, and one worker at a time leases the next one of a resident.

A lease covers the resident's whole queue: as long as it lasts no other worker sends to this person, so WeChat never
sees two calls at once (43108) and messages go out in the order of their events. Every statement here is a transaction
of its own and takes the time from the database: the lease, then the call outside, then the result. Each lease raises
the fence of the queue; the result of a worker that was frozen past its lease carries an old fence and is refused.

Messages are found by their state, never by a position that the last reader reached: one that commits late is not lost.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from prometheus_client import Counter

from backend.database import execute, fetch, fetch_row, transaction
from backend.events import record
from backend.settings import settings
from models.notifications import ChannelName
from notifications.events import MessageRequeued
from notifications.templates import messages, partner_templates

log = logging.getLogger(__name__)

SUBSCRIBER = "notifications.notify"
"""The name of the subscriber that makes messages of events: its receipts stand under it."""
NOTIFYING_EVENTS: set[str] = set()
"""Names of the events that may lead to messages; rules.wire() fills it."""
LEASED_BY_ANOTHER = 1.0
EARLIER_EVENT = 0.2
"""Seconds after which to ask again."""

QUARANTINED = Counter("zhangban_messages_quarantined_total", "Messages that are not sent because workers died on them")


class LeasedMessage(NamedTuple):
    """A message that this worker may send now, and the fence that proves it."""

    id: UUID
    resident_id: UUID
    name: str
    context: dict[str, str]
    channel: ChannelName
    tries: int
    attempt: int
    fence: int
    happened_at: datetime
    may_subscribe: bool
    """Whether the resident's consent covers a mini-program message now."""
    paused: frozenset[str]
    """Channels that are not used at the moment."""


class Lease(NamedTuple):
    """The result of asking for the lease on a resident's queue."""

    message: LeasedMessage | None
    fence: int | None
    """Ours, when we hold the lease; then it has to be released."""
    retry: bool
    """Whether to ask again at once: the queue changed meanwhile."""
    wait: float | None
    """Seconds until asking again makes sense; None when nothing is left to do."""


# `head` looks at the snapshot of the statement. When the statement had to wait for the row of the queue, the snapshot
# may be older than the lease it got; so the UPDATE of the message checks everything again on the row itself, and the
# caller asks again when it holds the lease and got nothing.
_LEASE = """
WITH lease AS (
    UPDATE message_queues SET fence = fence + 1, leased_until = clock_timestamp() + make_interval(secs => $3)
    WHERE resident_id = $1
      AND (leased_until IS NULL OR leased_until <= clock_timestamp() OR fence = $2)
      AND EXISTS (SELECT FROM messages WHERE resident_id = $1 AND waiting AND due_at <= clock_timestamp())
    RETURNING fence
), head AS (
    SELECT m.id, m.due_at, m.created_at > clock_timestamp() - make_interval(secs => $5) AND EXISTS (
        SELECT FROM events e
        WHERE e.subject_kind = m.subject_kind AND e.subject_id = m.subject_id AND e.id < m.event_id
          AND e.at > m.created_at - interval '1 minute' AND e.name = ANY ($6::text[])
          AND NOT EXISTS (SELECT FROM subscriber_receipts r WHERE r.event_id = e.id AND r.subscriber = $7)
    ) AS has_earlier
    FROM messages m WHERE m.resident_id = $1 AND m.waiting ORDER BY m.event_id, m.id LIMIT 1
), quarantined AS (
    UPDATE messages m SET state = 'dead', waiting = false, finished_at = clock_timestamp()
    FROM head, lease WHERE m.id = head.id AND m.waiting AND m.unanswered >= $4
    RETURNING m.id
), started AS (
    UPDATE messages m SET state = 'leased', attempts = attempts + 1, unanswered = unanswered + 1
    FROM head, lease
    WHERE m.id = head.id AND m.waiting AND m.due_at <= clock_timestamp() AND m.unanswered < $4 AND NOT head.has_earlier
    RETURNING m.id, m.name, m.context, m.channel, m.tries, m.attempts, m.happened_at
), attempted AS (
    INSERT INTO message_attempts (message_id, n, channel, started_at, code, partner_id, receipt)
    SELECT id, attempts, channel, clock_timestamp(), '', '', '' FROM started
)
SELECT lease.fence, started.*, head.has_earlier, (SELECT id FROM quarantined) AS quarantined,
       extract(epoch FROM head.due_at - clock_timestamp())::float8 AS due_in,
       extract(epoch FROM q.leased_until - clock_timestamp())::float8 AS leased_for,
       (SELECT NOT b.banned AND (b.standing OR b.remaining > 0) FROM consent_balances b
        WHERE b.resident_id = $1 AND b.template_id = ($9::text[])[array_position($8::text[], started.name::text)]
       ) AS may_subscribe,
       ARRAY(SELECT channel::text FROM channel_pauses WHERE until > clock_timestamp()) AS paused
FROM message_queues q LEFT JOIN lease ON true LEFT JOIN head ON true LEFT JOIN started ON true
WHERE q.resident_id = $1
"""


async def lease_next(resident_id: UUID, fence: int | None) -> Lease:
    """Lease the resident's queue and its next message. `fence` is ours when we hold the lease already.

    A message waits a moment for that of an earlier event about the same subject, whose subscriber is still running.
    """
    values = settings()
    names, ids = _template_ids(values.notification_templates)
    row = await fetch_row(
        _LEASE, resident_id, fence if fence is not None else -1, values.notification_lease_seconds,
        values.notification_quarantine_after, values.notification_order_wait_seconds, sorted(NOTIFYING_EVENTS),
        SUBSCRIBER, names, ids,
    )  # fmt: skip
    if row is None:
        return Lease(None, None, retry=False, wait=None)
    if row["id"] is not None:
        return Lease(_leased_message(resident_id, row), row["fence"], retry=False, wait=None)
    if row["fence"] is None:
        return Lease(None, fence, retry=False, wait=_wait(row, ours=fence is not None))
    if row["quarantined"]:
        QUARANTINED.inc()
        log.error(
            "message quarantined: too many workers died on it",
            extra={"event": "message.quarantined", "message_id": str(row["quarantined"])},
        )
    elif row["has_earlier"]:
        return Lease(None, row["fence"], retry=False, wait=EARLIER_EVENT)
    elif (row["due_in"] or 0) > 0:  # later ones are due, the first is not: another worker tried it meanwhile
        return Lease(None, row["fence"], retry=False, wait=float(row["due_in"]))
    return Lease(None, row["fence"], retry=True, wait=None)


def _wait(row: Mapping[str, Any], *, ours: bool) -> float | None:
    if row["due_in"] is None:
        return None
    if row["due_in"] > 0:
        return float(row["due_in"])
    return None if ours else min(LEASED_BY_ANOTHER, max(0.05, row["leased_for"] or 0.05))


def _leased_message(resident_id: UUID, row: Mapping[str, Any]) -> LeasedMessage:
    return LeasedMessage(
        row["id"], resident_id, row["name"], msgspec.json.decode(row["context"], type=dict[str, str]),
        ChannelName(row["channel"]), row["tries"], row["attempts"], row["fence"], row["happened_at"],
        bool(row["may_subscribe"]), frozenset(row["paused"]),
    )  # fmt: skip


@lru_cache(maxsize=4)
def _template_ids(file: str) -> tuple[list[str], list[str]]:
    """Our messages that go to the mini-program, and WeChat's ids of their templates, for one file of those."""
    known = partner_templates().mini_program
    pairs = [(name, known[each.mini_program.template].id) for name, each in messages().items() if each.mini_program]
    return [name for name, _ in pairs], [identity for _, identity in pairs]


_SKIP_CHANNELS = """
WITH held AS (
    UPDATE message_queues SET leased_until = clock_timestamp() + make_interval(secs => $5)
    WHERE resident_id = $1 AND fence = $2 RETURNING clock_timestamp() AS at
), moved AS (
    UPDATE messages m SET channel = $6, tries = 0, attempts = $4 + cardinality($7::text[])
    FROM held WHERE m.id = $3 AND m.attempts = $4 AND m.state = 'leased' RETURNING m.id, held.at
), skipped AS (
    UPDATE message_attempts SET finished_at = moved.at, outcome = 'skipped', code = ($8::text[])[1]
    FROM moved WHERE message_id = moved.id AND n = $4
), others AS (
    INSERT INTO message_attempts (message_id, n, channel, started_at, finished_at, outcome, code, partner_id, receipt)
    SELECT moved.id, $4 + i, name, moved.at,
           CASE WHEN i < cardinality($7::text[]) THEN moved.at END,
           CASE WHEN i < cardinality($7::text[]) THEN 'skipped' END,
           coalesce(($8::text[])[i + 1], ''), '', ''
    FROM moved, unnest($7::text[] || $6::text) WITH ORDINALITY AS channels (name, place),
         LATERAL (SELECT place::int - 1 AS i) index
    WHERE i > 0
)
SELECT EXISTS (SELECT FROM moved)
"""


async def skip_channels(
    message: LeasedMessage, skipped: Sequence[tuple[ChannelName, str]], to: ChannelName
) -> LeasedMessage | None:
    """Record which channels were skipped and why, and begin the attempt on the next one.

    None when the lease is no longer ours.
    """
    moved = await fetch_row(
        _SKIP_CHANNELS, message.resident_id, message.fence, message.id, message.attempt,
        settings().notification_lease_seconds, str(to), [str(channel) for channel, _ in skipped],
        [code for _, code in skipped],
    )  # fmt: skip
    if moved is None or not moved[0]:
        return None
    return message._replace(channel=to, tries=0, attempt=message.attempt + len(skipped))


async def release(resident_id: UUID, fence: int) -> None:
    """End our lease, if it is still ours."""
    await execute(
        "UPDATE message_queues SET leased_until = NULL WHERE resident_id = $1 AND fence = $2", resident_id, fence
    )


_PAUSE = """
INSERT INTO channel_pauses (channel, until, code) VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3)
ON CONFLICT (channel) DO UPDATE SET until = greatest(channel_pauses.until, excluded.until), code = excluded.code
"""


async def pause_channel(channel: ChannelName, seconds: float, code: str) -> None:
    """Send nothing over the channel for a while."""
    await execute(_PAUSE, str(channel), seconds, code)


# Only the head of each queue counts: what stands behind a message that is to be tried later waits with it.
_DUE = """
SELECT m.resident_id FROM messages m JOIN message_queues q USING (resident_id)
WHERE m.waiting AND m.due_at <= clock_timestamp() - make_interval(secs => $1) AND m.resident_id <> ALL ($3::uuid[])
  AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp())
  AND NOT EXISTS (SELECT FROM messages e WHERE e.resident_id = m.resident_id AND e.waiting
                  AND (e.event_id, e.id) < (m.event_id, m.id))
ORDER BY m.due_at LIMIT $2
"""


async def list_due_residents(seconds: float, limit: int = 1000, *, but: Collection[UUID] = ()) -> list[UUID]:
    """Residents whose messages have been due for this long without a lease, the longest first; without those in
    `but`."""
    return [row["resident_id"] for row in await fetch(_DUE, seconds, limit, list(but))]


_REQUEUE = """
UPDATE messages SET state = 'pending', waiting = true, channel = $2, tries = 0, unanswered = 0, due_at = now(),
       finished_at = NULL
WHERE id = $1 AND state = 'dead' RETURNING resident_id
"""


async def requeue(message_id: UUID) -> bool:
    """Send a quarantined message again, from the first channel on; False when it was not quarantined."""
    async with transaction() as connection:
        if await connection.fetchval(_REQUEUE, message_id, str(ChannelName.MINI_PROGRAM)) is None:
            return False
        await record(MessageRequeued(message_id=message_id))
    return True
