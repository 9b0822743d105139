"""Invariant I-8 for messages, proved from the data: every event that notifies led to messages or to a reason for none,
no message is lost, and every message has come to an end that a record proves, or waits for a reason.

The reasons for which a message may still be waiting after the grace period: an attempt of its own failed and the next
one is appointed, an earlier message of the same resident has such an appointment, or a worker holds the lease just now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from backend import invariants
from backend.events import kinds, subscribers_of
from backend.invariants import Rows
from backend.settings import settings
from notifications.outbox import SUBSCRIBER

LONGEST_WAIT = timedelta(seconds=600)
"""No partner puts a message off for longer; our own delays may be longer than that."""

# Ids grow with time: what was handled before the first outcome was stored is older than this table.
_WITHOUT_OUTCOME = """
SELECT e.id, e.name FROM events e JOIN subscriber_receipts r ON r.event_id = e.id AND r.subscriber = $2
WHERE e.name = ANY($1) AND e.created_at < $3
  AND e.id >= (SELECT event_id FROM notification_outcomes ORDER BY event_id LIMIT 1)
  AND NOT EXISTS (SELECT FROM notification_outcomes o WHERE o.event_id = e.id)
LIMIT 1000
"""
_MISSING = """
SELECT o.event_id, o.messages - o.erased AS expected, count(m.id) AS found
FROM notification_outcomes o LEFT JOIN messages m ON m.event_id = o.event_id
GROUP BY o.event_id HAVING count(m.id) <> o.messages - o.erased LIMIT 1000
"""
# A text message that was reported lost and arrived after all stands in the inbox beside its receipt.
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
_TOO_OFTEN = """
SELECT message_id, count(*) FILTER (WHERE outcome IN ('accepted', 'late')) AS accepted FROM message_attempts
WHERE channel <> 'inbox' GROUP BY message_id
HAVING count(*) FILTER (WHERE outcome IN ('accepted', 'late')) > 1 + count(*) FILTER (
    WHERE outcome IS NULL OR outcome IN ('uncertain', 'late')
    OR outcome = 'accepted' AND receipt NOT IN ('', 'success'))
LIMIT 1000
"""


def notifying_events() -> list[str]:
    """Names of the events that may lead to messages, as the tables are wired."""
    return sorted(
        name for name, kind in kinds().items() if any(each.name == SUBSCRIBER for each in subscribers_of(kind))
    )


async def find_violations(rows: Rows, before: datetime) -> list[str]:
    """Lost messages, missing outcomes, and messages without a proof or a reason; `before` ends the grace
    period."""
    found = [f"message {row['message_id']} was accepted {row['accepted']} times" for row in await rows(_TOO_OFTEN)]
    found += [
        f"event {row['id']} ({row['name']}) was handled and has no outcome"
        for row in await rows(_WITHOUT_OUTCOME, notifying_events(), SUBSCRIBER, before)
    ]
    found += [
        f"event {row['event_id']} led to {row['expected']} messages, there are {row['found']}"
        for row in await rows(_MISSING)
    ]
    found += [f"message {row['id']} is {row['state']} without a proof" for row in await rows(_UNPROVEN)]
    return found + [f"message {row['id']} {_fault(row)}" for row in await rows(_WAITING, before, _latest(before))]


def wire() -> None:
    """Have the proof of I-8 include messages. Safe to call again."""
    invariants.extend("I-8", find_violations)


def _latest(before: datetime) -> datetime:
    """No attempt is appointed for after this moment: twice the longest delay, counted from now."""
    delays = [float(part) for part in settings().notification_retry_seconds.split(",") if part.strip()]
    longest = max(LONGEST_WAIT, timedelta(seconds=max(delays, default=0.0) * 1.2))
    return before + timedelta(minutes=15) + 2 * longest


def _fault(row: asyncpg.Record) -> str:
    if row["is_put_off"]:
        return "is put off for longer than any reason lasts"
    return "is due and no worker sends it" if row["is_due"] else "waits without an attempt that explains it"
