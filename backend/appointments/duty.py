"""Which halls a member of staff runs. The one rule that every door for a hall's staff goes through.

A hall is run by staff with its own duty (`hall:<code>`), and by staff who have `halls.manage` and works for a
department that governs the hall's region: the department's own region or one above it. For everybody else, and for
staff of another hall, the hall's lines, slots, appointments and queue do not exist: the answer is 404, not 403.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from backend.appointments.errors import AppointmentNotFound, ServiceLineNotFound, SlotNotFound, StrikeNotFound
from backend.database import fetch, fetch_row
from backend.errors import NotFound
from backend.identity import AsOperator, AsStaff, hall_duty
from backend.regions.errors import HallNotFound

Runner = AsStaff | AsOperator
"""A principal who may run a hall: its staff, or an operator of the service."""

MANAGES_ALL = "halls.manage"

_GOVERNED = """
WITH RECURSIVE governed AS (
    SELECT region_id AS id FROM departments WHERE id = $1
    UNION SELECT r.id FROM regions r JOIN governed g ON r.parent_id = g.id
)
SELECT h.id FROM halls h JOIN governed g ON g.id = h.region_id
"""
_OF = {
    "line": (
        "SELECT h.id, h.code FROM halls h JOIN service_lines t ON t.hall_id = h.id WHERE t.id = $1",
        ServiceLineNotFound,
    ),
    "slot": ("SELECT h.id, h.code FROM halls h JOIN slots t ON t.hall_id = h.id WHERE t.id = $1", SlotNotFound),
    "appointment": (
        "SELECT h.id, h.code FROM halls h JOIN slots s ON s.hall_id = h.id "
        "JOIN appointments t ON t.slot_id = s.id WHERE t.id = $1",
        AppointmentNotFound,
    ),
    "strike": (
        "SELECT h.id, h.code FROM halls h JOIN service_lines l ON l.hall_id = h.id "
        "JOIN strikes t ON t.line_id = l.id WHERE t.id = $1",
        StrikeNotFound,
    ),
}


async def halls_in_charge(staff: Runner) -> list[UUID]:
    """The halls that they run, by code."""
    if isinstance(staff, AsOperator):
        return [row["id"] for row in await fetch("SELECT id FROM halls ORDER BY code")]
    own = [duty.partition(":")[2] for duty in staff.duties if duty.startswith("hall:")]
    managed = [row["id"] for row in await fetch(_GOVERNED, staff.department_id)] if _manages(staff) else []
    rows = await fetch("SELECT id FROM halls WHERE code = ANY($1) OR id = ANY($2) ORDER BY code", own, managed)
    return [row["id"] for row in rows]


async def authorize_hall(staff: Runner, hall_id: UUID) -> UUID:
    """The hall, if they run it. Raises HallNotFound."""
    row = await fetch_row("SELECT id, code FROM halls WHERE id = $1", hall_id)
    return await _authorize(staff, row, HallNotFound)


async def authorize_line(staff: Runner, line_id: UUID) -> UUID:
    """The hall of the line, if they run it. Raises ServiceLineNotFound."""
    return await _authorize_subject(staff, "line", line_id)


async def authorize_slot(staff: Runner, slot_id: UUID) -> UUID:
    """The hall of the slot, if they run it. Raises SlotNotFound."""
    return await _authorize_subject(staff, "slot", slot_id)


async def authorize_appointment(staff: Runner, appointment_id: UUID) -> UUID:
    """The hall of the appointment, if they run it. Raises AppointmentNotFound."""
    return await _authorize_subject(staff, "appointment", appointment_id)


async def authorize_strike(staff: Runner, strike_id: UUID) -> UUID:
    """The hall where the strike was given, if they run it. Raises StrikeNotFound."""
    return await _authorize_subject(staff, "strike", strike_id)


async def _authorize_subject(staff: Runner, what: str, subject: UUID) -> UUID:
    statement, missing = _OF[what]
    return await _authorize(staff, await fetch_row(statement, subject), missing)


async def _authorize(staff: Runner, hall: asyncpg.Record | None, missing: type[NotFound]) -> UUID:
    if hall is None:
        raise missing
    hall_id: UUID = hall["id"]
    if isinstance(staff, AsOperator) or hall_duty(hall["code"]) in staff.duties:
        return hall_id
    if _manages(staff) and hall_id in {row["id"] for row in await fetch(_GOVERNED, staff.department_id)}:
        return hall_id
    raise missing


def _manages(staff: AsStaff) -> bool:
    return MANAGES_ALL in staff.duties
