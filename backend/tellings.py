"""What people were told, proved from the data: every event that has to be told of led to messages or to a reason why
not, no message is lost, and every message has come to an end that a record proves, or stands with a reason.

The reasons why a message may still be waiting after the patience: an attempt of its own failed and the next one is
appointed, an elder message of the same person has such an appointment, or a worker holds the turn just now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg

from backend.events import kinds, subscribers_of
from backend.settings import settings

Rows = Callable[..., Awaitable[list[asyncpg.Record]]]

SUBSCRIBER = "notifications.notify"
"""The name under which the subscriber that makes messages of events signs its receipts."""
LONGEST_WAIT = timedelta(seconds=600)
"""No partner puts us off for longer; our own delays may be longer than that."""

# Ids grow with time: what was heard before the first telling was written down was before its time.
_UNTOLD = """
SELECT e.id, e.name FROM events e JOIN subscriber_receipts r ON r.event_id = e.id AND r.subscriber = $2
WHERE e.name = ANY($1) AND e.created_at < $3
  AND e.id >= (SELECT event_id FROM tellings ORDER BY event_id LIMIT 1)
  AND NOT EXISTS (SELECT FROM tellings t WHERE t.event_id = e.id)
LIMIT 1000
"""
_MISSING = """
SELECT t.event_id, t.messages - t.forgotten AS told, count(m.id) AS stand
FROM tellings t LEFT JOIN messages m ON m.event_id = t.event_id
GROUP BY t.event_id HAVING count(m.id) <> t.messages - t.forgotten LIMIT 1000
"""
# A text that was reported lost and arrived after all stands in the inbox beside its receipt.
_UNPROVEN = """
SELECT m.id, m.state FROM messages m
WHERE m.state = 'sent' AND NOT EXISTS (
    SELECT FROM message_attempts a WHERE a.message_id = m.id AND a.channel = m.channel
    AND (a.outcome IN ('accepted', 'late') OR a.receipt <> ''))
   OR m.state = 'inbox' AND NOT EXISTS (
    SELECT FROM message_attempts a WHERE a.message_id = m.id AND a.n = m.attempts
    AND (a.channel = 'inbox' AND a.outcome = 'accepted' OR a.outcome IN ('refused', 'exhausted', 'skipped')
         OR a.outcome = 'accepted' AND a.receipt <> ''))
   OR m.state = 'dead' AND NOT EXISTS (SELECT FROM message_attempts a WHERE a.message_id = m.id)
LIMIT 1000
"""
_WAITING = """
SELECT m.id, m.due_at < $1 AS is_due, m.due_at > $2 AS is_put_off FROM messages m
LEFT JOIN message_queues q USING (resident_id)
WHERE m.waiting AND m.created_at < $1 AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp())
  AND (m.due_at NOT BETWEEN $1 AND $2 OR NOT EXISTS (
      SELECT FROM message_attempts a WHERE a.message_id = m.id AND a.finished_at IS NOT NULL))
  AND NOT EXISTS (
      SELECT FROM messages e WHERE e.resident_id = m.resident_id AND e.waiting AND e.due_at BETWEEN $1 AND $2
      AND (e.event_id, e.id) < (m.event_id, m.id)
      AND EXISTS (SELECT FROM message_attempts a WHERE a.message_id = e.id AND a.finished_at IS NOT NULL))
LIMIT 1000
"""


def told_of() -> list[str]:
    """Names of the events that messages are made of, as the tables are wired."""
    return sorted(
        name for name, kind in kinds().items() if any(each.name == SUBSCRIBER for each in subscribers_of(kind))
    )


async def unproven(rows: Rows, before: datetime) -> list[str]:
    """What was not told, was lost, or stands without a proof or a reason; `before` ends the patience."""
    untold = await rows(_UNTOLD, told_of(), SUBSCRIBER, before)
    found = [f"event {row['id']} ({row['name']}) was heard and nobody knows what became of it" for row in untold]
    found += [
        f"event {row['event_id']} led to {row['told']} messages, there are {row['stand']}"
        for row in await rows(_MISSING)
    ]
    found += [f"message {row['id']} is {row['state']} without a proof" for row in await rows(_UNPROVEN)]
    return found + [f"message {row['id']} {_fault(row)}" for row in await rows(_WAITING, before, _latest(before))]


def _latest(before: datetime) -> datetime:
    """After this moment nobody has a reason to put the next attempt: twice the longest delay, counted from then."""
    delays = [float(part) for part in settings().notification_retry_seconds.split(",") if part.strip()]
    longest = max(LONGEST_WAIT, timedelta(seconds=max(delays, default=0.0) * 1.2))
    return before + timedelta(minutes=15) + 2 * longest


def _fault(row: asyncpg.Record) -> str:
    if row["is_put_off"]:
        return "is put off for longer than any reason lasts"
    return "is due and nobody sends it" if row["is_due"] else "waits and no attempt says why"
