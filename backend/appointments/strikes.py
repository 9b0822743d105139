"""Strikes (爽约记录): visits missed or cancelled too late, how long they block booking, and how they are taken back.

The rule is data of each line: `strikes_allowed` strikes within `strike_days` days have no consequence; the next one
blocks booking on that line for `block_days` days from the moment it was given. Strikes that were waived do not count,
and never have: a block that they made ends with them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.appointments.duty import Runner, authorize_hall, authorize_strike
from backend.appointments.errors import (
    BookingBlocked,
    OwnStrikeDecisionRefused,
    StrikeAlreadyAppealed,
    StrikeAppealNotPending,
    StrikeNotFound,
)
from backend.appointments.events import StrikeAppealed, StrikeDecided, StrikeGiven
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch_row, fetch_value, row_as, transaction
from backend.errors import raises
from backend.events import actor, record
from backend.identity import AsResident, AsStaff
from backend.paging import USUAL, CursorInvalid, paged
from backend.regions.errors import HallNotFound

Kind = Literal["no-show", "late-cancel"]
KIND_NAMES: dict[str, str] = {"no-show": "未按时到场", "late-cancel": "临近办理时间取消"}
_SEALED_IN = "strikes.appeal"


class StrikeDetail(Struct, kw_only=True):
    """One strike as its person sees it. `standing` is counting, appealed, upheld or waived."""

    id: UUID
    kind: str
    kind_name: str
    given_at: datetime
    line_id: UUID
    line_name: str
    hall_name: str
    appointment_number: str
    standing: str
    appeal: str | None
    blocked_until: datetime | None
    """Until when the person cannot book on this line, whichever strikes made it so; null when they can."""


class AppealDetail(Struct, kw_only=True):
    """A strike with an appeal."""

    id: UUID
    kind: str
    kind_name: str
    given_at: datetime
    given_by: UUID | None
    """The member of staff who marked the visit as missed; they do not decide. Null when a rule did."""
    line_id: UUID
    line_name: str
    appointment_number: str
    appealed_at: datetime
    appeal: str


_GIVE = """
INSERT INTO strikes (id, created_at, person_id, line_id, appointment_id, kind, given_by)
SELECT $2, $3, person_id, line_id, id, $4, $5 FROM appointments WHERE id = $1
ON CONFLICT (appointment_id) DO NOTHING RETURNING id, person_id
"""

# Every strike that is one too many, counted at its own moment, blocks from then on; the last of them counts.
_BLOCKED = """
SELECT max(s.created_at + make_interval(days => l.block_days))
FROM strikes s JOIN service_lines l ON l.id = s.line_id
WHERE s.person_id = $1 AND s.line_id = $2 AND s.waived_at IS NULL
  AND s.created_at + make_interval(days => l.block_days) > $3
  AND (SELECT count(*) FROM strikes e
       WHERE e.person_id = s.person_id AND e.line_id = s.line_id AND e.waived_at IS NULL
         AND (e.created_at, e.id) <= (s.created_at, s.id)
         AND e.created_at > s.created_at - make_interval(days => l.strike_days)) > l.strikes_allowed
"""

_OWN = """
SELECT s.id, s.kind, s.created_at AS given_at, s.person_id, s.line_id, l.name AS line_name, h.name AS hall_name,
       a.number AS appointment_number, s.appeal, s.waived_at, s.decided_at
FROM strikes s JOIN appointments a ON a.id = s.appointment_id JOIN service_lines l ON l.id = s.line_id
JOIN halls h ON h.id = l.hall_id
WHERE s.person_id IN (SELECT people_of($1, 'appointments'))
  AND ($2::timestamptz IS NULL OR (s.created_at, s.id) < ($2, $3))
ORDER BY s.created_at DESC, s.id DESC LIMIT $4
"""

_APPEALS = """
SELECT s.id, s.kind, s.created_at AS given_at, s.given_by, s.line_id, l.name AS line_name,
       a.number AS appointment_number, s.appealed_at, s.appeal
FROM strikes s JOIN appointments a ON a.id = s.appointment_id JOIN service_lines l ON l.id = s.line_id
WHERE l.hall_id = $1 AND s.appealed_at IS NOT NULL AND s.decided_at IS NULL
  AND ($2::timestamptz IS NULL OR (s.appealed_at, s.id) > ($2, $3))
