"""Parcels of the simulated couriers, ordered, followed and brought over real HTTP: ours and theirs on both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar

from backend import jobs
from backend.database import execute, fetch_value
from backend.deliveries import choosing, dispatching, polling
from backend.deliveries.choosing import DeliveryChoice
from backend.identity.principals import AsResident, AsStaff
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from models.deliveries import Delivery, DeliveryState, Method
from tests.backend.deliveries.choices import an_offer
from tests.backend.deliveries.offices import an_office, one_to_send
from tests.factories.appointments import somebody
from tests.factories.deliveries import an_address, delivery_state, moves_of, problems_of, recorded_states
from tests.factories.regions import a_region
from tests.real_address import among_couriers


@pytest.fixture
async def partners(app: Litestar, sandbox: Sandbox) -> AsyncIterator[Partners]:
    """Our side of the couriers, and our API over real HTTP, to which they push; nothing happens by itself."""
    async with among_couriers(app, sandbox) as (_, bundle):
        yield bundle


@pytest.fixture
async def sent(request: pytest.FixtureRequest, partners: Partners) -> tuple[AsStaff, Delivery, str]:
    """A parcel that the courier has taken the order for and that is followed: who sent it, what, and its waybill."""
    staff, _ = await an_office()
    delivery = await one_to_send(staff)
    await dispatching.send_delivery(staff, delivery.id, request.param, couriers=partners.couriers)
    await worked()
    return staff, delivery, await fetch_value("SELECT waybill FROM shipments")


async def worked() -> None:
    """The worker has looked out and done everything that is due."""
    await polling.enqueue_due_queries()
    await jobs.drain()
    await polling.enqueue_due_queries()
    await jobs.drain()


def by(courier: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sent", [courier], indirect=True)


@by("ems")
async def test_a_parcel_of_ems_is_delivered_and_each_step_is_notified_once(
    sandbox: Sandbox, sent: tuple[AsStaff, Delivery, str]
):
    _, delivery, waybill = sent
    assert await delivery_state(delivery.id) == "ordered"

    await sandbox.couriers.travel(waybill, "signed")
    await sandbox.couriers.settle()
    await worked()

    assert await delivery_state(delivery.id) == "signed"
    told = await recorded_states(delivery.id)
    assert told[0] == "ordered"
    assert told[-1] == "signed"
    assert len(told) == len(set(told))
    assert await fetch_value("SELECT count(*) FROM inbound_messages WHERE partner = 'kuaidi100'") >= 5
    assert await problems_of(delivery.id) == []


@by("sf")
async def test_a_signature_pushed_by_sf_counts_after_our_query(sandbox: Sandbox, sent: tuple[AsStaff, Delivery, str]):
    _, delivery, waybill = sent

    await sandbox.couriers.travel(waybill, "signed")
    await sandbox.couriers.settle()
    await jobs.drain()
    assert await delivery_state(delivery.id) == "out_for_delivery"

    await execute("UPDATE shipments SET last_query_at = NULL")
    await worked()
    assert await delivery_state(delivery.id) == "signed"
    assert await fetch_value("SELECT bool_and(verified) FROM shipment_nodes WHERE status = 'delivered'") is True


@by("sf")
async def test_a_forged_signature_never_counts(sandbox: Sandbox, sent: tuple[AsStaff, Delivery, str]):
    _, delivery, waybill = sent
    await sandbox.couriers.travel(waybill, "collected")

    await sandbox.couriers.forge(waybill, "signed", partner="sf")
    await sandbox.couriers.settle()
    await jobs.drain()
    await execute("UPDATE shipments SET last_query_at = NULL")
    await worked()

    assert await delivery_state(delivery.id) == "picked_up"
    assert await fetch_value("SELECT unconfirmed_end_at IS NOT NULL FROM shipments") is True
    assert await fetch_value("SELECT last_query_at IS NOT NULL FROM shipments") is True


async def test_another_address_takes_the_order_back_at_the_courier_and_makes_a_new_one(
    sandbox: Sandbox, partners: Partners
):
    staff, _ = await an_office()
    resident: AsResident = await somebody()
    delivery = await one_to_send(staff, resident_id=resident.id)
    await dispatching.send_delivery(staff, delivery.id, "ems", couriers=partners.couriers)
    await jobs.drain()
    region = await a_region(code="980188", name="宽城区")
    new_home = await an_address(resident, street="新居3号", region_code=region.code)

    await choosing.change_delivery(
        resident,
        delivery.id,
        an_offer(subject_id=delivery.subject_id),
        DeliveryChoice(method=Method.POST, address_id=new_home.id),
        couriers=partners.couriers,
    )
    await jobs.drain()

    before, after = sandbox.couriers.world.parcels.values()
    assert (before.cancelled, after.cancelled) == (True, False)
    assert (after.receiver.street, after.number[:-2]) == ("新居3号", before.number[:-2])
    assert await moves_of(delivery.id) == ["to_send", "ordered", "to_send", "ordered"]


@by("ems")
async def test_a_parcel_that_comes_back_alarms_the_office_and_goes_out_again(
    sandbox: Sandbox, partners: Partners, sent: tuple[AsStaff, Delivery, str]
):
    staff, delivery, waybill = sent
    await sandbox.couriers.travel(waybill, "refused")
    await sandbox.couriers.happen(waybill, "returning")
    await sandbox.couriers.happen(waybill, "returned")
    await sandbox.couriers.settle()
    await worked()
    assert await delivery_state(delivery.id) == "returned"
    assert {kind for kind, _ in await problems_of(delivery.id)} == {"refused", "returned"}

    await dispatching.resend_delivery(staff, delivery.id)
    await dispatching.send_delivery(staff, delivery.id, "ems", couriers=partners.couriers)
    await worked()
    again = await fetch_value("SELECT waybill FROM shipments WHERE attempt = 2")
    await sandbox.couriers.travel(again, "signed")
    await sandbox.couriers.settle()
    await worked()

    assert await delivery_state(delivery.id) == DeliveryState.SIGNED
