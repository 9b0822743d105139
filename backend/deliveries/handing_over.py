"""At the counter: what came there, who fetches it and how we know, their signature; reminders while it waits.

Whoever fetches it says their code, which tells who they are (the resident, or somebody who may act for them at this
moment), or shows the resident's own document. The counter's own staff and those of the deciding department do this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import seal
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.deliveries import moving, pickup_codes, signatures
from backend.deliveries.acting import MATTER
from backend.deliveries.errors import DeliveryNotFound, DeliveryTransitionRefused, HandOverRefused, HandOverTried
from backend.deliveries.events import HandedOver, HandOverDenied, KeptLonger, PickupDue
from backend.deliveries.lifecycle import Move, after
from backend.deliveries.moving import Standing
from backend.events import record
from backend.identity import delegating
from backend.identity.principals import AsStaff
from backend.settings import SettingsError, settings
from models.deliveries import DeliveryState, Method

HAND_OVER = "deliveries.hand-over"
"""The duty of whoever hands things over at a counter."""
LONGEST_DAYS = 180
BATCH = 200


class Shown(Struct, frozen=True, kw_only=True):
    """What the person at the counter shows: their name as on the document, and either the code or the last four
    characters of the resident's own document."""

    name: str
    code: str | None = None
    id_last_four: str | None = None


Knows = Callable[[str, UUID, str, str], Awaitable[bool]]
"""Whether the person behind a subject (kind, id) has this name and these last four characters of their document."""


class _Taker(NamedTuple):
    relation: str
    checked_with: str


