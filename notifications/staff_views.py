"""Messages as operators see them: the attempts and their results. Never the content, and no phone number in clear.

`messages.operate` is a duty over the whole installation, like reading the audit trail: a channel that fails, fails for
every department, and the message about a case hangs on the same account with WeChat as that about a delivery. So the
duty is not divided by departments; instead the content is left out, and only the masked phone of the resident is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from backend.crypto import mask_phone
from backend.database import fetch, fetch_row, row_as
from backend.errors import Conflict, raises
from backend.identity import AsStaff, phone_of
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from models.notifications import ChannelName, MessageState, Outcome
from notifications import inbox, outbox, proof
from notifications.consent import ConsentAtAttempt
from notifications.inbox import MessageNotFound

DUTY = "messages.operate"

_COLUMNS = """
SELECT id, created_at, resident_id, event_id, name, subject_kind, subject_id, happened_at AS at, state, channel,
       attempts, due_at, finished_at, read_at FROM messages
"""
_WHERE = """
($1::text[] IS NULL OR state = ANY($1)) AND ($2::text IS NULL OR subject_kind = $2)
  AND ($3::uuid IS NULL OR subject_id = $3) AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $5
"""
_LIST = f"{_COLUMNS} WHERE {_WHERE}"
# The condition is written out, so that the index of the few dead messages is used.
_DEAD = f"{_COLUMNS} WHERE state = 'dead' AND {_WHERE}"
_ATTEMPTS = """
SELECT n, channel, started_at, finished_at, outcome, code, partner_id, receipt,
       received_at AS receipt_at
FROM message_attempts
WHERE message_id = $1 ORDER BY n
"""


class MessageNotQuarantined(Conflict):
    """Only a quarantined message can be sent again: the others are on their way or have arrived."""

    title = "该消息不在待处理状态"


class Subject(NamedTuple):
    """The subject of messages; None: any."""

    kind: str | None = None
    id: UUID | None = None


ANY_SUBJECT = Subject()


class StaffMessageSummary(Struct, kw_only=True):
    """One message in a list; `name` is its template, `attempts` counts its attempts."""

    id: UUID
    event_id: UUID
    """The event in the ledger that it is about."""
    name: str
    subject_kind: str
    subject_id: UUID
    at: datetime
    state: str
    state_name: str
    channel: str | None
    """The channel that carried it; null while that is open."""
    fell_back: bool
    attempts: int
    due_at: datetime | None
    """When the next attempt may begin; null when none will."""
    finished_at: datetime | None
    read_at: datetime | None


class StaffAttemptDetail(Struct, kw_only=True):
    """One attempt; `partner_id` is the partner's id of the message, with which its support finds it."""

    n: int
    channel: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    code: str
    partner_id: str
    receipt: str
    receipt_at: datetime | None
    words: str


class StaffMessageDetail(StaffMessageSummary, kw_only=True):
    """One message with its attempts. `phone` is masked; null without a confirmed one."""

    phone: str | None
    consent: ConsentAtAttempt | None
    history: list[StaffAttemptDetail]


@raises(DutyMissing, CursorInvalid)
async def list_messages(
    staff: AsStaff,
    *,
    states: Sequence[MessageState] | None = None,
    subject: Subject = ANY_SUBJECT,
    limit: int = USUAL,
    cursor: str | None = None,
) -> tuple[list[StaffMessageSummary], str | None]:
    """Messages, the newest first, and the cursor of the next page."""
    staff.require(DUTY)
    wanted = [str(each) for each in states] if states else None
    statement = _DEAD if wanted == [MessageState.DEAD] else _LIST
    return await paged(
        statement, wanted, subject.kind, subject.id, by={"id": UUID}, limit=limit, cursor=cursor,
        make=lambda row: StaffMessageSummary(**_fields(row)), purpose=f"staff-messages:{staff.id}",
    )  # fmt: skip


@raises(DutyMissing, MessageNotFound)
async def get_message(staff: AsStaff, message_id: UUID) -> StaffMessageDetail:
    """A message with its attempts."""
    staff.require(DUTY)
    row = await fetch_row(f"{_COLUMNS} WHERE id = $1", message_id)
    if row is None:
        raise MessageNotFound
    attempts = await fetch(_ATTEMPTS, message_id)
    phone = await phone_of(row["resident_id"])
    return StaffMessageDetail(
        **_fields(row),
        phone=mask_phone(phone) if phone else None,
        consent=await inbox.get_consent_at_first_attempt(row["resident_id"], row, attempts),
        history=[_attempt(each) for each in attempts],
    )


@raises(DutyMissing, MessageNotFound, MessageNotQuarantined)
async def requeue_message(staff: AsStaff, message_id: UUID) -> StaffMessageDetail:
    """Send a quarantined message again, from the first channel on."""
    found = await get_message(staff, message_id)
    if not await outbox.requeue(message_id):
        raise MessageNotQuarantined(state=found.state_name)
    return await get_message(staff, message_id)


def _fields(row: Any) -> dict[str, Any]:
    state = MessageState(row["state"])
    done = state in (MessageState.SENT, MessageState.INBOX)
    waits = state in (MessageState.PENDING, MessageState.LEASED)
    names = (
        "id",
        "event_id",
        "name",
        "subject_kind",
        "subject_id",
        "at",
        "state",
        "attempts",
        "finished_at",
        "read_at",
    )
    return {
        **{name: row[name] for name in names},
        "state_name": proof.STATES[state],
        "channel": row["channel"] if done else None,
        "fell_back": done and row["channel"] != ChannelName.MINI_PROGRAM,
        "due_at": row["due_at"] if waits else None,
    }


def _attempt(row: Any) -> StaffAttemptDetail:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    words = proof.attempt_in_words(ChannelName(row["channel"]), outcome, row["code"], row["receipt"])
    return row_as(StaffAttemptDetail, {**row, "words": proof.about_resident(words)})
