"""A fee is owed once, and only its debtor sees it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from backend import payments
from backend.database import transaction
from backend.identity.errors import DutyMissing
from backend.payments.errors import FeeNotFound, FeeNotOpen
from models.events import EventRecord
from models.payments import Fee, FeeState, Payment
from tests.factories.appointments import somebody
from tests.factories.identity import a_staff
from tests.factories.payments import a_channel_order, a_fee, a_paid_payment, a_payment, balance
from tests.factories.regions import a_department


async def raised(subject_id: UUID, charge: str = "card-fee", **changes: object) -> UUID:
    values = {
        "subject_kind": "case",
        "subject_id": subject_id,
        "charge_ref": charge,
        "name": "工本费",
        "basis": "",
        "unit_fen": 2000,
        "resident_id": None,
        "department_id": None,
        "raised_by": "system:-",
        **changes,
    }
    async with transaction():
        return await payments.raise_fee(**values)  # type: ignore[arg-type]


async def test_raising_the_same_charge_from_many_sides_makes_one_fee():
    case = uuid4()

    ids = await asyncio.gather(*(raised(case) for _ in range(12)))

    assert len(set(ids)) == 1
    assert await Fee.all().count() == 1
    assert await EventRecord.filter(name="fee.raised").count() == 1


async def test_several_charges_of_one_subject_are_several_fees():
    case = uuid4()

    await raised(case, "a", unit_fen=100, quantity=3)
    await raised(case, "b")

    assert [(fee.charge_ref, fee.amount_fen) for fee in await payments.list_subject_fees("case", case)] == [
        ("a", 300),
        ("b", 2000),
    ]


async def test_a_fee_that_was_cancelled_unpaid_opens_again_and_a_waived_one_does_not():
    case = uuid4()
    first, second = await raised(case, "a"), await raised(case, "b")
    await Fee.filter(id=first).update(state=FeeState.CANCELLED, reason="已撤回")
    await Fee.filter(id=second).update(state=FeeState.WAIVED, reason="低保家庭")

    await raised(case, "a")
    await raised(case, "b")

    assert [fee.state for fee in await payments.list_subject_fees("case", case)] == ["open", "waived"]


async def test_a_resident_sees_their_own_fees_page_by_page():
    mine, other = await somebody(), await somebody()
    for _ in range(3):
        await a_fee(resident_id=mine.id)
    await a_fee(resident_id=other.id)

    first, cursor = await payments.list_own_fees(mine, limit=2)
    rest, end = await payments.list_own_fees(mine, limit=2, cursor=cursor)

    assert len(first) == 2
    assert len(rest) == 1
    assert end is None
    assert await payments.list_own_fees(mine, states=[FeeState.PAID]) == ([], None)


async def test_waiving_needs_the_duty_the_department_and_an_open_fee():
    department = await a_department()
    officer = await a_staff(department_id=department.id, duties=("fees.manage",))
    reader = await a_staff(department_id=department.id, duties=("cases.read",))
    own, foreign = await a_fee(department_id=department.id), await a_fee()

    with pytest.raises(DutyMissing):
        await payments.waive_fee(reader, own.id, "低保家庭")
    with pytest.raises(FeeNotFound):
        await payments.waive_fee(officer, foreign.id, "低保家庭")
    seen = await payments.waive_fee(officer, own.id, "低保家庭")
    with pytest.raises(FeeNotOpen):
        await payments.waive_fee(officer, own.id, "低保家庭")

    assert (seen.state, seen.reason) == ("waived", "低保家庭")
    assert (await Fee.get(id=own.id)).waived_by == officer.id


async def test_the_fees_of_a_subject_go_to_the_resident_who_turns_out_to_owe_them():
    case, resident = uuid4(), await somebody()
    await raised(case, "a")
    paid = await a_fee(subject_id=case, charge_ref="b", state=FeeState.WAIVED, reason="-")

    assert await payments.hand_over_fees("case", case, resident.id) == 1
    assert await payments.hand_over_fees("case", case, resident.id) == 0

    assert [each.charge_ref for each in (await payments.list_own_fees(resident))[0]] == ["a"]
    assert (await Fee.get(id=paid.id)).resident_id != resident.id


async def test_a_paid_payment_of_the_factory_keeps_every_promise_of_the_tables():
    fee = await a_fee()
    payment = await a_paid_payment(fee)
    waiting = await a_payment()

    assert (await Fee.get(id=fee.id)).paid_by_id == payment.id
    assert await balance(f"revenue:{fee.department_id}") == -2000
    assert (await Payment.get(id=waiting.id)).state == "prepaid"
    assert a_channel_order(waiting).amount_fen == waiting.amount_fen
