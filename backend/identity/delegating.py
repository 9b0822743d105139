"""Delegation (亲友代办): a resident lets another one act for them, in named matters and for a limited time.

The principal makes the offer while signed in, and that is their consent; no resident can begin a delegation for another
else. The delegate reads the invitation's code, sees what is asked of them, and accepts while signed in. Either of them
ends it at any time, and time ends it by itself. What was done under it stays done, and stays the principal's; from the
end on the delegate sees nothing of it any more.

Other rooms ask `may_act`, or in their statements the database's own function `people_of(resident, matter)`: the
resident and everybody for whom they may act now. Both look at the row of this moment, so an end counts at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock, logs
from backend.crypto import mask_phone, open_sealed, seal
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import invitations
from backend.identity.errors import (
    DelegationLimitExceeded,
    DelegationNotFound,
    DelegationPeriodInvalid,
    InvitationInvalid,
    OwnInvitation,
)
from backend.identity.events import DelegationBegan, DelegationEnded, DelegationOffered
from backend.identity.principals import AsResident
from backend.settings import settings

Matter = Literal["appointments", "cases", "payments", "deliveries"]
"""What a delegate may do."""
Scope = Literal["all", "appointments", "cases", "payments", "deliveries"]
"""What a delegation names: one matter, or all of them, also those that come later."""
SHOWN = 100
"""So many delegations a list shows, the latest first."""
_NAMES = {"principal": "delegations.principal_name", "delegate": "delegations.delegate_name"}


class DelegationDetail(Struct, frozen=True, kw_only=True):
    """A delegation as one of its two people sees it. `name` and `phone` (masked) are the other one's.

    `person_id` is what to name when acting: the principal. `until` is the last day, in Asia/Shanghai.
    """

    id: UUID
    role: Literal["principal", "delegate"]
    person_id: UUID
    name: str | None
    phone: str | None
    matters: list[Scope]
    state: Literal["offered", "active", "ended"]
    until: date
    invitation_until: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    """"withdrawn", "lapsed", "revoked" (by the principal), "renounced" (by the delegate), "over" or "erased"."""


class Invitation(Struct, frozen=True, kw_only=True):
    """The code of an offer, to be shown as a QR code or sent; good for one person, until then."""

    code: str
    expires_at: datetime


class InvitationDetail(Struct, frozen=True, kw_only=True):
    """What an invitation asks for, and who made it."""

    name: str
    phone: str | None
    matters: list[Scope]
    until: date
    invitation_until: datetime


_OFFER = """
INSERT INTO delegations (id, created_at, principal_id, principal_name, matters, invitation_until, ends_at)
VALUES ($1, now(), $2, $3, $4, least(date_trunc('second', now()) + make_interval(mins => $5), $6), $6)
"""
# Two devices of one person that offer or accept at the same moment count each other's change.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 13))"
_GIVEN = "SELECT count(*) FROM delegations WHERE principal_id = $1 AND ended_at IS NULL AND ends_at > now()"
_HELD = "SELECT count(*) FROM delegations WHERE delegate_id = $1 AND ended_at IS NULL AND ends_at > now()"
_SEEN = """
SELECT d.*, CASE WHEN d.principal_id = $1 THEN 'principal' ELSE 'delegate' END AS role,
       d.ended_at IS NULL AND d.ends_at > now() AND (d.accepted_at IS NOT NULL OR d.invitation_until > now()) AS open,
       o.phone AS other_phone, o.id AS other_id
FROM delegations d
LEFT JOIN residents o ON o.id = CASE WHEN d.principal_id = $1 THEN d.delegate_id ELSE d.principal_id END
WHERE (d.principal_id = $1 OR d.delegate_id = $1) AND ($2::uuid IS NULL OR d.id = $2)
ORDER BY d.ended_at IS NOT NULL, d.created_at DESC, d.id DESC LIMIT $3
"""
_INVITED = """
SELECT d.id, d.principal_id, d.principal_name, d.matters, d.invitation_until, d.ends_at, p.phone AS principal_phone
FROM delegations d JOIN residents p ON p.id = d.principal_id AND p.disabled_at IS NULL
WHERE d.id = $1 AND d.accepted_at IS NULL AND d.ended_at IS NULL AND d.invitation_until > now() FOR UPDATE OF d
"""
_DELEGATES = """
SELECT DISTINCT d.delegate_id FROM delegations d JOIN residents r ON r.id = d.delegate_id AND r.disabled_at IS NULL
WHERE d.principal_id = $1 AND d.accepted_at IS NOT NULL AND d.ended_at IS NULL
  AND $1 IN (SELECT people_of(d.delegate_id, $2))
