"""What operators see of messages: how each was brought, and what became of it. Never what it says, and nobody's number.

`notifications.operate` is a duty over the whole installation, like reading the audit trail: a way that fails, fails for
every department, and the message about a case hangs on the same account with WeChat as that about a parcel. So it is
not divided by departments; instead the content is left out, and of whoever is told only the masked phone is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from backend.crypto import mask_phone
from backend.database import fetch, fetch_row
from backend.errors import Conflict
from backend.identity.principals import AsStaff
from backend.identity.residents import phone_of
from backend.paging import USUAL, cursor_of, place_of
from models.notifications import ChannelName, MessageState, Outcome
from notifications import inbox, operating, proof
from notifications.consent import ConsentThen
from notifications.inbox import MessageNotFound

DUTY = "notifications.operate"

_COLUMNS = """
SELECT id, created_at, resident_id, event_id, name, subject_kind, subject_id, happened_at, state, channel, attempts,
       due_at, finished_at, read_at FROM messages
"""
_WHERE = """
($1::text[] IS NULL OR state = ANY($1)) AND ($2::text IS NULL OR subject_kind = $2)
  AND ($3::uuid IS NULL OR subject_id = $3) AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $5
"""
_LIST = f"{_COLUMNS} WHERE {_WHERE}"
# Said in so many words, so that the index of the few that are dead is used.
_DEAD = f"{_COLUMNS} WHERE state = 'dead' AND {_WHERE}"
_TRIED = """
SELECT n, channel, started_at, finished_at, outcome, code, partner_id, receipt, received_at FROM message_attempts
WHERE message_id = $1 ORDER BY n
"""


class MessageNotQuarantined(Conflict):
    """Only a message that was set aside can be sent again: the others are on their way or have arrived."""

    title = "该消息不在待处理状态"


class About(NamedTuple):
    """What messages are about; None: anything."""

    kind: str | None = None
    id: UUID | None = None


EVERYTHING = About()


class MessageOverseen(Struct, kw_only=True):
    """One message in a list; `name` is its template, `attempts` how often it was tried."""

    id: UUID
    event_id: UUID
    """The event in the ledger that it tells of."""
    name: str
    subject_kind: str
    subject_id: UUID
    at: datetime
    state: str
    state_name: str
    channel: str | None
    """The way that carried it; null while that is open."""
    fell_back: bool
    attempts: int
    due_at: datetime | None
    """When the next attempt may begin; null when none will."""
    finished_at: datetime | None
    read_at: datetime | None


class AttemptOverseen(Struct, kw_only=True):
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


class MessageTrail(MessageOverseen, kw_only=True):
    """One message with everything that was tried. `phone` is masked; null without a confirmed one."""

    phone: str | None
    consent: ConsentThen | None
    history: list[AttemptOverseen]


async def listed(
    staff: AsStaff,
    *,
    states: Sequence[MessageState] | None = None,
    about: About = EVERYTHING,
    limit: int = USUAL,
    cursor: str | None = None,
) -> tuple[list[MessageOverseen], str | None]:
    """Messages, the newest first, and where the next page begins. Raises DutyMissing and CursorInvalid."""
    staff.require(DUTY)
    purpose = f"staff-messages:{staff.id}"
    before = UUID(place_of(cursor, purpose)[0]) if cursor else None
    wanted = [str(each) for each in states] if states else None
    statement = _DEAD if wanted == [MessageState.DEAD] else _LIST
    rows = await fetch(statement, wanted, about.kind, about.id, before, limit + 1)
    items = [MessageOverseen(**_facts(row)) for row in rows[:limit]]
    return items, cursor_of([str(items[-1].id)], purpose) if len(rows) > limit else None


async def one(staff: AsStaff, message_id: UUID) -> MessageTrail:
    """A message with its proof. Raises DutyMissing and MessageNotFound."""
    staff.require(DUTY)
    row = await fetch_row(f"{_COLUMNS} WHERE id = $1", message_id)
    if row is None:
        raise MessageNotFound
    tried = await fetch(_TRIED, message_id)
    phone = await phone_of(row["resident_id"])
    return MessageTrail(
        **_facts(row),
        phone=mask_phone(phone) if phone else None,
        consent=await inbox.consent_then(row["resident_id"], row, tried),
        history=[_tried(each) for each in tried],
    )


async def revive(staff: AsStaff, message_id: UUID) -> MessageTrail:
    """Send a message that was set aside once more, from the first way on.

    Raises DutyMissing, MessageNotFound and MessageNotQuarantined.
    """
    found = await one(staff, message_id)
    if not await operating.send_again(message_id):
        raise MessageNotQuarantined(state=found.state_name)
    return await one(staff, message_id)


def _facts(row: Any) -> dict[str, Any]:
    state = MessageState(row["state"])
    done = state in (MessageState.SENT, MessageState.INBOX)
    waits = state in (MessageState.PENDING, MessageState.LEASED)
    return {
        **{name: row[name] for name in ("id", "event_id", "name", "subject_kind", "subject_id", "attempts", "read_at")},
        "at": row["happened_at"],
        "state": row["state"],
        "state_name": proof.STATES[state],
        "channel": row["channel"] if done else None,
        "fell_back": done and row["channel"] != ChannelName.MINI_PROGRAM,
        "due_at": row["due_at"] if waits else None,
        "finished_at": row["finished_at"],
    }


def _tried(row: Any) -> AttemptOverseen:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    names = ("n", "channel", "started_at", "finished_at", "outcome", "code", "partner_id", "receipt")
    words = proof.in_words(ChannelName(row["channel"]), outcome, row["code"], row["receipt"])
    return AttemptOverseen(
        **{name: row[name] for name in names},
        receipt_at=row["received_at"],
        words=proof.of_somebody(words),
    )
