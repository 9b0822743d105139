"""What the office sees: its own, masked; problems with an owner and an answer; the batches of its mornings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import seal
from backend.database import fetch, fetch_value
from backend.deliveries import handing_over, problems, staff_views
from backend.deliveries.dispatching import SEND
from backend.deliveries.errors import (
    DeliveryBatchNotFound,
    DeliveryNotFound,
    DeliveryProblemNotFound,
    DeliveryProblemResolved,
)
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsStaff
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind
from models.shipments import ShipmentNode
from tests.factories.deliveries import (
    NAME,
    PHONE,
    STREET,
    a_delivery,
    a_pickup_point,
    a_problem,
    a_shipment,
)


def staff_at(department: UUID | None = None, *duties: str) -> AsStaff:
    return AsStaff(uuid7(), department or uuid7(), frozenset(duties or (SEND,)))


async def list_numbers(staff: AsStaff, **filters: Any) -> list[str]:
    return [each.number for each in (await staff_views.list_department_deliveries(staff, **filters))[0]]


async def test_the_office_sees_its_own_and_what_lies_at_its_counter():
    staff, stranger = staff_at(), staff_at()
    point = await a_pickup_point(department_id=staff.department_id)
    own = await a_delivery(department_id=staff.department_id)
    at_counter = await a_delivery(method=Method.PICKUP, pickup_point=point)
    await a_delivery()

    assert await list_numbers(staff) == [at_counter.number, own.number]
    assert await list_numbers(stranger) == []
    with pytest.raises(DeliveryNotFound):
        await staff_views.get_department_delivery(stranger, own.number)
    with pytest.raises(DutyMissing):
        await list_numbers(staff_at(staff.department_id, "cases.read"))
    assert await list_numbers(staff_at(staff.department_id, handing_over.HAND_OVER)) == [at_counter.number, own.number]


async def test_the_list_is_narrowed_by_state_way_direction_and_what_is_overdue():
    staff = staff_at()
    mine: dict[str, Any] = {"department_id": staff.department_id}
    sent = await a_delivery(**mine, state=D.IN_TRANSIT)
    incoming = await a_delivery(**mine, direction=Direction.TO_OFFICE)
    late = await a_delivery(**mine, method=Method.PICKUP, state=D.READY, kept_until=clock.today() - timedelta(days=1))
    kept = await a_delivery(**mine, method=Method.PICKUP, state=D.READY, kept_until=clock.today())

    assert await list_numbers(staff, states=[D.IN_TRANSIT]) == [sent.number]
    assert await list_numbers(staff, direction=Direction.TO_OFFICE) == [incoming.number]
    assert await list_numbers(staff, method=Method.PICKUP) == [kept.number, late.number]
    assert await list_numbers(staff, overdue=True) == [late.number]
    assert late.number not in await list_numbers(staff, overdue=False)
    first, cursor = await staff_views.list_department_deliveries(staff, limit=3)
    rest, end = await staff_views.list_department_deliveries(staff, limit=3, cursor=cursor)
    assert (len(first), len(rest), end) == (3, 1, None)


async def test_a_receiver_is_masked_until_staff_open_the_address_and_then_the_ledger_knows():
    staff = staff_at()
    parcel = await a_shipment(delivery_changes={"department_id": staff.department_id})
    identity = uuid7()
    await ShipmentNode.create(
        id=identity, shipment=parcel, digest="d", source="kuaidi100", status="out_for_delivery", raw_code="5",
        raw_text=seal("派件员13912345678", where="shipment_nodes.raw_text", row=identity), event_at=clock.now(),
        received_at=clock.now(), verified=True,
    )  # fmt: skip

    page = await staff_views.get_department_delivery(staff, parcel.delivery.number)
    full = await staff_views.reveal_receiver(staff, parcel.delivery.number)

    assert page.receiver is not None
    assert (page.receiver.name, page.receiver.phone, page.receiver.street) == ("田**", "138****8000", "***")
    assert [each.text for each in page.steps if each.kind == "courier"] == ["派件员139****5678"]
    assert (full.name, full.phone, full.street) == (NAME, PHONE, STREET)
    [event] = await fetch("SELECT payload FROM events WHERE name = 'delivery.receiver-revealed'")
    assert str(staff.id) in event["payload"]
    with pytest.raises(DutyMissing):
        await staff_views.reveal_receiver(staff_at(staff.department_id, handing_over.HAND_OVER), parcel.delivery.number)


async def test_what_is_fetched_at_a_counter_has_no_address_to_open():
    staff = staff_at()
    delivery = await a_delivery(method=Method.PICKUP, department_id=staff.department_id)

    with pytest.raises(DeliveryNotFound):
        await staff_views.reveal_receiver(staff, delivery.number)


async def test_a_problem_is_taken_over_answered_once_and_notified():
    staff = staff_at()
    delivery = await a_delivery(department_id=staff.department_id, state=D.SIGNED)
    problem = await a_problem(delivery, text="没有收到")
    colleague = AsStaff(uuid7(), staff.department_id, frozenset({SEND}))

    taken = await problems.assign_problem(staff, problem.id)
    again = await problems.assign_problem(staff, problem.id)
    taken_over = await problems.assign_problem(colleague, problem.id)
    answered = await problems.answer_problem(staff, problem.id, "已放在物业")

    assert (taken.text, taken.owner_id, again.owner_id) == ("没有收到", staff.id, staff.id)
    assert taken_over.owner_id == answered.owner_id == colleague.id
    assert (answered.answer, answered.ended_at is not None) == ("已放在物业", True)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery-problem.assigned'") == 2
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery-problem.answered'") == 1
    for act in (problems.assign_problem(staff, problem.id), problems.answer_problem(staff, problem.id, "再答一次")):
        with pytest.raises(DeliveryProblemResolved):
            await act


async def test_problems_are_listed_open_or_ended_mine_or_everybodys_and_only_the_departments():
    staff, stranger = staff_at(), staff_at()
    delivery = await a_delivery(department_id=staff.department_id)
    open_ = await a_problem(delivery, owner_id=staff.id)
    ended = await a_problem(delivery, kind=ProblemKind.NO_MOVEMENT, text=None, answer="已恢复", ended_at=clock.now())

    async def ids(**filters: Any) -> list[UUID]:
        return [each.id for each in (await problems.list_problems(staff, **filters))[0]]

    assert await ids() == [open_.id]
    assert await ids(is_open=False) == [ended.id]
    assert await ids(is_open=None) == [ended.id, open_.id]
    assert await ids(is_open=None, owner_id=staff.id) == [open_.id]
    assert (await problems.list_problems(stranger))[0] == []
    with pytest.raises(DeliveryProblemNotFound):
        await problems.get_problem(stranger, open_.id)
    with pytest.raises(DeliveryProblemNotFound):
        await problems.answer_problem(stranger, open_.id, "不归您")


async def test_the_desk_counts_what_is_open_and_batches_say_what_became_of_them():
    staff, batch = staff_at(), uuid7()
    mine = {"department_id": staff.department_id}
    first = await a_shipment(delivery_changes=mine, hand_over_batch=batch)
    await a_shipment(
        delivery_changes={**mine, "state": D.TO_SEND}, state=D.TO_SEND, hand_over_batch=batch, waybill=None,
        ordered_at=None, ended_at=clock.now(), order_error="courier-address-refused",
    )  # fmt: skip
    await a_shipment(
        delivery_changes={**mine, "state": D.TO_SEND}, state=D.TO_SEND, hand_over_batch=batch, waybill=None,
        ordered_at=None,
    )  # fmt: skip
    await a_delivery(**mine, state=D.SIGNED)
    await a_problem(first.delivery, owner_id=staff.id)

    desk = await staff_views.get_desk(staff)
    [line] = await staff_views.list_batches(staff)
    opened = await staff_views.get_batch(staff, batch)

    assert (desk.states, desk.problems, desk.problems_assigned) == ({"ordered": 1, "to_send": 2}, 1, 1)
    assert (line.id, line.shipments, line.ordered, line.waiting, line.failed) == (batch, 3, 1, 1, 1)
    assert (opened.shipments, opened.ordered, opened.waiting, opened.failed) == (3, 1, 1, 1)
    assert {each.error for each in opened.lines} == {None, "courier-address-refused"}
    with pytest.raises(DeliveryBatchNotFound):
        await staff_views.get_batch(staff_at(), batch)
    assert await staff_views.list_batches(staff_at()) == []
