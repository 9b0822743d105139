"""Whom one may act for: oneself, and everybody who has given one a delegation in appointments that runs now.

An appointment belongs to the person who comes (`person_id`), also when a delegate booked it: they see it, change it
and are notified of it. A delegate does all of that too, for as long as the delegation is valid, also with what the
person or another delegate booked. Statements ask the same with `people_of(resident, 'appointments')`. For everybody
else, and from the moment a delegation ends, the person does not exist here (404, not 403: a request must not reveal
who is registered).
"""

from __future__ import annotations

from uuid import UUID

from backend.appointments.errors import PersonNotFound
from backend.database import fetch_value
from backend.identity import AsResident, delegating


async def may_act_for(resident: AsResident, person_id: UUID) -> bool:
    """Whether the resident may book, change and cancel visits of this person: true for oneself."""
    return await delegating.may_act(resident.id, person_id, "appointments")


async def person_for(resident: AsResident, person_id: UUID | None) -> UUID:
    """The person who will come: the resident, unless they name a person they may act for. Raises PersonNotFound."""
    if person_id is None:
        return resident.id
    if not await may_act_for(resident, person_id):
        raise PersonNotFound
    return person_id


_THEIRS = "SELECT 1 FROM appointments WHERE id = $1 AND person_id IN (SELECT people_of($2, 'appointments'))"


async def may_read(resident: AsResident, appointment_id: UUID) -> bool:
    """Whether there is such an appointment of the resident or of a person they may act for."""
    return await fetch_value(_THEIRS, appointment_id, resident.id) is not None
