"""A place comes back: cancelled by the resident, by the hall, or because a hold ran out. It goes to the waiting list,
or rests for a while."""

from __future__ import annotations

from uuid import UUID

from backend.appointments import resting, strikes, waiting
from backend.appointments.errors import AppointmentNotFound, AppointmentTransitionRefused, SlotExpired
from backend.appointments.events import AppointmentCancelled, AppointmentExpired
from backend.appointments.lifecycle import Transition
from backend.appointments.places import Booking, apply_transition, lock_booking
from backend.database import fetch, fetch_row, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident
from models.appointments import AppointmentState as S

_HOW = {Transition.EXPIRE: "lapsed", Transition.CANCEL: "declined"}


async def release_place(
    appointment_id: UUID, transition: Transition = Transition.CANCEL, *, offer: bool = True
) -> Booking:
    """End the appointment by this transition, give its place back to the slot and pass it on: to the next entry of
    the waiting list, or to all residents after a rest.

    Call inside a transaction, and record what happened: this writes no event of the appointment itself. `offer=False`
    for slots that are being closed. The answer is the appointment as it was.

    Raises AppointmentNotFound, AppointmentTransitionRefused.
    """
    async with transaction():
        before = await lock_booking(appointment_id)
        return await _release(before, transition, offer=offer)


async def _release(before: Booking, transition: Transition, *, offer: bool = True) -> Booking:
    await apply_transition(before, transition)
    if before.from_waiting_list and before.state is S.HELD:
        await waiting.end_offer(before.id, _HOW[transition])
    if offer:
        await resting.rest_place(before.slot_id)
    return before


_LATENESS = """
SELECT s.starts_at <= now() AS over, s.starts_at - make_interval(mins => l.cancel_minutes) <= now() AS late
FROM slots s JOIN service_lines l ON l.id = s.line_id WHERE s.id = $1
"""


@raises(AppointmentNotFound, AppointmentTransitionRefused, SlotExpired)
async def cancel_appointment(resident: AsResident, appointment_id: UUID) -> Booking:
    """Give up an appointment of one's own, held or booked. After the cut-off it still frees the place, and counts as a
    strike; a held place that was never confirmed does not.

    Raises SlotExpired when the visit has begun.
    """
    async with transaction():
        before = await lock_booking(appointment_id, owner=resident.id)
        slot = await fetch_row(_LATENESS, before.slot_id)
        assert slot is not None, "an appointment always has its slot"
        if before.state is S.BOOKED and slot["over"]:
            raise SlotExpired
        late = before.state is S.BOOKED and slot["late"]
        await _release(before, Transition.CANCEL)
        await record(AppointmentCancelled(**before.event_facts(), by="resident", late=late))
        if late:
            await strikes.give_strike(before.id, "late-cancel")
    return before


async def expire_holds(limit: int = 200) -> int:
    """Scheduled: end holds and offers whose time is over by the database's clock; how many.

    Each is a transaction of its own that looks again under the lock: against a confirmation at the same moment
    exactly one of the two happens.
    """
    rows = await fetch(
        "SELECT id FROM appointments WHERE state = 'held' AND hold_until <= now() ORDER BY hold_until LIMIT $1", limit
    )
    return sum([await _expire(row["id"]) for row in rows])


async def _expire(appointment_id: UUID) -> bool:
    async with transaction():
        before = await lock_booking(appointment_id)
        due = await fetch_row(
            "SELECT 1 FROM appointments WHERE id = $1 AND state = 'held' AND hold_until <= now()", appointment_id
        )
        if due is None:
            return False
        await _release(before, Transition.EXPIRE)
        await record(AppointmentExpired(**before.event_facts()))
    return True
