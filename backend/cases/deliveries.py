"""How the document of a case reaches its applicant: what the guide offers, and what the case's progress means for it.

Deliveries know a subject and no case; this file knows both. Choosing a delivery for a case locks its row, so
that a decision at the same moment is either read or reported afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from backend.cases.errors import CaseNotFound
from backend.cases.events import CaseCaughtUp, CaseProgressed, CaseUnlinked
from backend.cases.opening import NUMBER, normalised_number
from backend.catalogue import Delivery, Guide, list_charges
from backend.database import fetch_value, transaction
from backend.deliveries import (
    DeliveryChoice,
    DeliveryOffer,
    DeliveryRow,
    PostageCharge,
    choosing,
    postage,
    subject_deliveries,
    transitions,
)
from backend.deliveries.errors import (
    AddressNotFound,
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryNotOffered,
    DeliveryTransitionRefused,
    PickupPointNotFound,
)
from backend.errors import raises
from backend.events import EventMeta
from backend.identity import AsResident
from backend.partners.courier.port import Ordering
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerUnreachable
from models.cases import Case
from models.cases import CaseState as S
from models.deliveries import Method

SUBJECT = "case"
NOTHING = frozenset({S.REJECTED, S.NOT_ACCEPTED, S.LAPSED, S.WITHDRAWN})
"""The case ended, or will end, without a document."""
WITH_DOCUMENT = frozenset({S.APPROVED, S.ISSUED, S.DELIVERED, S.CLOSED})
OVER = NOTHING | {S.DELIVERED, S.CLOSED}
"""States in which no delivery can be chosen any more."""
REFUSED = frozenset({"rejected", "terminated"})
METHODS: Mapping[Delivery, Method] = {Delivery.POST: Method.POST, Delivery.PICKUP: Method.PICKUP}

# The published guide; failing that the one that was withdrawn last, under which the case was begun.
_GUIDE = """
SELECT v.guide::text FROM service_items i JOIN item_versions v ON v.item_id = i.id
WHERE i.code = $1 AND v.state <> 'draft' ORDER BY v.state = 'published' DESC, v.number DESC LIMIT 1
"""


async def follow_progress(event: CaseProgressed | CaseCaughtUp, meta: EventMeta) -> None:
    """The document exists, or never will: the delivery of the case goes on or is cancelled."""
    async with transaction():
        case = await Case.filter(id=event.case_id).select_for_update().first()
        if case is None:
            return
        if case.state in NOTHING or (case.state is S.CLOSED and _is_refused(case, event)):
            await subject_deliveries.end_subject_delivery(SUBJECT, case.id, "case-ended")
        elif case.state in WITH_DOCUMENT and case.outcome not in REFUSED:
            await subject_deliveries.mark_contents_ready(SUBJECT, case.id)


def _is_refused(case: Case, event: CaseProgressed | CaseCaughtUp) -> bool:
    return case.outcome in REFUSED or event.from_state == S.REJECTED


async def follow_unlinking(event: CaseUnlinked, meta: EventMeta) -> None:
    """The case belongs to another person: nothing of it is sent to the resident who chose before."""
    await subject_deliveries.end_subject_delivery(SUBJECT, event.case_id, "case-unlinked")


async def offer_delivery(resident: AsResident, number: str) -> DeliveryOffer:
    """What may be chosen for the resident's case. Raises CaseNotFound; DeliveryNotOffered when nothing will come of it,
    or its guide offers neither post nor pickup."""
    return await _offer(await _of_resident(resident, number))


@raises(CaseNotFound, DeliveryNotOffered, AddressNotFound, PickupPointNotFound, DeliveryAlreadyChosen)
async def choose_delivery(resident: AsResident, number: str, wish: DeliveryChoice) -> DeliveryRow:
    """Choose how the document of one's case comes. Raises what `offered` and `choosing.choose` raise."""
    async with transaction():
        case = await _of_resident(resident, number, held=True)
        return await choosing.choose_delivery(resident, await _offer(case), wish)


@raises(
    DeliveryNotFound,
    DeliveryNotOffered,
    AddressNotFound,
    PickupPointNotFound,
    DeliveryAddressFixed,
    CourierOrderInProgress,
    DeliveryTransitionRefused,
    PartnerBusy,
    PartnerUnreachable,
    PartnerMisconfigured,
    CourierInvalid,
)
async def change_delivery(
    resident: AsResident, which: UUID | str, wish: DeliveryChoice, *, couriers: Mapping[str, Ordering]
) -> DeliveryRow:
    """Another address or another way for the document of a case. Raises DeliveryNotFound, also for a delivery of
    something else; DeliveryNotOffered; what `choosing.change` raises."""
    delivery = await transitions.get_row(which, owner=resident.id)
    case = await Case.get_or_none(id=delivery.subject_id) if delivery.subject_kind == SUBJECT else None
    if case is None:
        raise DeliveryNotFound
    return await choosing.change_delivery(
        resident, delivery.id, await _offer(case, begun=True), wish, couriers=couriers
    )


async def list_case_deliveries(resident: AsResident, number: str) -> list[DeliveryRow]:
    """The deliveries of one's case, the newest first, for the case's page. Raises CaseNotFound."""
    case = await _of_resident(resident, number)
    return [
        each
        for each in await subject_deliveries.list_subject_deliveries(SUBJECT, case.id)
        if each.resident_id == resident.id
    ]


async def _of_resident(resident: AsResident, number: str, *, held: bool = False) -> Case:
    spelled = normalised_number(number)
    query = Case.filter(number=spelled, resident_id=resident.id)
    found = await (query.select_for_update() if held else query).first() if NUMBER.fullmatch(spelled) else None
    if found is None:
        raise CaseNotFound
    return found


async def _offer(case: Case, *, begun: bool = False) -> DeliveryOffer:
    text = await fetch_value(_GUIDE, case.item_code)
    if text is None or case.state in (NOTHING if begun else OVER) or case.outcome in REFUSED:
        raise DeliveryNotOffered
    guide = msgspec.json.decode(text, type=Guide)
    brought = [each for each in guide.outcomes if METHODS.keys() & set(each.delivery)]
    if not brought:
        raise DeliveryNotOffered
    return DeliveryOffer(
        subject_kind=SUBJECT,
        subject_id=case.id,
        contents="、".join(each.name for each in brought),
        methods=frozenset(METHODS[way] for each in brought for way in each.delivery if way in METHODS),
        department_id=case.department_id,
        hall_id=guide.hall_ids[0] if len(guide.hall_ids) == 1 else None,
        charge=await _charged(case.item_code),
        ready=case.state in WITH_DOCUMENT,
    )


async def _charged(item_code: str) -> PostageCharge | None:
    """What the guide charges for posting, when it says so under a condition; one without is charged with the case."""
    found = next((each for each in await list_charges(item_code) if each.ref == postage.CHARGE and each.when), None)
    if found is None:
        return None
    return PostageCharge(
        amount_fen=found.unit_fen, name=found.name, basis=found.basis, item_version_id=found.version_id
    )
