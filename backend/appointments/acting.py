"""Whom one may act for. Today everybody acts for themselves only.

Powers of attorney, guardianship of children and of the old are facts of identity; once identity keeps them, this is the
one place that asks it. Until then a person who is not oneself does not exist here (404, not 403: nobody learns who is
registered by asking).
"""

from __future__ import annotations

from uuid import UUID

from backend.appointments.errors import NotYourPerson
from backend.identity.principals import AsResident


async def may_act_for(resident: AsResident, person_id: UUID) -> bool:
    """Whether the resident may book, change and cancel visits of this person: true for oneself."""
    return person_id == resident.id


async def person_for(resident: AsResident, person_id: UUID | None) -> UUID:
    """The person who will come: the resident, unless they name somebody they may act for. Raises NotYourPerson."""
    if person_id is None:
        return resident.id
    if not await may_act_for(resident, person_id):
        raise NotYourPerson
    return person_id
