"""For whom a resident may receive: for themselves, and for each person whose delegation in deliveries is valid now.

A delivery and an address belong to one person. A delegate acts in their place: the use cases below are
called as that person, and the ledger names the delegate.
"""

from __future__ import annotations

from uuid import UUID

from backend.database import fetch_value
from backend.deliveries.errors import AddressNotFound, DeliveryNotFound, DeliveryReceiverNotFound
from backend.identity import AsResident, delegating

MATTER: delegating.Matter = "deliveries"
_OF_DELIVERY = """
SELECT resident_id FROM deliveries WHERE number = $1 AND resident_id IN (SELECT people_of($2, 'deliveries'))
"""
_OF_ADDRESS = """
SELECT resident_id FROM addresses
WHERE id = $1 AND removed_at IS NULL AND resident_id IN (SELECT people_of($2, 'deliveries'))
"""


async def person_for(resident: AsResident, person_id: UUID | None) -> AsResident:
    """Return whom the resident acts as: themselves, unless they name a person they may act for.

    Raises DeliveryReceiverNotFound.
    """
    if person_id is None or person_id == resident.id:
        return resident
    if not await delegating.may_act(resident.id, person_id, MATTER):
        raise DeliveryReceiverNotFound
    return AsResident(person_id, resident.session_id)


async def owner_of(resident: AsResident, number: str) -> AsResident:
    """Return the owner of the delivery, if the resident may act for them. Raises DeliveryNotFound."""
    owner: UUID | None = await fetch_value(_OF_DELIVERY, number, resident.id)
    if owner is None:
        raise DeliveryNotFound
    return AsResident(owner, resident.session_id)


async def owner_of_address(resident: AsResident, address_id: UUID) -> AsResident:
    """Return the owner of the address, if the resident may act for them. Raises AddressNotFound."""
    owner: UUID | None = await fetch_value(_OF_ADDRESS, address_id, resident.id)
    if owner is None:
        raise AddressNotFound
    return AsResident(owner, resident.session_id)
