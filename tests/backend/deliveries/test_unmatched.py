"""A courier that is faster than its own answer: what it pushed before is worked off when the parcel is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from backend import callbacks, clock, jobs
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.deliveries import callbacks as courier_callbacks
from backend.deliveries import dispatching, numbering, ordering, unmatched
from backend.partners.courier.port import CourierPush, Node, OrderedParcel, ParcelOrder, PushAnswer, Track
from models.deliveries import Delivery
from tests.backend.deliveries.couriers import ACourier, ATracker, served_by
from tests.backend.deliveries.offices import an_office, jobs_later, one_to_send, shipments
from tests.factories.deliveries import a_node, a_shipment, a_waybill, delivery_state, moves_of, recorded_states


class Died(BaseException):
    """The process ended here."""


class APusher(ATracker):
    """SF as a tracker: pushes without a signature, of one parcel at a time."""

    def __init__(self, *, signs: bool = False) -> None:
        super().__init__("sf", signs=signs)
        self.pushed: dict[bytes, tuple[Track, ...]] = {}

    def body_of(self, waybill: str, *nodes: Node, order_number: str | None = None) -> bytes:
        """The body of a push that says this."""
        track = Track(waybill=waybill, company="shunfeng", nodes=nodes, complete=False, order_number=order_number)
        body = f"push {len(self.pushed)}".encode()
        self.pushed[body] = (track,)
        return body

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        return CourierPush(identity=body.decode(), signed=self.signs, tracks=self.pushed[body], plaintext=body.decode())

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        return PushAnswer(b"OK" if accepted else b"ERR", "text/plain")

    async def push(self, body: bytes) -> None:
        answer = await courier_callbacks.ingest_push(self, {}, body)  # type: ignore[arg-type]
        assert answer.body == b"OK"


async def being_sent(courier: ACourier) -> tuple[Delivery, UUID, str]:
    """A delivery that is to be ordered, its shipment, and the waybill that the courier will give it. The test decides
    when it is ordered."""
    staff, _ = await an_office()
    delivery, waybill = await one_to_send(staff), a_waybill()
    courier.waybills[numbering.shipment_number(delivery.number, 1)] = waybill
    await dispatching.send_delivery(staff, delivery.id, courier.name, couriers={courier.name: courier})
    assert await execute("DELETE FROM pgqueuer WHERE entrypoint = 'deliveries.order'") == 1
    return delivery, await fetch_value("SELECT id FROM shipments WHERE delivery_id = $1", delivery.id), waybill


def sf() -> ACourier:
    return ACourier("sf", "shunfeng")


async def test_a_push_that_comes_before_the_answer_to_the_order_is_worked_off_after_it():
    courier, pusher = sf(), APusher()
    delivery, shipment_id, waybill = await being_sent(courier)

    async def push_first() -> None:
        await pusher.push(pusher.body_of(waybill, a_node("collected", -1), order_number=f"S{delivery.number[1:]}01"))
        await jobs.drain()
        assert await delivery_state(delivery.id) == "to_send"

    courier.meanwhile = [push_first]
    with served_by(courier, trackers=[pusher]):
        await ordering.place_order(shipment_id)
        await jobs.drain()

    assert await moves_of(delivery.id) == ["to_send", "ordered", "picked_up"]
    assert await recorded_states(delivery.id) == ["ordered", "picked_up"]
    assert await fetch_value("SELECT count(*) FROM shipment_nodes") == 1


async def test_after_a_crash_between_order_and_answer_all_pushes_meanwhile_are_found():
    courier, pusher = sf(), APusher(signs=True)
    delivery, shipment_id, waybill = await being_sent(courier)
    order = courier.order

    async def die(parcel: ParcelOrder) -> OrderedParcel:
        await order(parcel)
        raise Died

    courier.order = die  # type: ignore[method-assign]
    with served_by(courier, trackers=[pusher]):
        with pytest.raises(Died):
            await ordering.place_order(shipment_id)
        for status, minutes in (("collected", 30), ("in_transit", 60), ("delivered", 200)):
            with clock.travel(by=timedelta(minutes=minutes)):
                await pusher.push(pusher.body_of(waybill, a_node(status)))
        assert await shipments() == [("to_send", None, False)]

        courier.order = order  # type: ignore[method-assign]
        with clock.travel(by=timedelta(hours=20)):
            await ordering.place_order(shipment_id)
            await jobs.drain()

    assert len({str(parcel) for parcel in courier.orders}) == 1
    assert await shipments() == [("signed", None, True)]
    assert await fetch_value("SELECT count(*) FROM shipment_nodes WHERE verified") == 3
    assert (await recorded_states(delivery.id))[-1] == "signed"


async def test_what_was_only_claimed_before_the_answer_is_asked_about_after_it():
    courier, pusher = sf(), APusher()
    delivery, shipment_id, waybill = await being_sent(courier)
    signed = a_node("delivered", -1)
    await pusher.push(pusher.body_of(waybill, signed))
    await jobs.drain()

    with served_by(courier, trackers=[pusher]):
        await ordering.place_order(shipment_id)
        await jobs.drain()

    assert await delivery_state(delivery.id) == "ordered"
    assert await fetch_value("SELECT query_after <= $1 FROM shipments", clock.now())


async def test_what_was_pushed_of_a_waybill_that_is_entered_by_hand_later_is_worked_off():
    staff, _ = await an_office()
    delivery, pusher, waybill = await one_to_send(staff), APusher(), a_waybill()
    await pusher.push(pusher.body_of(f" {waybill.lower()}", a_node("collected", -60)))
    await jobs.drain()

    with served_by(sf(), trackers=[pusher]):
        await dispatching.enter_department_waybill(staff, delivery.id, company="shunfeng", waybill=waybill, trackers={})
        await jobs.drain()

    assert await delivery_state(delivery.id) == "picked_up"


async def test_a_push_about_nobodys_parcel_is_kept_once_and_forgotten_with_the_push():
    pusher = APusher()
    body = pusher.body_of(a_waybill(), a_node("collected", -1))
    await pusher.push(body)
    await pusher.push(body)
    await jobs.drain()

    assert await fetch_value("SELECT count(*) FROM unmatched_tracks") == 1
    assert await jobs_later() == 0
    with clock.travel(by=timedelta(days=400)):
        assert await callbacks.delete_old_pushes() == 1
    assert await fetch_value("SELECT count(*) FROM unmatched_tracks") == 0


async def test_a_push_that_fits_no_parcel_of_its_number_is_not_worked_for_ever():
    other, pusher = await a_shipment(company="ems"), APusher()

    await pusher.push(pusher.body_of(str(other.waybill), a_node("collected", -1)))
    await jobs.drain()

    assert await delivery_state(other.delivery_id) == "ordered"
    assert await fetch_value("SELECT count(*) FROM pgqueuer WHERE entrypoint = $1", unmatched.REAPPLY) == 0


async def test_a_push_that_is_worked_while_the_answer_is_being_written_down_is_not_lost():
    courier, pusher = sf(), APusher()
    delivery, shipment_id, waybill = await being_sent(courier)
    await pusher.push(pusher.body_of(waybill, a_node("collected", -1)))
    row, written = await fetch_row(ordering._OPEN, shipment_id), asyncio.Event()
    assert row is not None

    async def answer() -> None:
        async with transaction():
            await ordering.accept_order(row, OrderedParcel(waybill))
            written.set()
            await asyncio.sleep(0.4)

    async def work() -> None:
        await written.wait()
        await jobs.drain()

    with served_by(courier, trackers=[pusher]):
        await asyncio.gather(answer(), work())
        await jobs.drain()

    assert await delivery_state(delivery.id) == "picked_up"


async def test_an_answer_that_comes_while_a_push_is_being_worked_is_not_lost():
    courier, pusher = sf(), APusher()
    delivery, shipment_id, waybill = await being_sent(courier)
    await pusher.push(pusher.body_of(waybill, a_node("collected", -1)))
    message_id, passed_over = await fetch_value("SELECT id FROM inbound_messages"), asyncio.Event()

    async def work() -> None:
        async with transaction():
            await courier_callbacks._apply(message_id)
            passed_over.set()
            await asyncio.sleep(0.4)

    async def answer() -> None:
        await passed_over.wait()
        await ordering.place_order(shipment_id)

    with served_by(courier, trackers=[pusher]):
        await execute("DELETE FROM pgqueuer")
        await asyncio.gather(work(), answer())
        await jobs.drain()

    assert await delivery_state(delivery.id) == "picked_up"


async def test_every_parcel_of_a_push_has_a_job_of_its_own():
    courier, pusher = sf(), APusher()
    delivery, shipment_id, waybill = await being_sent(courier)
    other = a_waybill()
    body = pusher.body_of(waybill, a_node("collected", -1))
    pusher.pushed[body] += (Track(waybill=other, company="shunfeng", nodes=(a_node("lost", -1),), complete=False),)
    await pusher.push(body)

    with served_by(courier, trackers=[pusher]):
        await jobs.drain()
        async with transaction():
            for each in (waybill, other):
                await unmatched.lock_waybill(each)
                await unmatched.reapply_pushes(each)

        count = "SELECT count(*) FROM pgqueuer WHERE entrypoint = $1 AND status = 'queued'"
        assert await fetch_value(count, unmatched.REAPPLY) == 2
        await ordering.place_order(shipment_id)
        await jobs.drain()

    assert await delivery_state(delivery.id) == "picked_up"
