"""Check-in codes: what the phone shows and the kiosk scans. Short-lived, signed, good for one visit and one use.

A code is `ZB1.` and base32 letters, so that a QR code takes it in its compact mode; it is no address, and holds ids
and numbers only. It names the appointment, the hall and the day, when it ends, and a nonce; a keyed fingerprint over
all of it is its signature, made with the current key of the ring and verified under every key that is still on it.
Forged, expired, of another hall or another day: the answer is one and the same; the security log knows which it was.
"""

from __future__ import annotations

import secrets
import struct
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from backend import logs, signed_codes
from backend.appointments.errors import AppointmentNotFound, AppointmentTransitionRefused, CheckInRefused
from backend.appointments.lifecycle import APPOINTMENTS, Transition
from backend.appointments.places import BOOKING, Booking
from backend.database import execute, fetch_one_as, fetch_value
from backend.errors import raises
from backend.identity import AsResident, timing

SCHEME = "ZB1."
LIFE = timedelta(seconds=60)
"""By the database's clock. The phone asks for the next one when half of it is over."""
KEPT = timedelta(days=1)
"""How long spent codes are remembered: they have been dead for nearly as long."""
_BODY = struct.Struct(">16s16sIIQ")
_DOMAIN = "check-in-code"


class CheckInCode(Struct, frozen=True, kw_only=True):
    """A code to show, and when it ends. `refresh_in` seconds from now another one should be asked for."""

    code: str
    expires_at: datetime
    refresh_in: int


class ScannedCode(Struct, frozen=True, kw_only=True):
    """What a genuine code says."""

    appointment_id: UUID
    hall_id: UUID
    day: date
    expires_at: datetime
    nonce: str


@raises(AppointmentNotFound, AppointmentTransitionRefused)
async def issue_check_in_code(resident: AsResident, appointment_id: UUID) -> CheckInCode:
    """A new code for a booked visit of the resident or of a person they may act for; codes given before stay good until
    their minute is over."""
    booking = await _own(resident, appointment_id)
    APPOINTMENTS.after(booking.state, Transition.CHECK_IN)
    expires_at = datetime.fromtimestamp(int((timing.now() + LIFE).timestamp()), UTC)
    code = encode_code(booking.id, booking.hall_id, booking.day, expires_at)
    return CheckInCode(code=code, expires_at=expires_at, refresh_in=int(LIFE.total_seconds()) // 2)


_OWN = BOOKING + " AND a.person_id IN (SELECT people_of($2, 'appointments'))"


async def _own(resident: AsResident, appointment_id: UUID) -> Booking:
    booking = await fetch_one_as(Booking, _OWN, appointment_id, resident.id)
    if booking is None:
        raise AppointmentNotFound
    return booking


def encode_code(appointment_id: UUID, hall_id: UUID, day: date, expires_at: datetime) -> str:
    """A signed code for this appointment, hall and day that ends at this whole second."""
    ends, nonce = int(expires_at.timestamp()), secrets.randbits(64)
    body = _BODY.pack(appointment_id.bytes, hall_id.bytes, day.toordinal(), ends, nonce)
    return signed_codes.written(SCHEME, body, signs=body.hex(), domain=_DOMAIN)


def decode_code(code: str, hall_id: UUID) -> ScannedCode:
    """What the code says, if it is one of ours, for this hall, and not over. Raises CheckInRefused.

    The caller, which knows the appointment, compares the day and whether the code was used.
    """
    scanned = _genuine(code)
    if scanned is None:
        raise check_in_refused("forged")
    if scanned.hall_id != hall_id:
        raise check_in_refused("other-hall", scanned.appointment_id)
    if scanned.expires_at <= timing.now():
        raise check_in_refused("expired", scanned.appointment_id)
    return scanned


def _genuine(code: str) -> ScannedCode | None:
    found = signed_codes.read(SCHEME, code, _BODY.size)
    if found is None or not signed_codes.genuine(found[1], signs=found[0].hex(), domain=_DOMAIN):
        return None
    appointment, hall, ordinal, ends, nonce = _BODY.unpack(found[0])
    return ScannedCode(
        appointment_id=UUID(bytes=appointment),
        hall_id=UUID(bytes=hall),
        day=date.fromordinal(ordinal),
        expires_at=datetime.fromtimestamp(ends, UTC),
        nonce=f"{nonce:016x}",
    )


def check_in_refused(why: str, appointment_id: UUID | None = None) -> CheckInRefused:
    """The one refusal; `why` goes into the security log only."""
    facts = {"reason": why, "appointment_id": str(appointment_id or "")}
    logs.security.warning("check-in code refused", extra={"event": "check-in.refused", **facts})
    return CheckInRefused()


_SPEND = "INSERT INTO spent_check_ins (nonce, spent_at) VALUES ($1, now()) ON CONFLICT (nonce) DO NOTHING RETURNING id"


async def spend_code(scanned: ScannedCode) -> None:
    """Use the code up, in the caller's transaction: of two scans at once, one waits for the other and is refused.

    Raises CheckInRefused when it was used before.
    """
    if await fetch_value(_SPEND, scanned.nonce) is None:
        raise check_in_refused("replayed", scanned.appointment_id)


async def delete_spent_codes() -> int:
    """Delete codes that were used long ago; how many. They cannot be used again, because they have expired."""
    return await execute("DELETE FROM spent_check_ins WHERE spent_at < now() - $1::interval", KEPT)
