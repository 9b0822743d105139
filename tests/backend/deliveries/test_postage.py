"""What posting costs whom; it is settled before anything is sent, and goes back when nothing is."""

from __future__ import annotations

from uuid import UUID

import pytest

from backend import jobs, payments
from backend.database import fetch_value, transaction
from backend.deliveries import cancelling, choosing
from backend.deliveries.choosing import DeliveryChoice
from backend.deliveries.postage import PostageCharge, tariff, zone
from backend.events import record
from backend.payments.events import FeePaid
from backend.settings import SettingsError, using
from models.deliveries import DeliveryState as D
from models.deliveries import Method, Postage
from models.payments import Fee, FeeState
from tests.backend.deliveries.choices import an_offer, by_post
from tests.factories.appointments import somebody
from tests.factories.deliveries import (
    a_pickup_point,
    delivery_state,
    recorded_states,
)
from tests.factories.identity import a_staff
from tests.factories.payments import a_paid_payment
from tests.factories.regions import a_department


def test_the_zone_is_read_off_the_codes_of_the_regions():
    assert [zone("220102", goal) for goal in ("220103", "220202", "110101")] == ["city", "province", "country"]
    assert zone(None, "220102") == "country"


def test_a_tariff_that_cannot_be_read_is_a_fault_of_the_settings():
    for wrong in ("city:1", "city:a,province:1,country:1", "", "city:-1,province:1,country:1"):
        with using(postage_tariff=wrong), pytest.raises(SettingsError):
            tariff()


async def owed(delivery_id: UUID) -> list[tuple[int, str]]:
    fees = await payments.list_subject_fees("delivery", delivery_id)
    return [(fee.amount_fen, fee.state) for fee in fees]


async def settled(delivery_id: UUID, how: str = "paid") -> None:
    """The fee is paid or waived, and every subscriber has handled it."""
    [fee] = [each for each in await payments.list_subject_fees("delivery", delivery_id) if each.state == FeeState.OPEN]
    if how == "paid":
        await pay(fee.id)
    else:
        department = await fetch_value("SELECT department_id FROM fees WHERE id = $1", fee.id)
        await payments.waive_fee(await a_staff(department_id=department, duties=["fees.manage"]), fee.id, "低保家庭")
    await jobs.drain(strict=False)  # no channel is there to be asked for refunds


async def pay(fee_id: UUID) -> None:
    """The money has come; subscribers handle it when jobs run."""
    fee = await Fee.get(id=fee_id)
    payment = await a_paid_payment(fee, resident_id=fee.resident_id)
    async with transaction():
        await record(
            FeePaid(
                fee_id=fee.id,
                payment_id=payment.id,
                subject_kind=fee.subject_kind,
                subject_id=fee.subject_id,
                resident_id=fee.resident_id,
                amount_fen=fee.amount_fen,
            )
        )


@pytest.mark.parametrize("how", ["paid", "waived"])
async def test_postage_that_the_resident_pays_is_settled_before_anything_is_sent(how: str):
    resident = await somebody()
    department = await a_department()
    offer = an_offer(department_id=department.id, charge=PostageCharge(amount_fen=1800, basis="邮资标准"))

    chosen = await choosing.choose_delivery(resident, offer, await by_post(resident))

    assert (chosen.state, await owed(chosen.id)) == (D.WAITING, [(1800, "open")])
    await settled(chosen.id, how)
    assert await delivery_state(chosen.id) == "to_send"


async def test_without_a_charge_in_the_guide_the_rule_of_the_place_decides():
    resident = await somebody()
    department = await a_department()

    with using(postage_payer="resident", postage_tariff="city:900,province:1100,country:2100"):
        chosen = await choosing.choose_delivery(
            resident, an_offer(department_id=department.id), await by_post(resident)
        )
    with using(postage_payer="free"):
        free = await choosing.choose_delivery(resident, an_offer(), await by_post(resident))

    assert (chosen.postage_fen, await owed(chosen.id)) == (900, [(900, "open")])
    assert (free.postage, await owed(free.id)) == (Postage.FREE, [])


async def test_a_resident_who_pays_may_rather_pay_at_the_door():
    resident = await somebody()
    charged = PostageCharge(amount_fen=1800)

    chosen = await choosing.choose_delivery(resident, an_offer(charge=charged), await by_post(resident, collect=True))
    free = await choosing.choose_delivery(resident, an_offer(), await by_post(resident, collect=True))
    with using(postage_collect=False):
        paid = await choosing.choose_delivery(resident, an_offer(charge=charged), await by_post(resident, collect=True))

    assert [each.postage for each in (chosen, free, paid)] == [Postage.COLLECT, Postage.OFFICE, Postage.RESIDENT]
    assert chosen.state is D.TO_SEND


async def test_paid_postage_stays_paid_when_the_address_changes():
    resident, offer = await somebody(), an_offer(charge=PostageCharge(amount_fen=1800))
    chosen = await choosing.choose_delivery(resident, offer, await by_post(resident))
    await settled(chosen.id)

    changed = await choosing.change_delivery(resident, chosen.id, offer, await by_post(resident), couriers={})

    assert (changed.state, await owed(chosen.id)) == (D.TO_SEND, [(1800, "paid")])


async def test_paid_postage_goes_back_for_a_counter_and_is_owed_anew_for_another_change_of_mind():
    resident, offer = await somebody(), an_offer(charge=PostageCharge(amount_fen=1800))
    chosen = await choosing.choose_delivery(resident, offer, await by_post(resident))
    await settled(chosen.id)
    counter = DeliveryChoice(method=Method.PICKUP, pickup_point_id=(await a_pickup_point()).id)

    at_counter = await choosing.change_delivery(resident, chosen.id, offer, counter, couriers={})
    assert (at_counter.state, await owed(chosen.id)) == (D.TO_SEND, [(1800, "cancelled")])
    assert await fetch_value("SELECT count(*) FROM refunds") == 1

    again = await choosing.change_delivery(resident, chosen.id, offer, await by_post(resident), couriers={})
    assert (again.state, await owed(chosen.id)) == (D.WAITING, [(1800, "cancelled"), (1800, "open")])
    await settled(chosen.id)
    assert await delivery_state(chosen.id) == "to_send"


async def test_cancelling_gives_the_postage_back_once():
    resident, offer = await somebody(), an_offer(charge=PostageCharge(amount_fen=1800))
    chosen = await choosing.choose_delivery(resident, offer, await by_post(resident))
    await settled(chosen.id)

    for _ in range(2):
        assert (await cancelling.cancel_delivery(resident, chosen.id, couriers={})).state is D.CANCELLED

    assert await fetch_value("SELECT count(*) FROM refunds") == 1
    assert await recorded_states(chosen.id) == ["to_send", "cancelled"]