_AT_COUNTER = """
SELECT d.id FROM deliveries d JOIN pickup_points p ON p.id = d.pickup_point_id
WHERE d.number = $1 AND d.method = 'pickup' AND $2 IN (d.department_id, p.department_id)
"""
_MAKE_READY = """
UPDATE deliveries SET pickup_code_fingerprint = $2, kept_until = $3, reminded_days = $4, refusals = 0,
    refused_at = NULL, ready_at = coalesce(ready_at, $5)
WHERE id = $1
"""
_KEEP = "UPDATE deliveries SET kept_until = $2, reminded_days = NULL, version = version + 1 WHERE id = $1"
_TRIES = "SELECT pickup_code_fingerprint AS secret, refusals, refused_at FROM deliveries WHERE id = $1"
_REFUSE = "UPDATE deliveries SET refusals = $2, refused_at = $3 WHERE id = $1"
_HAND_OVER = """
INSERT INTO hand_overs (id, created_at, delivery_id, taken_by, relation, checked_with, signature, staff_id, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $2)
"""
_DUE = """
SELECT d.id, d.resident_id, d.kept_until FROM deliveries d
WHERE d.state = 'ready' AND d.kept_until >= $1 AND EXISTS (
    SELECT 1 FROM unnest($2::int[]) AS days
    WHERE days >= d.kept_until - $1 AND (d.reminded_days IS NULL OR d.reminded_days > days))
ORDER BY d.kept_until, d.id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""


async def make_ready(staff: AsStaff, number: str, kept_days: int | None = None) -> Standing:
    """It lies at the counter now and is kept for so many days (as the settings say, if None); its owner is told.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused.
    """
    days = settings().pickup_kept_days if kept_days is None else kept_days
    async with transaction():
        standing = await _at_counter(staff, number)
        after(standing.state, Move.MAKE_READY)
        standing.kept_until = clock.today() + timedelta(days=days)
        secret, now = pickup_codes.new_secret(), clock.now()
        await execute(_MAKE_READY, standing.id, secret, standing.kept_until, days, now)
        await moving.move(standing, Move.MAKE_READY, "counter", now)
    return standing


async def keep_until(staff: AsStaff, number: str, day: date) -> Standing:
    """It is kept until another day, today at the earliest.

    Raises DutyMissing, DeliveryNotFound; DeliveryTransitionRefused when it does not lie at the counter, or for a day
    that is over or too far away.
    """
    async with transaction():
        standing = await _at_counter(staff, number)
        today = clock.today()
        if standing.state is not DeliveryState.READY or not today <= day <= today + timedelta(days=LONGEST_DAYS):
            raise DeliveryTransitionRefused(state=standing.state.value, move="keep-until")
        await execute(_KEEP, standing.id, day)
        standing.kept_until, standing.version = day, standing.version + 1
        await record(KeptLonger(delivery_id=standing.id, resident_id=standing.resident_id, kept_until=day))
    return standing


async def hand_over(staff: AsStaff, number: str, shown: Shown, signature: str, *, knows: Knows) -> Standing:
    """Give it to whoever could show that it is theirs, against their signature (PNG, base64).

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, SignatureUnusable; HandOverRefused, which is
    counted and noted; HandOverTried after too many of those.
    """
    staff.require(HAND_OVER)
    picture = signatures.checked(signature)
    async with transaction():
        standing = await _at_counter(staff, number)
        after(standing.state, Move.HAND_OVER)
        taker = await _taker(standing, shown, await _refuse_the_persistent(standing), knows)
        if taker is not None:
            await _give(staff, standing, shown.name, taker, picture)
            return standing
        await record(HandOverDenied(delivery_id=standing.id, staff_id=staff.id))
    raise HandOverRefused


async def _at_counter(staff: AsStaff, number: str) -> Standing:
    staff.require(HAND_OVER)
    found: UUID | None = await fetch_value(_AT_COUNTER, number, staff.department_id)
    standing = await moving.locked(found) if found is not None else None
    if standing is None or standing.method is not Method.PICKUP:
        raise DeliveryNotFound
    return standing


async def _refuse_the_persistent(standing: Standing) -> str:
    """The secret of the codes, after this try was counted as one that failed; whoever succeeds ends the counting.

    Raises HandOverTried.
    """
    row = await fetch_row(_TRIES, standing.id)
    assert row is not None, "its row is locked"
    now, rest = clock.now(), timedelta(minutes=settings().hand_over_rest_minutes)
    recent = row["refused_at"] is not None and row["refused_at"] + rest > now
    count = row["refusals"] + 1 if recent else 1
    if count > settings().hand_over_tries:
        raise HandOverTried(retry_after=(row["refused_at"] + rest - now).total_seconds())
    await execute(_REFUSE, standing.id, count, now)
    secret: str = row["secret"]
    return secret


async def _taker(standing: Standing, shown: Shown, secret: str, knows: Knows) -> _Taker | None:
    if shown.code is not None:
        people = [standing.resident_id, *await delegating.delegates_of(standing.resident_id, MATTER)]
        person = pickup_codes.person_of(secret, shown.code, people)
        if person is None:
            return None
        own = person == standing.resident_id
        return _Taker("self", "pickup_code") if own else _Taker("delegate", "delegation")
    if shown.id_last_four is not None:
        known = await knows(standing.subject_kind, standing.subject_id, shown.name, shown.id_last_four)
        return _Taker("self", "resident_id") if known else None
    return None


async def _give(staff: AsStaff, standing: Standing, name: str, taker: _Taker, picture: str) -> None:
    identity, now = uuid7(), clock.now()
    await moving.move(standing, Move.HAND_OVER, "counter", now)
    taken_by = seal(name, where="hand_overs.taken_by", row=identity)
    signature = seal(picture, where="hand_overs.signature", row=identity)
    await execute(
        _HAND_OVER, identity, now, standing.id, taken_by, taker.relation, taker.checked_with, signature, staff.id
    )
    await record(
        HandedOver(
            delivery_id=standing.id, resident_id=standing.resident_id, relation=taker.relation, staff_id=staff.id
        )
    )


def reminders() -> list[int]:
    """How many days before the last one a reminder is due. Raises SettingsError."""
    try:
        days = [int(part) for part in settings().pickup_reminders.split(",") if part.strip()]
    except ValueError as error:
        raise SettingsError("PICKUP_REMINDERS must read 7,1") from error
    if days and min(days) < 0:
        raise SettingsError("PICKUP_REMINDERS must not be negative")
    return days


async def remind() -> int:
    """Clockwork: tell the owners of what is not kept much longer; how many. Each reminder is told once."""
    today, days = clock.today(), reminders()
    async with transaction():
        rows = await fetch(_DUE, today, days, BATCH)
        for row in rows:
            left = (row["kept_until"] - today).days
            told = min(each for each in days if each >= left)
            await execute("UPDATE deliveries SET reminded_days = $2 WHERE id = $1", row["id"], told)
            await record(PickupDue(delivery_id=row["id"], resident_id=row["resident_id"], days_left=left))
    return len(rows)
