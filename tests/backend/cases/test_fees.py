"""What a case costs follows the case: raised when it is accepted, handed to its resident, gone when it is withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import cases, clock, jobs, partners, payments
from backend.cases import fees
from backend.cases.errors import CaseNotChargeable, CaseNotFound
from backend.cases.fees import CAME_TO_NOTHING, CHARGEABLE
from backend.database import fetch_value, transaction
from backend.events import record
from backend.identity.errors import DutyMissing
from backend.identity.events import PhoneConfirmed
from backend.identity.principals import AsAgency, AsResident
from backend.payments.errors import ChargeNotInGuide, FeeNotOpen
from models.cases import Case, CaseState
from models.payments import Fee, FeeState, Refund
from tests.factories.cases import PHONE, a_case, a_report, a_resident_with_phone, an_agency_principal, reported
from tests.factories.catalogue import a_published_item
from tests.factories.identity import a_resident, a_staff
from tests.factories.payments import a_paid_payment, a_payment, fee_state, payment_row
from tests.factories.regions import a_department
from tests.factories.till import Till, with_tills

CHARGES = [
    {"ref": "card", "name": "工本费", "amount_fen": 2000, "per": "证", "basis": ["law-33"]},
    {"ref": "copy", "name": "复制费", "amount_fen": 50, "per": "页", "basis": ["law-33"], "when": "申请复制档案的"},
]


@pytest.fixture(autouse=True)
def till() -> Iterator[Till]:
    each = Till()
    with_tills(each)
    yield each
    partners.equip(None)


async def a_charged_item() -> str:
    return await a_published_item(fee={"free": False, "charges": CHARGES})


async def an_accepted_case(*codes: str, agency: AsAgency | None = None) -> Case:
    case = await a_case(agency, item_code=await a_charged_item())
    await reported(case, *(codes or ("受理",)))
    await jobs.drain()
    return case


async def states_of(case: Case) -> list[tuple[str, str]]:
    return [(fee.charge_ref, fee.state) for fee in await payments.list_subject_fees("case", case.id)]


async def test_accepting_a_case_raises_the_charges_without_condition():
    resident = await a_resident_with_phone(PHONE)
    case = await an_accepted_case()

    (fee,) = await payments.list_subject_fees("case", case.id)

    assert (fee.charge_ref, fee.name, fee.amount_fen) == ("card", "工本费", 2000)
    assert fee.basis == "《中华人民共和国老年人权益保障法》第三十三条"
    assert [each.id for each in (await payments.list_own_fees(resident))[0]] == [fee.id]
    row = await Fee.get(id=fee.id)
    assert row.department_id == case.department_id
    assert row.item_version_id is not None


async def test_nothing_is_owed_before_acceptance_nor_for_what_is_free():
    submitted = await a_case(item_code=await a_charged_item())
    free = await a_case(item_code=await a_published_item())
    await reported(free, "受理")
    await jobs.drain()

    assert await states_of(submitted) == []
    assert await states_of(free) == []


async def test_a_case_that_comes_in_accepted_owes_and_one_of_long_ago_does_not():
    code, agency = await a_charged_item(), an_agency_principal()
    long_ago = clock.now() - timedelta(days=800)
    fresh, old = await a_case(agency, item_code=code), await a_case(agency, item_code=code, received_at=long_ago)
    await reported(fresh, "受理")
    await cases.ingest_reports(agency, [(old.number, a_report("受理", at=long_ago + timedelta(hours=1)))])
    await jobs.drain()

    assert await states_of(fresh) == [("card", "open")]
    assert await states_of(old) == []


async def test_going_on_with_the_case_raises_nothing_again():
    case = await an_accepted_case()
    for code in ("审查", "受理", "办结"):
        await reported(case, code)
        await jobs.drain()

    assert await states_of(case) == [("card", "open")]


async def test_a_case_that_is_over_when_it_is_pushed_owes_nothing():
    case = await an_accepted_case("受理", "审查", "办结")

    assert await states_of(case) == []


async def test_a_later_version_of_the_guide_does_not_change_what_was_raised():
    case = await an_accepted_case()
    await Fee.filter(subject_id=case.id).update(charge_ref="earlier")

    await reported(case, "审查")
    await jobs.drain()

    assert await states_of(case) == [("earlier", "open")]


async def test_withdrawing_cancels_what_is_open_and_gives_back_what_was_paid(till: Till):
    case = await an_accepted_case()
    fee = await Fee.get(subject_id=case.id)
    payment = await a_paid_payment(fee, resident_id=(await a_resident()).id)

    await reported(case, "撤回")
    await jobs.drain()

    assert await fee_state(fee.id) == "cancelled"
    assert (await payment_row(payment.number))["state"] == "refunded"
    assert (await Refund.get()).reason == "申请已撤回"
    assert till.calls["refund"] == 1


async def test_an_order_that_is_open_when_the_case_is_withdrawn_is_closed(till: Till):
    case = await an_accepted_case()
    order = await a_payment(await Fee.get(subject_id=case.id), resident_id=(await a_resident()).id)

    await reported(case, "撤回")
    await jobs.drain()
    await payments.enqueue_due_checks()
    await jobs.drain()

    assert (await payment_row(order.number))["state"] == "closed"


async def test_acceptance_and_withdrawal_at_once_end_as_the_case_does():
    code = await a_charged_item()
    for _ in range(6):
        case = await a_case(item_code=code)
        await reported(case, "受理")
        await reported(case, "撤回")
        drains = await asyncio.gather(jobs.drain(), jobs.drain(), jobs.drain())
        assert sum(drains) > 0

        assert [state for _, state in await states_of(case)] in ([], ["cancelled"])


async def test_a_waived_fee_stays_waived_when_the_case_is_withdrawn():
    case = await an_accepted_case()
    await Fee.filter(subject_id=case.id).update(state=FeeState.WAIVED, reason="低保家庭")

    await reported(case, "撤回")
    await jobs.drain()

    assert await states_of(case) == [("card", "waived")]


async def test_the_resident_who_turns_out_to_be_the_applicant_may_pay():
    case = await an_accepted_case()
    assert (await Fee.get(subject_id=case.id)).resident_id is None

    resident_id = (await a_resident_with_phone(PHONE)).id
    async with transaction():
        await record(PhoneConfirmed(resident_id=resident_id))
    await jobs.drain()

    assert (await Fee.get(subject_id=case.id)).resident_id == resident_id


async def test_staff_and_the_departments_system_raise_what_the_guide_has_and_nothing_else():
    agency = AsAgency(uuid7(), (await a_department()).id)
    case = await an_accepted_case(agency=agency)
    officer = await a_staff(department_id=case.department_id, duties=("fees.manage",))

    by_staff = await fees.charge_by_staff(officer, case.number, "copy", 12)
    again = await fees.charge_by_agency(agency, case.number, "copy", 12)
    more = await fees.charge_by_agency(agency, case.number, "copy", 20)
    with pytest.raises(ChargeNotInGuide):
        await fees.charge_by_staff(officer, case.number, "bribe", 1)

    assert (by_staff.amount_fen, again.id, more.amount_fen) == (600, by_staff.id, 1000)
    assert [fee.id for fee in await fees.list_fees_for_staff(officer, case.number)] == [
        fee.id for fee in await fees.list_fees_for_agency(agency, case.number)
    ]
    assert (await Fee.get(id=by_staff.id)).raised_by == f"staff:{officer.id}"


async def test_a_settled_fee_takes_no_other_quantity():
    agency = an_agency_principal()
    case = await an_accepted_case(agency=agency)
    await a_paid_payment(await Fee.get(subject_id=case.id), resident_id=(await a_resident()).id)

    assert (await fees.charge_by_agency(agency, case.number, "card", 1)).state == "paid"
    with pytest.raises(FeeNotOpen):
        await fees.charge_by_agency(agency, case.number, "card", 2)


async def test_a_case_that_is_not_accepted_or_over_takes_no_charge():
    agency = an_agency_principal()
    case = await a_case(agency, item_code=await a_charged_item())

    with pytest.raises(CaseNotChargeable):
        await fees.charge_by_agency(agency, case.number, "copy", 1)
    await reported(case, "受理", "撤回")
    with pytest.raises(CaseNotChargeable):
        await fees.charge_by_agency(agency, case.number, "copy", 1)


async def test_another_residents_case_does_not_exist():
    case = await an_accepted_case(agency=AsAgency(uuid7(), (await a_department()).id))
    stranger, officer = an_agency_principal(), await a_staff(duties=("fees.manage",))
    reader = await a_staff(department_id=case.department_id, duties=("cases.read",))
    somebody: AsResident = await a_resident()

    for asking in (
        fees.charge_by_agency(stranger, case.number, "copy", 1),
        fees.list_fees_for_agency(stranger, case.number),
        fees.charge_by_staff(officer, case.number, "copy", 1),
        fees.list_fees_for_staff(officer, case.number),
        fees.list_own_case_fees(somebody, case.number),
        fees.list_own_case_fees(somebody, "not a number at all"),
    ):
        with pytest.raises(CaseNotFound):
            await asking
    with pytest.raises(DutyMissing):
        await fees.list_fees_for_staff(reader, case.number)


def test_no_state_is_both_owing_and_over():
    assert CHARGEABLE.isdisjoint(CAME_TO_NOTHING)
    assert set(CAME_TO_NOTHING) <= set(CaseState)


async def test_an_event_about_a_case_that_is_gone_does_nothing():
    await fees._follow(UUID(int=0), newly_accepted=True)
    await fees._hand_over(UUID(int=0))

    assert await fetch_value("SELECT count(*) FROM fees") == 0
