"""Residents are notified of where their certificate is, once per step, in words that name no person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend import clock, jobs
from backend.database import execute, fetch, transaction
from backend.deliveries import anomalies, handing_over, problems, receiving, returning, tracking, transitions
from backend.deliveries.handing_over import IdentityProof
from backend.deliveries.lifecycle import Transition
from backend.identity.principals import AsResident, AsStaff
from backend.partners.courier.port import Node, Track
from models.deliveries import Delivery, Direction, Method, ProblemKind
from models.deliveries import DeliveryState as D
from models.shipments import Shipment
from notifications.rules import deliveries
from tests.factories.deliveries import (
    NAME,
    PHONE,
    STREET,
    a_delivery,
    a_node,
    a_pickup_point,
    a_problem,
    a_shipment,
    a_signature,
)
from tests.factories.identity import a_resident, a_staff


@pytest.fixture(autouse=True)
def unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(resident_id: object) -> None:
        return None

    monkeypatch.setattr("notifications.delivering.deliver", nothing)


async def written(resident: AsResident) -> dict[str, str]:
    await jobs.drain()
    rows = await fetch("SELECT name, title, body FROM messages WHERE resident_id = $1 ORDER BY id", resident.id)
    assert len({row["name"] for row in rows}) == len(rows), "a message twice"
    texts = {row["name"]: f"{row['title']}\n{row['body']}" for row in rows}
    assert not [each for each in (NAME, PHONE, STREET) for text in texts.values() if each in text]
    return texts


async def a_parcel(resident: AsResident, **changes: Any) -> Shipment:
    return await a_shipment(delivery_changes={"resident_id": resident.id}, **changes)


async def reported(parcel: Shipment, *nodes: Node) -> None:
    track = Track(waybill=str(parcel.waybill), company="ems", nodes=nodes, complete=False)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)


async def test_a_whole_journey_is_notified_step_by_step_and_the_middle_of_it_is_not():
    resident = await a_resident()
    parcel = await a_parcel(resident)
    journey = (("collected", -50), ("in_transit", -40), ("arrived_city", -30), ("out_for_delivery", -20))

    for status, minutes in (*journey, ("at_station", -10), ("delivered", -1)):
        await reported(parcel, a_node(status, minutes))
        await jobs.drain()

    texts = await written(resident)
    assert list(texts) == ["delivery_picked_up", "delivery_out_for_delivery", "delivery_at_station", "delivery_signed"]
    assert all(parcel.delivery.number in each and "居住证" in each for each in texts.values())


async def test_a_step_that_was_overtaken_before_its_event_is_handled_is_not_notified():
    resident = await a_resident()
    parcel = await a_parcel(resident)

    for status, minutes in (("collected", -50), ("out_for_delivery", -20), ("delivered", -1)):
        await reported(parcel, a_node(status, minutes))

    assert list(await written(resident)) == ["delivery_signed"]


async def test_a_parcel_that_goes_back_is_notified_once_per_step_and_not_as_a_problem_too():
    resident = await a_resident()
    parcel = await a_parcel(resident)

    for status, minutes in (("refused", -30), ("returned", -1)):
        await reported(parcel, a_node(status, minutes))
        await jobs.drain()

    assert list(await written(resident)) == ["delivery_returning", "delivery_returned"]


async def test_a_lost_parcel_is_notified_with_what_happens_next():
    resident = await a_resident()
    await reported(await a_parcel(resident), a_node("lost", -1))

    texts = await written(resident)

    assert list(texts) == ["delivery_lost"]
    assert "补办" in texts["delivery_lost"]


@pytest.mark.parametrize(
    ("kind", "is_notified"), [(each, each in deliveries.PROBLEMS) for each in ProblemKind], ids=[*ProblemKind]
)
async def test_a_problem_is_notified_only_when_the_resident_waits_for_it(kind: ProblemKind, is_notified: bool):
    resident = await a_resident()
    delivery = await a_delivery(resident, state=D.IN_TRANSIT)

    async with transaction():
        await anomalies.open_problem(delivery.id, kind)

    assert list(await written(resident)) == (["delivery_problem"] if is_notified else [])


async def test_a_problem_that_ended_meanwhile_is_not_notified():
    resident = await a_resident()
    delivery = await a_delivery(resident, state=D.IN_TRANSIT)

    async with transaction():
        await anomalies.open_problem(delivery.id, ProblemKind.NO_MOVEMENT)
    async with transaction():
        await anomalies.resolve_problems(delivery.id, [ProblemKind.NO_MOVEMENT])

    assert await written(resident) == {}


async def test_an_answer_is_announced_and_its_words_stay_behind_the_sign_in():
    resident, staff = await a_resident(), await a_staff(duties=("deliveries.send",))
    problem = await a_problem(await a_delivery(resident, department_id=staff.department_id))

    await problems.answer_problem(staff, problem.id, "已放在物业前台，请找李师傅")

    texts = await written(resident)
    assert list(texts) == ["delivery_problem_answered"]
    assert "李师傅" not in texts["delivery_problem_answered"]


async def at_the_counter(resident: AsResident) -> tuple[Delivery, AsStaff]:
    staff = await a_staff(duties=(handing_over.HAND_OVER,))
    point = await a_pickup_point(name="云山县政务服务中心出件窗口")
    delivery = await a_delivery(resident, method=Method.PICKUP, pickup_point=point, department_id=staff.department_id)
    await handing_over.make_ready(staff, delivery.number)
    return delivery, staff


async def test_a_pickup_is_notified_with_place_and_day_reminded_of_and_confirmed():
    resident = await a_resident()
    delivery, staff = await at_the_counter(resident)
    ready = await written(resident)
    last = clock.today() + timedelta(days=30)
    await execute("UPDATE deliveries SET kept_until = $2 WHERE id = $1", delivery.id, clock.today() + timedelta(days=7))
    await handing_over.record_reminders()
    reminded = await written(resident)

    async def known(*_: object) -> bool:
        return True

    shown = IdentityProof(name=NAME, id_last_four="002X")
    await handing_over.hand_over(staff, delivery.number, shown, a_signature(), identity_check=known)

    assert list(ready) == ["pickup_ready"]
    assert "云山县政务服务中心出件窗口" in ready["pickup_ready"]
    assert f"{last.year}年{last.month}月{last.day}日" in ready["pickup_ready"]
    assert list(reminded) == ["pickup_ready", "pickup_due"]
    assert list(await written(resident)) == ["pickup_ready", "pickup_due", "delivery_handed_over"]


async def test_a_resident_who_fetched_it_before_the_reminder_is_not_reminded():
    resident = await a_resident()
    delivery, _ = await at_the_counter(resident)
    await written(resident)
    await execute("UPDATE deliveries SET kept_until = $2 WHERE id = $1", delivery.id, clock.today())
    await handing_over.record_reminders()
    await execute("UPDATE deliveries SET state = 'handed_over' WHERE id = $1", delivery.id)

    assert list(await written(resident)) == ["pickup_ready"]


async def test_what_the_resident_did_is_not_notified():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.OUT_FOR_DELIVERY)

    await receiving.confirm_receipt(resident, parcel.delivery.number)
    await receiving.report_problem(resident, parcel.delivery.number, "包装破损")

    assert await written(resident) == {}


@pytest.mark.parametrize(("cause", "messages"), [("case-ended", ["delivery_cancelled"]), ("resident", [])])
async def test_a_cancelled_delivery_is_notified_unless_the_resident_cancelled_it(cause: str, messages: list[str]):
    resident = await a_resident()
    delivery = await a_delivery(resident)

    async with transaction():
        await transitions.apply_transition(await transitions.lock_row(delivery.id), Transition.CANCEL, cause)

    assert list(await written(resident)) == messages


async def test_documents_that_arrived_at_the_office_are_notified_and_their_journey_is_not():
    resident, staff = await a_resident(), await a_staff(duties=("deliveries.send",))
    parcel = await a_shipment(
        delivery_changes={
            "resident_id": resident.id, "direction": Direction.TO_OFFICE, "department_id": staff.department_id,
        }
    )  # fmt: skip
    for status, minutes in (("collected", -50), ("out_for_delivery", -20)):
        await reported(parcel, a_node(status, minutes))
        await jobs.drain()

    await returning.receive_documents(staff, parcel.delivery.number)

    texts = await written(resident)
    assert list(texts) == ["documents_received"]
    assert "办理部门" in texts["documents_received"]
