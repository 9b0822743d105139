"""What a case costs: the charges of the published guide, raised when it is accepted and cancelled if it is withdrawn.

Payments know a subject and no case; this file knows both. Changing the fees of a case locks its row, so that an
acceptance and a withdrawal that are worked on at the same time end as the case does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from backend import payments
from backend.cases.errors import CaseNotChargeable, CaseNotFound
from backend.cases.events import CaseLinked, CaseOpened, CaseProgressed, CaseUnlinked
from backend.cases.opening import NUMBER, normalised_number
from backend.catalogue import PublishedCharge, list_charges
from backend.database import transaction
from backend.errors import Fault, raises
from backend.events import EventMeta
from backend.identity import AsAgency, AsResident, AsStaff
from backend.identity.errors import DutyMissing
from backend.payments import FeeDetail
from backend.payments.errors import ChargeNotInGuide, FeeNotOpen, PaymentBeingMade
from models.cases import Case, CaseState

SUBJECT = "case"
CHARGEABLE = frozenset(
    {CaseState.ACCEPTED, CaseState.IN_REVIEW, CaseState.SUSPENDED, CaseState.APPROVED, CaseState.ISSUED}
)
"""Accepted, and not at its end: here something is owed."""
CAME_TO_NOTHING: Mapping[CaseState, str] = {
    CaseState.WITHDRAWN: "申请已撤回",
    CaseState.NOT_ACCEPTED: "申请未被受理",
    CaseState.LAPSED: "申请逾期未补正，已失效",
}
"""Where nothing is owed any more, and what the payer reads about it."""


async def raise_on_opening(event: CaseOpened, meta: EventMeta) -> None:
    """A case may be accepted already when it is first pushed."""
    await _follow(event.case_id, newly_accepted=True)


async def follow_progress(event: CaseProgressed, meta: EventMeta) -> None:
    """Raise the fees of a case that is accepted now, cancel those of one that came to nothing."""
    await _follow(event.case_id, newly_accepted=event.from_state not in CHARGEABLE)


async def hand_over_on_link(event: CaseLinked, meta: EventMeta) -> None:
    """The resident of the case may pay for it."""
    await _hand_over(event.case_id)


async def hand_over_on_unlink(event: CaseUnlinked, meta: EventMeta) -> None:
    """A resident who no longer has the case owes nothing for it."""
    await _hand_over(event.case_id)


@raises(CaseNotFound)
async def list_own_case_fees(resident: AsResident, number: str) -> list[FeeDetail]:
    """What the resident's case costs. Raises CaseNotFound, also for another person's case."""
    return await payments.list_subject_fees(SUBJECT, await _case_id(number, "resident_id", resident.id))


@raises(DutyMissing, CaseNotFound)
async def list_fees_for_staff(staff: AsStaff, number: str) -> list[FeeDetail]:
    """What a case of one's own department costs."""
    staff.require(payments.MANAGE_FEES)
    return await payments.list_subject_fees(SUBJECT, await _case_id(number, "department_id", staff.department_id))


@raises(CaseNotFound)
async def list_fees_for_agency(agency: AsAgency, number: str) -> list[FeeDetail]:
    """What a case of one's own costs."""
    return await payments.list_subject_fees(SUBJECT, await _case_id(number, "agency_id", agency.id))


@raises(DutyMissing, CaseNotFound, CaseNotChargeable, ChargeNotInGuide, FeeNotOpen, PaymentBeingMade)
async def charge_by_staff(staff: AsStaff, number: str, charge_ref: str, quantity: int) -> FeeDetail:
    """Raise a charge of the guide for a case of one's department, or say how many of it are owed.

    Raises DutyMissing, CaseNotFound, CaseNotChargeable, ChargeNotInGuide; FeeNotOpen when it is settled with another
    quantity, PaymentBeingMade while a payment for it is under way.
    """
    staff.require(payments.MANAGE_FEES)
    return await _charge(await _case_id(number, "department_id", staff.department_id), charge_ref, quantity)


@raises(CaseNotFound, CaseNotChargeable, ChargeNotInGuide, FeeNotOpen, PaymentBeingMade)
async def charge_by_agency(agency: AsAgency, number: str, charge_ref: str, quantity: int) -> FeeDetail:
    """The same by a department's system, for a case of its own. Raises the same but DutyMissing."""
    return await _charge(await _case_id(number, "agency_id", agency.id), charge_ref, quantity)


async def _case_id(number: str, column: Literal["resident_id", "department_id", "agency_id"], owner: UUID) -> UUID:
    spelled = normalised_number(number)
    owned: Any = {"number": spelled, column: owner}
    found = await Case.get_or_none(**owned) if NUMBER.fullmatch(spelled) else None
    if found is None:
        raise CaseNotFound
    return found.id


async def _held(case_id: UUID) -> Case | None:
    return await Case.filter(id=case_id).select_for_update().first()


async def _follow(case_id: UUID, *, newly_accepted: bool) -> None:
    async with transaction():
        case = await _held(case_id)
        if case is None:
            return
        if case.state in CAME_TO_NOTHING:
            await payments.cancel_fees(SUBJECT, case.id, CAME_TO_NOTHING[case.state])
        elif newly_accepted and case.state in CHARGEABLE:
            for charge in await list_charges(case.item_code):
                if not charge.when:
                    await _raise(case, charge, 1)


async def _hand_over(case_id: UUID) -> None:
    async with transaction():
        case = await _held(case_id)
        if case is not None:
            await payments.hand_over_fees(SUBJECT, case.id, case.resident_id)


async def _charge(case_id: UUID, charge_ref: str, quantity: int) -> FeeDetail:
    async with transaction():
        case = await _held(case_id)
        if case is None or case.state not in CHARGEABLE:
            raise CaseNotChargeable
        charge = next((each for each in await list_charges(case.item_code) if each.ref == charge_ref), None)
        if charge is None:
            raise ChargeNotInGuide(fields=[Fault("/charge_ref", "现行办事指南没有这项收费")])
        fee_id = await _raise(case, charge, quantity)
        await payments.set_fee_quantity(fee_id, quantity)
        seen = await payments.list_subject_fees(SUBJECT, case.id)
    return next(each for each in seen if each.id == fee_id)


async def _raise(case: Case, charge: PublishedCharge, quantity: int) -> UUID:
    return await payments.raise_fee(
        subject_kind=SUBJECT,
        subject_id=case.id,
        charge_ref=charge.ref,
        name=charge.name,
        basis=charge.basis,
        unit_fen=charge.unit_fen,
        quantity=quantity,
        resident_id=case.resident_id,
        department_id=case.department_id,
        item_version_id=charge.version_id,
    )
