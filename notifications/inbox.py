"""The inbox: every message stands here from the moment it exists, with the proof of what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.errors import NotFound
from backend.events import Event, EventMeta, name_of
from backend.identity.principals import AsResident
from backend.paging import cursor_of, place_of
from models.notifications import ChannelName, MessageState, Outcome
from notifications import consent, proof, wording
from notifications.consent import ConsentThen
from notifications.templates import messages, partner_templates

LIST = "resident-messages"


class MessageNotFound(NotFound):
    """There is no such message, or it is somebody else's."""

    title = "没有找到这条消息"


class Entry(NamedTuple):
    """A message as the list shows it."""

    id: UUID
    name: str
    title: str
    body: str
    subject_kind: str
    subject_id: UUID
    at: datetime
    read_at: datetime | None
    page: str


class Entries(NamedTuple):
    """One page of the inbox."""

    items: list[Entry]
    unread: int
    next_cursor: str | None


class Tried(NamedTuple):
    """One attempt, in plain words and with the partner's own code."""

    channel: ChannelName
    at: datetime
    outcome: Outcome | None
    code: str
    receipt: str
    receipt_at: datetime | None
    words: str


class Proof(NamedTuple):
    """A message, what was tried, and what became of it."""

    entry: Entry
    state: MessageState
    channel: ChannelName | None
    """The way that carried it; None while that is open."""
    fell_back: bool
    """Whether a later way had to do it."""
    words: str
    consent: ConsentThen | None
    """What the resident allowed when the first way was tried; None for messages that need no consent."""
    attempts: list[Tried]


_PUT = """
WITH made AS (
    INSERT INTO messages (id, created_at, resident_id, event_id, name, subject_kind, subject_id, happened_at, context,
                          title, body, state, waiting, channel, tries, attempts, unanswered, due_at)
    VALUES ($1, now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', true, $11, 0, 0, 0, now())
    ON CONFLICT (event_id, resident_id, name) DO NOTHING RETURNING resident_id
), queued AS (
    INSERT INTO message_queues (resident_id, fence) SELECT resident_id, 0 FROM made ON CONFLICT DO NOTHING
)
SELECT count(*) FROM made
"""
_COLUMNS = "id, name, title, body, subject_kind, subject_id, happened_at, read_at, context"
_LIST = f"""
SELECT {_COLUMNS} FROM messages
WHERE resident_id = $1 AND ($2::uuid IS NULL OR id < $2) AND (NOT $3 OR read_at IS NULL) ORDER BY id DESC LIMIT $4
"""
_ONE = f"SELECT {_COLUMNS}, state, channel, created_at FROM messages WHERE id = $1 AND resident_id = $2"
_TRIED = """
SELECT channel, started_at, coalesce(finished_at, started_at) AS at, outcome, code, receipt, received_at
FROM message_attempts
WHERE message_id = $1 ORDER BY n
"""
_READ_ALL = """
UPDATE messages SET read_at = now() WHERE resident_id = $1 AND read_at IS NULL AND ($2::uuid IS NULL OR id <= $2)
"""


async def put(event: Event, meta: EventMeta, resident_id: UUID, name: str, context: Mapping[str, str]) -> bool:
    """Write the message, which a worker then finds, in the open transaction; False when it exists already."""
    template = messages()[name]
    wanted = {key: context[key] for key in template.context}
    async with transaction() as connection:
        made = await connection.fetchval(
            _PUT, uuid7(), resident_id, meta.id, name, name_of(type(event)).partition(".")[0],
            getattr(event, event.about), meta.at, msgspec.json.encode(wanted).decode(),
            wording.fill(template.inbox.title, wanted), wording.fill(template.inbox.body, wanted),
            str(ChannelName.MINI_PROGRAM),
        )  # fmt: skip
    return bool(made)


async def entries(resident: AsResident, *, cursor: str | None, limit: int, unread_only: bool = False) -> Entries:
    """The resident's messages, the newest first. Raises CursorInvalid."""
    purpose = f"{LIST}:{resident.id}"
    before = UUID(place_of(cursor, purpose)[0]) if cursor else None
    rows = await fetch(_LIST, resident.id, before, unread_only, limit + 1)
    items = [_entry(row) for row in rows[:limit]]
    following = cursor_of([str(items[-1].id)], purpose) if len(rows) > limit else None
    return Entries(items, await unread(resident), following)


async def unread(resident: AsResident) -> int:
    """How many messages the resident has not opened."""
    count = await fetch_value("SELECT count(*) FROM messages WHERE resident_id = $1 AND read_at IS NULL", resident.id)
    return int(count)


async def shown(resident: AsResident, message_id: UUID) -> Proof:
    """A message with everything that was tried. Raises MessageNotFound, also for somebody else's."""
    row = await fetch_row(_ONE, message_id, resident.id)
    if row is None:
        raise MessageNotFound
    tried = await fetch(_TRIED, message_id)
    state = MessageState(row["state"])
    done = state in (MessageState.SENT, MessageState.INBOX)
    channel = ChannelName(row["channel"]) if done else None
    return Proof(
        _entry(row), state, channel, bool(channel and channel is not ChannelName.MINI_PROGRAM),
        _summary(state, channel), await consent_then(resident.id, row, tried), [_tried(each) for each in tried],
    )  # fmt: skip


async def consent_then(resident_id: UUID, message: Any, tried: Sequence[Any]) -> ConsentThen | None:
    """What the resident allowed when the mini-program was tried, or until now when it has not been; None for messages
    that do not go there."""
    template = messages().get(message["name"])
    if template is None or template.mini_program is None:
        return None
    known = partner_templates().mini_program[template.mini_program.template]
    first = next((each["started_at"] for each in tried if each["channel"] == ChannelName.MINI_PROGRAM), None)
    return await consent.at_moment(resident_id, known, first or message["created_at"])


async def read(resident: AsResident, message_id: UUID) -> datetime:
    """Note that the resident opened the message; the time of the first reading. Raises MessageNotFound."""
    at: datetime | None = await fetch_value(
        "UPDATE messages SET read_at = coalesce(read_at, now()) WHERE id = $1 AND resident_id = $2 RETURNING read_at",
        message_id,
        resident.id,
    )
    if at is None:
        raise MessageNotFound
    return at


async def read_all(resident: AsResident, *, up_to: UUID | None = None) -> int:
    """Note that the resident has seen every message, or those up to one; how many were new to them."""
    return await execute(_READ_ALL, resident.id, up_to)


def _entry(row: Any) -> Entry:
    context = msgspec.json.decode(row["context"], type=dict[str, str])
    template = messages().get(row["name"])
    page = wording.page(template.page, context, row["id"]) if template else ""
    return Entry(
        row["id"], row["name"], row["title"], row["body"], row["subject_kind"], row["subject_id"], row["happened_at"],
        row["read_at"], page,
    )  # fmt: skip


def _tried(row: Any) -> Tried:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    channel = ChannelName(row["channel"])
    words = proof.in_words(channel, outcome, row["code"], row["receipt"])
    code = proof.public(row["code"])
    return Tried(channel, row["at"], outcome, code, row["receipt"], row["received_at"], words)


def _summary(state: MessageState, channel: ChannelName | None) -> str:
    said = proof.STATES[state]
    return f"{said}（{proof.WAYS[channel]}）" if state is MessageState.SENT and channel else said
