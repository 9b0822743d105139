"""The inbox: every message stands here from the moment it exists, with the proof of its delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.database import execute, fetch, fetch_row, fetch_value, row_as, transaction
from backend.errors import NotFound, raises
from backend.events import Event, EventMeta, name_of
from backend.identity import AsResident
from backend.paging import CursorInvalid, paged
from backend.sql import named
from models.notifications import ChannelName, MessageState, Outcome
from notifications import proof, wording
from notifications.consent import ConsentAtAttempt, get_consent_at
from notifications.templates import messages, partner_templates


class MessageNotFound(NotFound):
    """No message has this id, or it is another resident's."""

    title = "没有找到这条消息"


class MessageSummary(Struct, kw_only=True):
    """One message. `page` is where a tap on it leads in the mini-program."""

    id: UUID
    name: str
    title: str
    body: str
    subject_kind: str
    subject_id: UUID
    at: datetime
    read_at: datetime | None
    page: str


class InboxPage(Struct, kw_only=True):
    """One page of the inbox, the newest first. `unread` counts all unread messages, not only those of the page."""

    items: list[MessageSummary]
    unread: int
    next_cursor: str | None


class AttemptDetail(Struct, kw_only=True):
    """One attempt: the channel, how it ended (null: no answer came), the partner's own code, its receipt, and a
    sentence about it."""

    channel: ChannelName
    at: datetime
    outcome: Outcome | None
    code: str
    receipt: str
    receipt_at: datetime | None
    words: str


class MessageDetail(Struct, kw_only=True):
    """A message with the proof of its delivery. `channel` carried it (null while that is open); `fell_back`: not the
    first channel; `message.read_at`: when it was opened; `consent` is null for messages that need none."""

    message: MessageSummary
    state: MessageState
    channel: ChannelName | None
    fell_back: bool
    words: str
    consent: ConsentAtAttempt | None
    attempts: list[AttemptDetail]


_INSERT = """
WITH made AS (
    INSERT INTO messages (id, created_at, resident_id, event_id, name, subject_kind, subject_id, happened_at, context,
                          title, body, state, waiting, channel, tries, attempts, unanswered, due_at)
    VALUES (:id, now(), :resident, :event, :name, :subject_kind, :subject_id, :at, :context, :title, :body, 'pending',
            true, :channel, 0, 0, 0, now())
    ON CONFLICT (event_id, resident_id, name) DO NOTHING RETURNING resident_id
), queued AS (
    INSERT INTO message_queues (resident_id, fence) SELECT resident_id, 0 FROM made ON CONFLICT DO NOTHING
)
SELECT count(*) FROM made
"""
_COLUMNS = "id, name, title, body, subject_kind, subject_id, happened_at AS at, read_at, context"
_LIST = f"""
SELECT {_COLUMNS} FROM messages
WHERE resident_id = $1 AND (NOT $2 OR read_at IS NULL) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4
"""
_ONE = f"SELECT {_COLUMNS}, state, channel, created_at FROM messages WHERE id = $1 AND resident_id = $2"
_ATTEMPTS = """
SELECT channel, started_at, coalesce(finished_at, started_at) AS at, outcome, code, receipt,
       received_at AS receipt_at
FROM message_attempts
WHERE message_id = $1 ORDER BY n
"""
_READ_ALL = """
UPDATE messages SET read_at = now() WHERE resident_id = $1 AND read_at IS NULL AND ($2::uuid IS NULL OR id <= $2)
"""


async def write_message(
    event: Event, meta: EventMeta, resident_id: UUID, name: str, context: Mapping[str, str]
) -> bool:
    """Write the message, which a worker then finds, in the open transaction; False when it exists already."""
    template = messages()[name]
    values = {key: context[key] for key in template.context}
    async with transaction() as connection:
        made = await connection.fetchval(*named(_INSERT, {
            "id": uuid7(), "resident": resident_id, "event": meta.id, "name": name,
            "subject_kind": name_of(type(event)).partition(".")[0], "subject_id": getattr(event, event.about),
            "at": meta.at, "context": msgspec.json.encode(values).decode(),
            "title": wording.fill(template.inbox.title, values), "body": wording.fill(template.inbox.body, values),
            "channel": str(ChannelName.MINI_PROGRAM),
        }))  # fmt: skip
    return bool(made)


@raises(CursorInvalid)
async def list_own_messages(
    resident: AsResident, *, cursor: str | None, limit: int, unread_only: bool = False
) -> InboxPage:
    """The resident's messages, the newest first."""
    items, following = await paged(
        _LIST, resident.id, unread_only,
        by={"id": UUID}, make=_summary, purpose=f"resident-messages:{resident.id}", cursor=cursor, limit=limit,
    )  # fmt: skip
    return InboxPage(items=items, unread=await count_unread(resident), next_cursor=following)


async def count_unread(resident: AsResident) -> int:
    """How many messages the resident has not opened."""
    count = await fetch_value("SELECT count(*) FROM messages WHERE resident_id = $1 AND read_at IS NULL", resident.id)
    return int(count)


@raises(MessageNotFound)
async def get_own_message(resident: AsResident, message_id: UUID) -> MessageDetail:
    """A message of the resident with its attempts."""
    row = await fetch_row(_ONE, message_id, resident.id)
    if row is None:
        raise MessageNotFound
    attempts = await fetch(_ATTEMPTS, message_id)
    state = MessageState(row["state"])
    done = state in (MessageState.SENT, MessageState.INBOX)
    channel = ChannelName(row["channel"]) if done else None
    return MessageDetail(
        message=_summary(row),
        state=state,
        channel=channel,
        fell_back=bool(channel and channel is not ChannelName.MINI_PROGRAM),
        words=proof.state_in_words(state, channel),
        consent=await get_consent_at_first_attempt(resident.id, row, attempts),
        attempts=[_attempt(each) for each in attempts],
    )


async def get_consent_at_first_attempt(
    resident_id: UUID, message: Any, attempts: Sequence[Any]
) -> ConsentAtAttempt | None:
    """What the resident allowed at the first attempt on the mini-program, or when the message was written if there was
    none; None for messages that do not go there."""
    template = messages().get(message["name"])
    if template is None or template.mini_program is None:
        return None
    known = partner_templates().mini_program[template.mini_program.template]
    first = next((each["started_at"] for each in attempts if each["channel"] == ChannelName.MINI_PROGRAM), None)
    return await get_consent_at(resident_id, known, first or message["created_at"])


@raises(MessageNotFound)
async def mark_read(resident: AsResident, message_id: UUID) -> datetime:
    """Record that the resident opened the message; the time of the first opening."""
    at: datetime | None = await fetch_value(
        "UPDATE messages SET read_at = coalesce(read_at, now()) WHERE id = $1 AND resident_id = $2 RETURNING read_at",
        message_id,
        resident.id,
    )
    if at is None:
        raise MessageNotFound
    return at


async def mark_all_read(resident: AsResident, *, up_to: UUID | None = None) -> int:
    """Record that the resident has seen every message, or those up to one; how many were unread."""
    return await execute(_READ_ALL, resident.id, up_to)


def _summary(row: Any) -> MessageSummary:
    context = msgspec.json.decode(row["context"], type=dict[str, str])
    template = messages().get(row["name"])
    page = wording.page(template.page, context, row["id"]) if template else ""
    return row_as(MessageSummary, {**row, "page": page})


def _attempt(row: Any) -> AttemptDetail:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    words = proof.attempt_in_words(ChannelName(row["channel"]), outcome, row["code"], row["receipt"])
    return row_as(AttemptDetail, {**row, "code": proof.public(row["code"]), "words": words})