ORDER BY s.appealed_at, s.id LIMIT $4
"""


async def give_strike(appointment_id: UUID, kind: Kind) -> UUID | None:
    """Count this visit against the person; None when it counts already. Call inside transaction().

    The member of staff who acts is recorded, because they may not decide on the appeal.
    """
    who, identity = actor()
    by = UUID(identity) if who == "staff" else None
    async with transaction():
        given = await fetch_row(_GIVE, appointment_id, uuid7(), clock.now(), kind, by)
        if given is None:
            return None
        strike_id: UUID = given["id"]
        await record(StrikeGiven(strike_id=strike_id, person_id=given["person_id"], kind=kind))
    return strike_id


async def blocked_until(person_id: UUID, line_id: UUID) -> datetime | None:
    """Until when the person cannot book on this line; None when they can."""
    until: datetime | None = await fetch_value(_BLOCKED, person_id, line_id, clock.now())
    return until


async def refuse_blocked(person_id: UUID, line_id: UUID) -> None:
    """Raises BookingBlocked, with `until` in its facts, while the person cannot book on this line."""
    if until := await blocked_until(person_id, line_id):
        raise BookingBlocked(f"{until.astimezone(clock.SHANGHAI):%Y年%m月%d日 %H:%M}前不能网上预约", until=until)


@raises(CursorInvalid)
async def list_own_strikes(
    resident: AsResident, *, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[StrikeDetail], str | None]:
    """One page of the strikes of the resident and of those they may act for, the latest first."""
    purpose = f"strikes {resident.id}"
    rows, more = await paged(
        _OWN, resident.id, by={"given_at": datetime.fromisoformat, "id": UUID}, make=lambda row: row,
        purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip
    return [await _strike(row) for row in rows], more


@raises(StrikeNotFound, StrikeAlreadyAppealed)
async def appeal_strike(resident: AsResident, strike_id: UUID, words: str) -> None:
    """Ask for a strike of one's own, or of a person one may act for, to be taken back. Once.

    Raises StrikeAlreadyAppealed also when it was decided on without an appeal.
    """
    async with transaction():
        strike = await fetch_row(
            "SELECT person_id, appealed_at, decided_at FROM strikes WHERE id = $1 "
            "AND person_id IN (SELECT people_of($2, 'appointments')) FOR UPDATE",
            strike_id,
            resident.id,
        )
        if strike is None:
            raise StrikeNotFound
        if strike["appealed_at"] or strike["decided_at"]:
            raise StrikeAlreadyAppealed
        sealed = seal(words, where=_SEALED_IN, row=strike_id)
        await execute("UPDATE strikes SET appeal = $2, appealed_at = $3 WHERE id = $1", strike_id, sealed, clock.now())
        await record(StrikeAppealed(strike_id=strike_id, person_id=strike["person_id"]))


@raises(HallNotFound, CursorInvalid)
async def list_appeals(
    staff: Runner, hall_id: UUID, *, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[AppealDetail], str | None]:
    """One page of the appeals that wait for a decision in this hall, the oldest first."""
    await authorize_hall(staff, hall_id)
    purpose = f"appeals {hall_id}"
    return await paged(
        _APPEALS, hall_id, by={"appealed_at": datetime.fromisoformat, "id": UUID}, make=_appeal,
        purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


def _appeal(row: asyncpg.Record) -> AppealDetail:
    appeal = open_sealed(row["appeal"], where=_SEALED_IN, row=row["id"])
    return row_as(AppealDetail, {**row, "kind_name": KIND_NAMES[row["kind"]], "appeal": appeal})


@raises(StrikeNotFound, OwnStrikeDecisionRefused, StrikeAppealNotPending)
async def decide_appeal(staff: AsStaff, strike_id: UUID, *, waive: bool) -> None:
    """Take the strike back, or let it stand. Taking back needs no appeal; letting stand answers one.

    Raises StrikeNotFound for a strike of another hall, OwnStrikeDecisionRefused when they marked the visit as missed
    themselves, StrikeAppealNotPending when it was decided on or when there is no appeal to turn down.
    """
    await authorize_strike(staff, strike_id)
    async with transaction():
        strike = await fetch_row(
            "SELECT person_id, given_by, appealed_at, decided_at FROM strikes WHERE id = $1 FOR UPDATE", strike_id
        )
        if strike is None:
            raise StrikeNotFound
        if strike["given_by"] == staff.id:
            raise OwnStrikeDecisionRefused
        if strike["decided_at"] or not (waive or strike["appealed_at"]):
            raise StrikeAppealNotPending
        now = clock.now()
        await execute(
            "UPDATE strikes SET waived_at = $2, decided_at = $3, decided_by = $4 WHERE id = $1",
            strike_id,
            now if waive else None,
            now,
            staff.id,
        )
        await record(StrikeDecided(strike_id=strike_id, person_id=strike["person_id"], waived=waive))


async def _strike(row: asyncpg.Record) -> StrikeDetail:
    sealed: str | None = row["appeal"]
    more = {
        "kind_name": KIND_NAMES[row["kind"]],
        "standing": _standing(row),
        "appeal": open_sealed(sealed, where=_SEALED_IN, row=row["id"]) if sealed else None,
        "blocked_until": await blocked_until(row["person_id"], row["line_id"]),
    }
    return row_as(StrikeDetail, {**row, **more})


def _standing(row: asyncpg.Record) -> str:
    if row["waived_at"]:
        return "waived"
    if row["decided_at"]:
        return "upheld"
    return "appealed" if row["appeal"] else "counting"
