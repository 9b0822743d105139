"""The outbox: messages wait in the database, and one worker at a time takes the next one of a resident.

A turn is a lease on the resident's queue: as long as it lasts nobody else sends to this person, so WeChat never sees
two calls at once (43108) and messages go out in the order of their events. Every statement here is a transaction of
its own and takes the time from the database: lease, then the call outside, then the mark. Each take raises the fence
of the queue; a worker that was frozen past its lease comes back with an old fence and its mark is refused.

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

from backend.database import execute, fetch, fetch_row
from backend.settings import settings
from models.notifications import ChannelName
from notifications.templates import messages, partner_templates

log = logging.getLogger(__name__)

SET_ASIDE = Counter(
    "zhangban_messages_set_aside_total", "Messages on which so many workers died that nobody sends them"
)


class Parcel(NamedTuple):
    """A message that we may send now, and the fence that shows it."""

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
    """Ways that are left alone at the moment."""


class Turn(NamedTuple):
    """What came of asking for a resident's turn."""

    parcel: Parcel | None
    fence: int | None
    """Ours, when we hold the turn; then it has to be given back."""
    again: bool
    """Whether to ask again at once: something changed while we were asking."""
    wait: float | None
    """Seconds until asking again makes sense; None when nothing is left to do."""


# `head` looks at the snapshot of the statement. When the statement had to wait for the row of the queue, the snapshot
# may be older than the lease it got; so the UPDATE of the message checks everything again on the row itself, and the
# caller asks again when it holds the turn and got nothing.
_TAKE = """
WITH turn AS (
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
    ) AS has_elder
    FROM messages m WHERE m.resident_id = $1 AND m.waiting ORDER BY m.event_id, m.id LIMIT 1
), poisoned AS (
    UPDATE messages m SET state = 'dead', waiting = false, finished_at = clock_timestamp()
    FROM head, turn WHERE m.id = head.id AND m.waiting AND m.unanswered >= $4
    RETURNING m.id
), started AS (
    UPDATE messages m SET state = 'leased', attempts = attempts + 1, unanswered = unanswered + 1
    FROM head, turn
    WHERE m.id = head.id AND m.waiting AND m.due_at <= clock_timestamp() AND m.unanswered < $4 AND NOT head.has_elder
    RETURNING m.id, m.name, m.context, m.channel, m.tries, m.attempts, m.happened_at
), noted AS (
    INSERT INTO message_attempts (message_id, n, channel, started_at, code, partner_id, receipt)
    SELECT id, attempts, channel, clock_timestamp(), '', '', '' FROM started
)
SELECT turn.fence, started.*, head.has_elder, (SELECT id FROM poisoned) AS poisoned,
       extract(epoch FROM head.due_at - clock_timestamp())::float8 AS due_in,
       extract(epoch FROM q.leased_until - clock_timestamp())::float8 AS leased_for,
       (SELECT NOT b.banned AND (b.standing OR b.remaining > 0) FROM consent_balances b
        WHERE b.resident_id = $1 AND b.template_id = ($9::text[])[array_position($8::text[], started.name::text)]
       ) AS may_subscribe,
       ARRAY(SELECT channel::text FROM channel_pauses WHERE until > clock_timestamp()) AS paused
FROM message_queues q LEFT JOIN turn ON true LEFT JOIN head ON true LEFT JOIN started ON true
WHERE q.resident_id = $1
"""

HELD_BY_ANOTHER = 1.0
ELDER = 0.2


SUBSCRIBER = "notifications.notify"
"""The name under which the receipts of the subscriber that makes messages stand."""
TOLD: set[str] = set()
"""Names of the events that it makes messages of; rules.wire() fills it."""