"""
_END = """
UPDATE delegations SET ended_at = now(), end_reason = $2 WHERE id = $1 AND ended_at IS NULL
RETURNING principal_id, delegate_id
"""
_OVER = """
SELECT id, accepted_at IS NOT NULL AS begun FROM delegations
WHERE ended_at IS NULL AND (ends_at <= now() OR accepted_at IS NULL AND invitation_until <= now()) LIMIT $1
"""


async def may_act(delegate_id: UUID, principal_id: UUID, matter: Matter) -> bool:
    """Whether the one may act for the other in this matter now; true for oneself."""
    if delegate_id == principal_id:
        return True
    acts: bool = await fetch_value("SELECT $2 IN (SELECT people_of($1, $3))", delegate_id, principal_id, matter)
    return acts


async def delegates_of(principal_id: UUID, matter: Matter) -> list[UUID]:
    """Everybody who may act for this person in the matter now, without the person."""
    rows = await fetch(_DELEGATES, principal_id, matter)
    return [row["delegate_id"] for row in rows]


@raises(DelegationPeriodInvalid, DelegationLimitExceeded)
async def offer_delegation(
    resident: AsResident, *, name: str, matters: Sequence[Scope], until: date
) -> DelegationDetail:
    """Offer to be acted for, up to and including this day; `name` is what the delegate will know the principal by."""
    last = clock.today() + timedelta(days=settings().delegation_longest_days)
    if not clock.today() <= until <= last:
        raise DelegationPeriodInvalid(fields=[Fault("/until", f"应为今天至{last:%Y年%m月%d日}之间的日期")])
    delegation_id, scopes = uuid7(), ["all"] if "all" in matters else sorted(set(matters))
    ends_at = datetime.combine(until + timedelta(days=1), time(), clock.SHANGHAI)
    async with transaction():
        await _within(_GIVEN, resident.id, settings().delegations_given)
        sealed = seal(name, where=_NAMES["principal"], row=delegation_id)
        minutes = settings().delegation_invitation_minutes
        await execute(_OFFER, delegation_id, resident.id, sealed, scopes, minutes, ends_at)
        await record(DelegationOffered(delegation_id=delegation_id, principal_id=resident.id, matters=tuple(scopes)))
        return await get_own_delegation(resident, delegation_id)


async def _within(counting: str, resident_id: UUID, most: int) -> None:
    await execute(_ONE_AT_A_TIME, resident_id)
    if await fetch_value(counting, resident_id) >= most:
        raise DelegationLimitExceeded(limit=most)


async def list_own_delegations(resident: AsResident) -> list[DelegationDetail]:
    """What the resident has offered, given and been given: what is open first, then the latest."""
    return [_seen(row) for row in await fetch(_SEEN, resident.id, None, SHOWN)]


@raises(DelegationNotFound)
async def get_own_delegation(resident: AsResident, delegation_id: UUID) -> DelegationDetail:
    """One delegation of the resident, on either side of it."""
    row = await fetch_row(_SEEN, resident.id, delegation_id, 1)
    if row is None:
        raise DelegationNotFound
    return _seen(row)


def _seen(row: asyncpg.Record) -> DelegationDetail:
    other = "delegate" if row["role"] == "principal" else "principal"
    state: Literal["offered", "active", "ended"] = "active" if row["accepted_at"] else "offered"
    return DelegationDetail(
        id=row["id"],
        role=row["role"],
        person_id=row["principal_id"],
        name=_name(row, other),
        phone=_phone(row["other_phone"], row["other_id"]),
        matters=row["matters"],
        state=state if row["open"] else "ended",
        until=_last_day(row["ends_at"]),
        invitation_until=row["invitation_until"],
        begun_at=row["accepted_at"],
        ended_at=row["ended_at"],
        end_reason=row["end_reason"],
    )


def _name(row: asyncpg.Record, whose: str) -> str | None:
    sealed: str | None = row[f"{whose}_name"]
    return open_sealed(sealed, where=_NAMES[whose], row=row["id"]) if sealed else None


def _phone(sealed: str | None, resident_id: UUID) -> str | None:
    return mask_phone(open_sealed(sealed, where="residents.phone", row=resident_id)) if sealed else None


def _last_day(ends_at: datetime) -> date:
    return (ends_at - timedelta(seconds=1)).astimezone(clock.SHANGHAI).date()


@raises(DelegationNotFound, InvitationInvalid)
async def create_invitation(resident: AsResident, delegation_id: UUID) -> Invitation:
    """The code of an offer of the resident's own. Raises DelegationNotFound, InvitationInvalid once it is no offer
    any more."""
    found = await get_own_delegation(resident, delegation_id)
    if found.role != "principal":
        raise DelegationNotFound
    if found.state != "offered":
        raise InvitationInvalid
    code = invitations.encode_invitation(found.id, found.invitation_until)
    return Invitation(code=code, expires_at=found.invitation_until)


@raises(InvitationInvalid, OwnInvitation)
async def read_invitation(resident: AsResident, code: str) -> InvitationDetail:
    """What this invitation asks, before one accepts."""
    async with transaction():
        row = await _invited(resident, code)
    return InvitationDetail(
        name=_name(row, "principal") or "",
        phone=_phone(row["principal_phone"], row["principal_id"]),
        matters=row["matters"],
        until=_last_day(row["ends_at"]),
        invitation_until=row["invitation_until"],
    )


@raises(InvitationInvalid, OwnInvitation, DelegationLimitExceeded)
async def accept_invitation(resident: AsResident, code: str, *, name: str) -> DelegationDetail:
    """Take the invitation: from now on the resident acts for the principal. `name` is what the principal sees.

    Raises InvitationInvalid for a code that is forged, over, taken or withdrawn; OwnInvitation;
    DelegationLimitExceeded.
    """
    async with transaction():
        row = await _invited(resident, code)
        await _within(_HELD, resident.id, settings().delegations_held)
        await execute(
            "UPDATE delegations SET delegate_id = $2, delegate_name = $3, accepted_at = now() WHERE id = $1",
            row["id"],
            resident.id,
            seal(name, where=_NAMES["delegate"], row=row["id"]),
        )
        await record(
            DelegationBegan(delegation_id=row["id"], principal_id=row["principal_id"], delegate_id=resident.id)
        )
        return await get_own_delegation(resident, row["id"])


async def _invited(resident: AsResident, code: str) -> asyncpg.Record:
    """The offer that the code belongs to, locked: of two who take it at once, one finds it taken."""
    named = invitations.decode_invitation(code)
    row = await fetch_row(_INVITED, named[0]) if named else None
    if named is None or row is None or not invitations.is_genuine(row["id"], row["invitation_until"], named[1]):
        logs.security.info("invitation refused", extra={"event": "invitation.refused", "resident_id": str(resident.id)})
        raise InvitationInvalid
    if row["principal_id"] == resident.id:
        raise OwnInvitation
    return row


@raises(DelegationNotFound)
async def end_delegation(resident: AsResident, delegation_id: UUID) -> None:
    """Withdraw an offer, revoke what one gave, or give up what one was given; it counts at once.

    Ending an ended delegation changes nothing. Raises DelegationNotFound.
    """
    async with transaction():
        row = await fetch_row(
            "SELECT principal_id, accepted_at FROM delegations "
            "WHERE id = $1 AND (principal_id = $2 OR delegate_id = $2) FOR UPDATE",
            delegation_id,
            resident.id,
        )
        if row is None:
            raise DelegationNotFound
        own = "withdrawn" if row["accepted_at"] is None else "revoked"
        await _end(delegation_id, own if row["principal_id"] == resident.id else "renounced", by=resident.id)


async def _end(delegation_id: UUID, how: str, *, by: UUID | None = None) -> bool:
    async with transaction():
        row = await fetch_row(_END, delegation_id, how)
        if row is not None:
            people = {"principal_id": row["principal_id"], "delegate_id": row["delegate_id"]}
            await record(DelegationEnded(delegation_id=delegation_id, how=how, by=by, **people))
    return row is not None


async def end_expired_delegations(limit: int = 200) -> int:
    """Scheduled: record that delegations and offers are over by the database's clock; how many.

    They counted for nothing from that moment on: this only notifies the people.
    """
    rows = await fetch(_OVER, limit)
    return sum([await _end(row["id"], "over" if row["begun"] else "lapsed") for row in rows])


async def erase_delegations(resident_id: UUID) -> int:
    """End every delegation of an erased person, and erase their names in them; how many rows changed.

    Belongs inside transaction().
    """
    rows = await fetch(
        "SELECT id FROM delegations WHERE (principal_id = $1 OR delegate_id = $1) AND ended_at IS NULL FOR UPDATE",
        resident_id,
    )
    for row in rows:
        await _end(row["id"], "erased", by=resident_id)
    return await execute(
        "UPDATE delegations SET principal_name = CASE WHEN principal_id = $1 THEN NULL ELSE principal_name END, "
        "delegate_name = CASE WHEN delegate_id = $1 THEN NULL ELSE delegate_name END "
        "WHERE principal_id = $1 AND principal_name IS NOT NULL OR delegate_id = $1 AND delegate_name IS NOT NULL",
        resident_id,
    )
