"""What a resident sends in for their case: missing documents, originals, what is to be given back."""

from __future__ import annotations

from uuid import UUID

from backend.cases.deliveries import OVER, SUBJECT
from backend.cases.errors import CaseNotFound
from backend.cases.opening import NUMBER, normalised_number
from backend.database import transaction
from backend.deliveries import DeliveryOffer, DeliveryRow, acting, returning
from backend.deliveries.errors import (
    AddressNotFound,
    DeliveryAlreadyChosen,
    DeliveryNotOffered,
    DeliveryOfficeInvalid,
    DeliveryReceiverNotFound,
)
from backend.errors import raises
from backend.identity import AsResident
from models.cases import Case, CaseState
from models.deliveries import Direction, Method

MISSING, DOCUMENTS = "补正材料", "申请材料"


@raises(
    CaseNotFound,
    DeliveryReceiverNotFound,
    DeliveryNotOffered,
    AddressNotFound,
    DeliveryAlreadyChosen,
    DeliveryOfficeInvalid,
)
async def begin_sending_in(
    resident: AsResident, number: str, address_id: UUID, person_id: UUID | None = None
) -> DeliveryRow:
    """Begin to send documents for a case in from this address, by the resident or for a person they act for.

    Raises DeliveryReceiverNotFound, CaseNotFound; DeliveryNotOffered when the case is over; what `returning.begin`
    raises.
    """
    person, spelled = await acting.person_for(resident, person_id), normalised_number(number)
    async with transaction():
        query = Case.filter(number=spelled, resident_id=person.id).select_for_update()
        case = await query.first() if NUMBER.fullmatch(spelled) else None
        if case is None:
            raise CaseNotFound
        if case.state in OVER:
            raise DeliveryNotOffered
        return await returning.begin_sending_in(person, _offer(case), address_id)


def _offer(case: Case) -> DeliveryOffer:
    return DeliveryOffer(
        subject_kind=SUBJECT,
        subject_id=case.id,
        contents=MISSING if case.state is CaseState.CORRECTION else DOCUMENTS,
        methods=frozenset({Method.POST}),
        department_id=case.department_id,
        ready=True,
        direction=Direction.TO_OFFICE,
    )