async def take(resident_id: UUID, fence: int | None) -> Turn:
    """Ask for the resident's turn and the next message. `fence` is ours when we hold the turn already.

    A message waits a moment for that of an earlier event about the same subject, whose subscriber is still running.
    """
    values = settings()
    names, ids = _template_ids(values.notification_templates)
    row = await fetch_row(
        _TAKE, resident_id, fence if fence is not None else -1, values.notification_lease_seconds,
        values.notification_poison_after, values.notification_elder_seconds, sorted(TOLD), SUBSCRIBER, names, ids,
    )  # fmt: skip
    if row is None:
        return Turn(None, None, again=False, wait=None)
    if row["id"] is not None:
        return Turn(_parcel(resident_id, row), row["fence"], again=False, wait=None)
    if row["fence"] is None:
        return Turn(None, fence, again=False, wait=_wait(row, ours=fence is not None))
    if row["poisoned"]:
        SET_ASIDE.inc()
        log.error("a message broke every worker and was set aside", extra={"message_id": str(row["poisoned"])})
    elif row["has_elder"]:
        return Turn(None, row["fence"], again=False, wait=ELDER)
    elif (row["due_in"] or 0) > 0:  # those behind it are due, it is not: somebody tried it while we were asking
        return Turn(None, row["fence"], again=False, wait=float(row["due_in"]))
    return Turn(None, row["fence"], again=True, wait=None)


def _wait(row: Mapping[str, Any], *, ours: bool) -> float | None:
    if row["due_in"] is None:
        return None
    if row["due_in"] > 0:
        return float(row["due_in"])
    return None if ours else min(HELD_BY_ANOTHER, max(0.05, row["leased_for"] or 0.05))


def _parcel(resident_id: UUID, row: Mapping[str, Any]) -> Parcel:
    return Parcel(
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


_SKIP_WAYS = """
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
    SELECT moved.id, $4 + i, way, moved.at,
           CASE WHEN i < cardinality($7::text[]) THEN moved.at END,
           CASE WHEN i < cardinality($7::text[]) THEN 'skipped' END,
           coalesce(($8::text[])[i + 1], ''), '', ''
    FROM moved, unnest($7::text[] || $6::text) WITH ORDINALITY AS ways (way, place),
         LATERAL (SELECT place::int - 1 AS i) index
    WHERE i > 0
)
SELECT EXISTS (SELECT FROM moved)
"""


async def pass_over(parcel: Parcel, skipped: Sequence[tuple[ChannelName, str]], to: ChannelName) -> Parcel | None:
    """Write down which ways were not tried and why, and begin the attempt on the next one.

    None when the turn is no longer ours.
    """
    moved = await fetch_row(
        _SKIP_WAYS, parcel.resident_id, parcel.fence, parcel.id, parcel.attempt, settings().notification_lease_seconds,
        str(to), [str(way) for way, _ in skipped], [code for _, code in skipped],
    )  # fmt: skip
    if moved is None or not moved[0]:
        return None
    return parcel._replace(channel=to, tries=0, attempt=parcel.attempt + len(skipped))


async def give_back(resident_id: UUID, fence: int) -> None:
    """End our turn, if it is still ours."""
    await execute(
        "UPDATE message_queues SET leased_until = NULL WHERE resident_id = $1 AND fence = $2", resident_id, fence
    )


_PAUSE = """
INSERT INTO channel_pauses (channel, until, code) VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3)
ON CONFLICT (channel) DO UPDATE SET until = greatest(channel_pauses.until, excluded.until), code = excluded.code
"""


async def pause(channel: ChannelName, seconds: float, code: str) -> None:
    """Leave a way alone for a while."""
    await execute(_PAUSE, str(channel), seconds, code)


# Only the head of each queue counts: whoever waits behind one that is to be tried later waits with it.
_OVERDUE = """
SELECT m.resident_id FROM messages m JOIN message_queues q USING (resident_id)
WHERE m.waiting AND m.due_at <= clock_timestamp() - make_interval(secs => $1) AND m.resident_id <> ALL ($3::uuid[])
  AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp())
  AND NOT EXISTS (SELECT FROM messages e WHERE e.resident_id = m.resident_id AND e.waiting
                  AND (e.event_id, e.id) < (m.event_id, m.id))
ORDER BY m.due_at LIMIT $2
"""


async def overdue(seconds: float, limit: int = 1000, *, but: Collection[UUID] = ()) -> list[UUID]:
    """Residents whose messages are due for this long while nobody holds their turn, the longest first; not `but`."""
    return [row["resident_id"] for row in await fetch(_OVERDUE, seconds, limit, list(but))]
