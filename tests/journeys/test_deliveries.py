"""A certificate on its way home, end to end: ordered, followed, lied about, signed for; the couriers over real HTTP.

The orders and questions go out through the live adapters, the pushes come in at our callback's real address; only the
worker is ours to start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from litestar import Litestar

from backend import jobs
from backend.database import fetch, fetch_value
from backend.deliveries import dispatching, polling
from backend.identity.principals import AsStaff
from backend.partners import in_use
from backend.partners.courier.sandbox.platform import Couriers
from backend.partners.courier.sandbox.pushing import CourierFault
from backend.partners.sandbox import Sandbox
from tests.backend.deliveries.offices import an_office, one_to_send
from tests.factories.deliveries import delivery_state, problems_of, recorded_states
from tests.real_address import among_couriers

DAY = 86_400.0
BOTH = pytest.mark.parametrize("courier", ["sf", "ems"])
HOME = ["waiting", "to_send", "ordered", "picked_up", "in_transit", "out_for_delivery", "signed"]


@pytest.fixture
async def couriers(app: Litestar, sandbox: Sandbox) -> AsyncIterator[Couriers]:
    """The service at a real address, the couriers at another."""
    async with among_couriers(app, sandbox):
        yield sandbox.couriers


@pytest.fixture
async def staff(couriers: Couriers) -> AsStaff:
    return (await an_office())[0]


async def ordered(staff: AsStaff, courier: str) -> tuple[UUID, str]:
    """A delivery that has been ordered at a courier and is followed; its id and its waybill."""
    delivery = await one_to_send(staff)
    await dispatching.send_delivery(staff, delivery.id, courier, couriers=in_use().couriers)
    await jobs.drain()
    await polling.enqueue_due_queries()
    await jobs.drain()
    return delivery.id, await fetch_value("SELECT waybill FROM shipments WHERE delivery_id = $1", delivery.id)


async def move(couriers: Couriers, waybill: str, kind: str) -> None:
    """The parcel goes as far as this, and the worker has handled it."""
    await couriers.travel(waybill, kind)
    await jobs.drain()


async def ask_now() -> None:
    """The worker asks about what it may ask about by now."""
    await polling.enqueue_due_queries()
    await jobs.drain()


async def verified(delivery_id: UUID) -> set[tuple[str, bool]]:
    rows = await fetch(
        "SELECT n.status, n.verified FROM shipment_nodes n JOIN shipments s ON s.id = n.shipment_id "
        "WHERE s.delivery_id = $1",
        delivery_id,
    )
    return {(row["status"], row["verified"]) for row in rows}


@BOTH
async def test_a_parcel_goes_home_step_by_step(couriers: Couriers, staff: AsStaff, courier: str):
    delivery, waybill = await ordered(staff, courier)
    assert await delivery_state(delivery) == "ordered"
    for kind, state in (
        ("collected", "picked_up"),
        ("transit", "in_transit"),
        ("out", "out_for_delivery"),
        ("failed", "out_for_delivery"),
    ):
        await move(couriers, waybill, kind)
        assert await delivery_state(delivery) == state
    await move(couriers, waybill, "signed")
    await ask_now()
    assert await delivery_state(delivery) == "signed"
    assert await recorded_states(delivery) == ["ordered", "picked_up", "in_transit", "out_for_delivery", "signed"]
    assert all(push.arrived for push in couriers.pushes.sent)


async def test_ems_is_followed_by_kuaidi100_whose_word_counts(couriers: Couriers, staff: AsStaff):
    delivery, waybill = await ordered(staff, "ems")
    (subscription,) = couriers.desks["kuaidi100"].subscriptions
    assert (subscription.company, subscription.number, subscription.status) == ("ems", waybill, "polling")
    await move(couriers, waybill, "signed")
    assert await delivery_state(delivery) == "signed"
    assert subscription.status == "shutdown"
    assert {who for who, _, _ in couriers.world.calls} == {"ems", "kuaidi100"}


async def test_what_sf_pushes_of_a_signature_counts_after_a_question(couriers: Couriers, staff: AsStaff):
    delivery, waybill = await ordered(staff, "sf")
    await move(couriers, waybill, "signed")
    assert await delivery_state(delivery) == "out_for_delivery"
    assert ("delivered", False) in await verified(delivery)
    await ask_now()
    assert await delivery_state(delivery) == "signed"
    assert ("delivered", True) in await verified(delivery)
    assert ("sf", "query", "A1000") in couriers.world.calls


async def test_a_forged_signature_for_a_parcel_never_counts(couriers: Couriers, staff: AsStaff):
    delivery, waybill = await ordered(staff, "sf")
    await move(couriers, waybill, "out")
    (push,) = await couriers.forge(waybill, partner="sf")
    assert push.arrived
    await jobs.drain()
    await ask_now()
    assert ("sf", "query", "A1000") in couriers.world.calls
    assert await delivery_state(delivery) == "out_for_delivery"
    assert "signed" not in await recorded_states(delivery)


async def test_a_forger_without_the_salt_and_an_old_push_change_nothing(couriers: Couriers, staff: AsStaff):
    delivery, waybill = await ordered(staff, "ems")
    await move(couriers, waybill, "out")
    nodes = await fetch_value("SELECT count(*) FROM shipment_nodes")
    (push,) = await couriers.forge(waybill, partner="kuaidi100")
    assert (push.arrived, push.attempts[0].answer[:3]) == (False, "401")
    await couriers.replay(couriers.pushes.pushed(waybill)[0].id)
    await jobs.drain()
    assert await delivery_state(delivery) == "out_for_delivery"
    assert await fetch_value("SELECT count(*) FROM shipment_nodes") == nodes


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        CourierFault(copies=3),
        CourierFault(deaf=True),
        CourierFault(doubled=True, reversed=True),
        CourierFault(truncated=True),
        CourierFault(future_hours=30),
    ],
    ids=["copies", "deaf", "doubled", "truncated", "future"],
)
async def test_no_fault_keeps_it_from_where_it_is(
    couriers: Couriers, staff: AsStaff, courier: str, fault: CourierFault
):
    delivery, waybill = await ordered(staff, courier)
    couriers.pushes.inject(fault, times=3)
    await couriers.travel(waybill, "signed")
    couriers.pushes.clear_faults()
    await couriers.advance(DAY)
    await jobs.drain()
    await ask_now()
    assert await delivery_state(delivery) == "signed"
    assert (await recorded_states(delivery))[-1] == "signed"


@BOTH
async def test_pushes_in_the_wrong_order_come_to_the_same_end(couriers: Couriers, staff: AsStaff, courier: str):
    delivery, waybill = await ordered(staff, courier)
    couriers.rule(pushes="hold")
    await couriers.travel(waybill, "signed")
    await couriers.pushes.release_now(*[each.id for each in reversed(couriers.pushes.pushed(waybill))])
    await jobs.drain()
    await ask_now()
    assert await delivery_state(delivery) == "signed"
    told = await recorded_states(delivery)
    assert told == sorted(told, key=[*HOME].index)
    statuses = {status for status, _ in await verified(delivery)}
    assert {"collected", "in_transit", "out_for_delivery", "delivered"} <= statuses


async def test_an_order_whose_answer_is_lost_or_late_is_one_order(couriers: Couriers, staff: AsStaff, sandbox: Sandbox):
    couriers.rule(push_before_answer=True)
    sandbox.world.faults.add("/couriers/sf/*", "drop_reply", times=1)
    delivery, waybill = await ordered(staff, "sf")
    assert list(couriers.world.parcels) == [waybill]
    await move(couriers, waybill, "departed")
    assert await delivery_state(delivery) == "in_transit"


async def test_a_parcel_that_comes_back_and_one_that_is_lost_alarm_the_office(couriers: Couriers, staff: AsStaff):
    back, first = await ordered(staff, "ems")
    await move(couriers, first, "refused")
    assert await delivery_state(back) == "returning"
    await move(couriers, first, "returned")
    assert await delivery_state(back) == "returned"
    assert "returned" in [kind for kind, _ in await problems_of(back)]


async def test_a_number_that_no_tracker_knows_is_given_up_and_reported(couriers: Couriers, staff: AsStaff):
    delivery = await one_to_send(staff)
    await dispatching.enter_department_waybill(
        staff, delivery.id, company="zhongtong", waybill="7001122334455", trackers=in_use().trackers
    )
    await jobs.drain()
    await ask_now()
    await couriers.advance(3 * DAY + 60)
    await jobs.drain()
    assert [kind for kind, _ in await problems_of(delivery.id)] == ["not-found"]
    assert couriers.desks["kuaidi100"].subscriptions[0].status == "abort"


async def test_the_tracker_corrects_the_company_that_the_office_entered(couriers: Couriers, staff: AsStaff):
    delivery = await one_to_send(staff)
    parcel = await couriers.parcel("youzhengguonei")
    await dispatching.enter_department_waybill(
        staff, delivery.id, company="ems", waybill=parcel.waybill, trackers=in_use().trackers
    )
    await jobs.drain()
    await ask_now()
    await move(couriers, parcel.waybill, "signed")
    assert await fetch_value("SELECT company FROM shipments") == "youzhengguonei"
    assert await delivery_state(delivery.id) == "signed"


async def test_an_order_is_taken_back_until_the_courier_has_come(couriers: Couriers, staff: AsStaff):
    delivery, waybill = await ordered(staff, "sf")
    await dispatching.undo_order(staff, delivery, couriers=in_use().couriers)
    assert couriers.find(waybill).cancelled
    assert await delivery_state(delivery) == "to_send"


@BOTH
async def test_a_label_can_be_printed(couriers: Couriers, staff: AsStaff, courier: str):
    delivery, waybill = await ordered(staff, courier)
    made = await dispatching.get_label(staff, delivery, couriers=in_use().couriers)
    assert f"/couriers/labels/{waybill}.pdf" in str(made)
