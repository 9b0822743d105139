"""For whom one may receive: oneself, and everybody who has given one a delegation in deliveries that runs now.

A delivery and an address belong to one person. Whoever may act for them does it in their place: the use cases below
are called as that person, and the ledger names who really did it.
"""

from __future__ import annotations

from uuid import UUID

from backend.database import fetch_value
from backend.deliveries.errors import AddressNotFound, DeliveryNotFound, DeliveryReceiverNotFound
from backend.identity import delegating
from backend.identity.principals import AsResident

MATTER: delegating.Matter = "deliveries"
_OF_DELIVERY = """
SELECT resident_id FROM deliveries WHERE number = $1 AND resident_id IN (SELECT people_of($2, 'deliveries'))
"""
_OF_ADDRESS = """
SELECT resident_id FROM addresses
WHERE id = $1 AND removed_at IS NULL AND resident_id IN (SELECT people_of($2, 'deliveries'))
"""


async def person_for(resident: AsResident, person_id: UUID | None) -> AsResident:
    """Whom the resident acts as: themselves, unless they name somebody they may act for. Raises
    DeliveryReceiverNotFound."""
    if person_id is None or person_id == resident.id:
        return resident
    if not await delegating.may_act(resident.id, person_id, MATTER):
        raise DeliveryReceiverNotFound
    return AsResident(person_id, resident.session_id)


async def owner_of(resident: AsResident, number: str) -> AsResident:
    """Whose delivery it is, if the resident may act for them. Raises DeliveryNotFound."""
    owner: UUID | None = await fetch_value(_OF_DELIVERY, number, resident.id)
    if owner is None:
        raise DeliveryNotFound
    return AsResident(owner, resident.session_id)


async def owner_of_address(resident: AsResident, address_id: UUID) -> AsResident:
    """Whose address it is, if the resident may act for them. Raises AddressNotFound."""
    owner: UUID | None = await fetch_value(_OF_ADDRESS, address_id, resident.id)
    if owner is None:
        raise AddressNotFound
    return AsResident(owner, resident.session_id)
