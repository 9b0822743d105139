"""At the counter: arrival, the receiver's proof of identity and signature, and reminders while it waits.

The receiver gives their code, which identifies them (the resident, or a delegate at this moment), or shows the
resident's own document. Staff of the counter and of the deciding department hand over.
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
from backend.deliveries import pickup_codes, signatures, transitions
from backend.deliveries.acting import MATTER
from backend.deliveries.errors import (
    DeliveryNotFound,
    DeliveryTransitionRefused,
    HandOverRefused,
    HandOverTried,
    SignatureUnusable,
)
from backend.deliveries.events import HandedOver, HandOverDenied, KeptLonger, PickupDue
from backend.deliveries.lifecycle import DELIVERIES, Transition
from backend.deliveries.transitions import DeliveryRow
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff, delegating
from backend.identity.errors import DutyMissing
from backend.settings import SettingsError, settings
from models.deliveries import DeliveryState, Method

HAND_OVER = "deliveries.hand-over"
"""The duty to hand over at a counter."""
LONGEST_DAYS = 180
BATCH = 200


class IdentityProof(Struct, frozen=True, kw_only=True):
    """What the person at the counter shows: the name on the document, and the code or the document's last four
    characters."""

    name: str
    code: str | None = None
    id_last_four: str | None = None


IdentityCheck = Callable[[str, UUID, str, str], Awaitable[bool]]
"""Whether the person of a subject (kind, id) has this name and these last four characters of their document."""


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


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused)
async def make_ready(staff: AsStaff, number: str, kept_days: int | None = None) -> DeliveryRow:
    """Make a delivery ready at the counter, kept for so many days (those of the settings, if None); its owner is
    notified."""
    days = settings().pickup_kept_days if kept_days is None else kept_days
    async with transaction():
        delivery = await _at_counter(staff, number)
        DELIVERIES.after(delivery.state, Transition.MAKE_READY)
        delivery.kept_until = clock.today() + timedelta(days=days)
        secret, now = pickup_codes.new_secret(), clock.now()
        await execute(_MAKE_READY, delivery.id, secret, delivery.kept_until, days, now)
        await transitions.apply_transition(delivery, Transition.MAKE_READY, "counter", now)
    return delivery


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused)
async def keep_until(staff: AsStaff, number: str, day: date) -> DeliveryRow:
    """Keep a delivery until another day, today at the earliest.

    Raises DutyMissing, DeliveryNotFound; DeliveryTransitionRefused when it is not at the counter, or for a day
    that is over or too far away.
    """
    async with transaction():
        delivery = await _at_counter(staff, number)
        today = clock.today()
        if delivery.state is not DeliveryState.READY or not today <= day <= today + timedelta(days=LONGEST_DAYS):
            raise DeliveryTransitionRefused(state=delivery.state.value, transition="keep-until")
        await execute(_KEEP, delivery.id, day)
        delivery.kept_until, delivery.version = day, delivery.version + 1
        await record(KeptLonger(delivery_id=delivery.id, resident_id=delivery.resident_id, kept_until=day))
    return delivery


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, SignatureUnusable, HandOverRefused, HandOverTried)
async def hand_over(
    staff: AsStaff, number: str, proof: IdentityProof, signature: str, *, identity_check: IdentityCheck
) -> DeliveryRow:
    """Hand a delivery over to a person who proves that it is theirs, against their signature (PNG, base64).

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, SignatureUnusable; HandOverRefused, which is
    counted and recorded; HandOverTried after too many of those.
    """
    staff.require(HAND_OVER)
    picture = signatures.check_signature(signature)
    async with transaction():
        delivery = await _at_counter(staff, number)
        DELIVERIES.after(delivery.state, Transition.HAND_OVER)
        taker = await _taker(delivery, proof, await _count_try(delivery), identity_check)
        if taker is not None:
            await _give(staff, delivery, proof.name, taker, picture)
            return delivery
        await record(HandOverDenied(delivery_id=delivery.id, staff_id=staff.id))
    raise HandOverRefused


async def _at_counter(staff: AsStaff, number: str) -> DeliveryRow:
    staff.require(HAND_OVER)
    found: UUID | None = await fetch_value(_AT_COUNTER, number, staff.department_id)
    delivery = await transitions.lock_row(found) if found is not None else None
    if delivery is None or delivery.method is not Method.PICKUP:
        raise DeliveryNotFound
    return delivery


async def _count_try(delivery: DeliveryRow) -> str:
    """Return the secret of the codes, with this try counted as failed; a success ends the counting.

    Raises HandOverTried.
    """
    row = await fetch_row(_TRIES, delivery.id)
    assert row is not None, "its row is locked"
    now, rest = clock.now(), timedelta(minutes=settings().hand_over_rest_minutes)
    recent = row["refused_at"] is not None and row["refused_at"] + rest > now
    count = row["refusals"] + 1 if recent else 1
    if count > settings().hand_over_tries:
        raise HandOverTried(retry_after=(row["refused_at"] + rest - now).total_seconds())
    await execute(_REFUSE, delivery.id, count, now)
    secret: str = row["secret"]
    return secret


async def _taker(
    delivery: DeliveryRow, proof: IdentityProof, secret: str, identity_check: IdentityCheck
) -> _Taker | None:
    if proof.code is not None:
        people = [delivery.resident_id, *await delegating.delegates_of(delivery.resident_id, MATTER)]
        person = pickup_codes.person_of(secret, proof.code, people)
        if person is None:
            return None
        own = person == delivery.resident_id
        return _Taker("self", "pickup_code") if own else _Taker("delegate", "delegation")
    if proof.id_last_four is not None:
        known = await identity_check(delivery.subject_kind, delivery.subject_id, proof.name, proof.id_last_four)
        return _Taker("self", "resident_id") if known else None
    return None


async def _give(staff: AsStaff, delivery: DeliveryRow, name: str, taker: _Taker, picture: str) -> None:
    identity, now = uuid7(), clock.now()
    await transitions.apply_transition(delivery, Transition.HAND_OVER, "counter", now)
    taken_by = seal(name, where="hand_overs.taken_by", row=identity)
    signature = seal(picture, where="hand_overs.signature", row=identity)
    await execute(
        _HAND_OVER, identity, now, delivery.id, taken_by, taker.relation, taker.checked_with, signature, staff.id
    )
    await record(
        HandedOver(
            delivery_id=delivery.id, resident_id=delivery.resident_id, relation=taker.relation, staff_id=staff.id
        )
    )


def reminder_days() -> list[int]:
    """The days before the last one on which a reminder is due. Raises SettingsError."""
    try:
        days = [int(part) for part in settings().pickup_reminders.split(",") if part.strip()]
    except ValueError as error:
        raise SettingsError("PICKUP_REMINDERS must read 7,1") from error
    if days and min(days) < 0:
        raise SettingsError("PICKUP_REMINDERS must not be negative")
    return days


async def record_reminders() -> int:
    """Record the reminders that are due, each once; how many. Scheduled."""
    today, days = clock.today(), reminder_days()
    async with transaction():
        rows = await fetch(_DUE, today, days, BATCH)
        for row in rows:
            left = (row["kept_until"] - today).days
            reminded = min(each for each in days if each >= left)
            await execute("UPDATE deliveries SET reminded_days = $2 WHERE id = $1", row["id"], reminded)
            await record(PickupDue(delivery_id=row["id"], resident_id=row["resident_id"], days_left=left))
    return len(rows)
