"""My parcels: the list, one timeline of everybody's words, whom to call, and what can be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend import clock, data_subjects
from backend.database import fetch_value, transaction
from backend.deliveries import lifecycle, naming, receiving, resident_views, timeline, tracking, transitions
from backend.deliveries.errors import DeliveryNotFound, DeliveryProblemAlreadyReported, DeliveryTransitionRefused
from backend.deliveries.lifecycle import Transition
from backend.deliveries.timeline import TimelineStep
from backend.identity import delegating
from backend.identity.principals import AsResident
from backend.partners.courier.port import Node, Track
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind
from models.shipments import Shipment, TrackStatus
from tests.factories.deliveries import (
    NAME,
    PHONE,
    STREET,
    a_delivery,
    a_node,
    a_problem,
    a_shipment,
    delivery_state,
    moves_of,
    problems_of,
)
from tests.factories.identity import a_delegation, a_resident
from tests.factories.regions import a_region


async def a_parcel(resident: AsResident, **changes: Any) -> Shipment:
    return await a_shipment(delivery_changes={"resident_id": resident.id}, **changes)


async def ingest_nodes(parcel: Shipment, *nodes: Node, trusted: bool = True) -> None:
    track = Track(waybill=str(parcel.waybill), company=parcel.company, nodes=nodes, complete=False)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=trusted)


async def test_the_list_holds_ones_own_and_those_of_whom_one_acts_for_and_pages_on():
    mother, daughter, stranger = await a_resident(), await a_resident(), await a_resident()
    delegation = await a_delegation(mother, daughter, matters=("deliveries",))
    numbers = [(await a_delivery(each)).number for each in (mother, daughter, mother, stranger)]

    first, cursor = await resident_views.list_own_deliveries(daughter, limit=2)
    rest, end = await resident_views.list_own_deliveries(daughter, limit=2, cursor=cursor)
    hers, _ = await resident_views.list_own_deliveries(daughter, person_id=mother.id)
    foreign, _ = await resident_views.list_own_deliveries(daughter, person_id=stranger.id)

    assert [each.number for each in (*first, *rest)] == [numbers[2], numbers[1], numbers[0]]
    assert end is None
    assert [each.number for each in hers] == [numbers[2], numbers[0]]
    assert foreign == []
    await delegating.end_delegation(mother, delegation)
    assert [each.number for each in (await resident_views.list_own_deliveries(daughter))[0]] == [numbers[1]]
    with pytest.raises(DeliveryNotFound):
        await resident_views.get_own_delivery(daughter, numbers[0])


async def test_the_list_can_be_narrowed_to_states_and_says_what_is_wrong():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.IN_TRANSIT)
    await a_delivery(resident)
    await a_problem(parcel.delivery)

    lines, _ = await resident_views.list_own_deliveries(resident, states=[D.IN_TRANSIT])

    assert [(each.number, each.company_name, each.waybill, each.has_problem) for each in lines] == [
        (parcel.delivery.number, "EMS", parcel.waybill, True)
    ]


async def test_one_timeline_shows_office_and_courier_in_the_order_in_which_it_happened():
    resident, region = await a_resident(), await a_region()
    parcel = await a_parcel(resident)
    await ingest_nodes(parcel, a_node("out_for_delivery", -1, region_code=region.code), a_node("collected", -40))

    seen = await resident_views.get_own_delivery(resident, parcel.delivery.number)

    assert [(each.kind, each.code) for each in seen.steps] == [
        ("courier", "collected"),
        ("courier", "out_for_delivery"),
        ("office", "ordered"),
    ]
    last = next(each for each in seen.steps if each.code == "out_for_delivery")
    assert last.region == ("测试省", "测试市", region.name)
    assert (last.name, last.source, last.waybill) == ("派送中", "快递100", parcel.waybill)
    assert [each.code for each in seen.steps].count("out_for_delivery") == 1
    assert seen.state_name == "派送中"


async def test_a_claimed_signature_is_shown_as_not_confirmed_and_a_late_node_as_late():
    resident = await a_resident()
    parcel = await a_parcel(resident)
    await ingest_nodes(parcel, a_node("out_for_delivery", -5))
    await ingest_nodes(parcel, a_node("collected", -60), a_node("delivered", -1), trusted=False)

    seen = await resident_views.get_own_delivery(resident, parcel.delivery.number)

    by_code = {each.code: each for each in seen.steps}
    assert not by_code["delivered"].verified
    assert by_code["delivered"].name == "已签收（待快递公司核实）"
    assert by_code["collected"].late
    assert seen.state is D.OUT_FOR_DELIVERY


async def test_an_unknown_code_is_kept_and_called_other():
    resident = await a_resident()
    parcel = await a_parcel(resident)
    await ingest_nodes(parcel, a_node("other", -1, raw_code="XYZ", raw_text="快件已交接"))

    [step] = [
        each
        for each in (await resident_views.get_own_delivery(resident, parcel.delivery.number)).steps
        if each.code == "other"
    ]

    assert (step.name, step.text) == ("其他", "快件已交接")


async def test_the_couriers_phone_is_the_residents_alone_and_never_their_own():
    mother, daughter = await a_resident(), await a_resident()
    await a_delegation(mother, daughter, matters=("all",))
    parcel = await a_parcel(mother)
    await ingest_nodes(parcel, a_node("out_for_delivery", -1, raw_text="派送中，张师傅13912345678，收件人13800138000"))

    own = await resident_views.get_own_delivery(mother, parcel.delivery.number)
    hers = await resident_views.get_own_delivery(daughter, parcel.delivery.number)

    assert own.courier_phone == "13912345678"
    assert own.receiver is not None
    assert (own.receiver.name, own.receiver.phone, own.receiver.street) == (NAME, PHONE, STREET)
    assert hers.courier_phone is None
    assert hers.receiver is not None
    assert (hers.receiver.name, hers.receiver.phone, hers.receiver.street) == ("田**", "138****8000", "***")
    assert not any("13912345678" in each.text or PHONE in each.text for each in hers.steps)
    assert any("139****5678" in each.text for each in hers.steps)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("电话13912345678。", "电话139****5678。"),
        ("电话+86 13912345678", "电话+86********5678"),
        ("客服400-889-5888", "客服400*****5888"),
        ("固话0431-88880000", "固话043******0000"),
        ("运单EA123456789CN，重量1.25", "运单EA123456789CN，重量1.25"),
        ("运单75123456789012", "运单75123456789012"),
    ],
)
def test_phones_are_masked_and_other_numbers_are_not(text: str, masked: str):
    assert timeline.mask_phones(text) == masked


async def test_a_phone_is_taken_from_the_latest_node_near_the_door():
    resident = await a_resident()
    parcel = await a_parcel(resident)
    await ingest_nodes(
        parcel,
        a_node("collected", -90, raw_text="揽收员13700000000"),
        a_node("out_for_delivery", -60, raw_text="派件员13911111111"),
        a_node("delivery_failed", -30, raw_text="联系不上收件人"),
        a_node("out_for_delivery", -10, raw_text="派件员13922222222"),
        a_node("in_transit", -5, raw_text="咨询13733333333"),
    )

    assert (await resident_views.get_own_delivery(resident, parcel.delivery.number)).courier_phone == "13922222222"


async def test_a_confirmed_parcel_has_come_and_is_not_queried_any_more():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.OUT_FOR_DELIVERY, query_after=clock.now())
    await a_problem(parcel.delivery, kind=ProblemKind.NO_MOVEMENT, text=None)

    first = await receiving.confirm_receipt(resident, parcel.delivery.number)
    again = await receiving.confirm_receipt(resident, parcel.delivery.number)

    assert first.state is D.SIGNED
    assert first.confirmed_at == again.confirmed_at
    assert await moves_of(parcel.delivery.id) == ["out_for_delivery", "signed"]
    assert await fetch_value("SELECT query_after IS NULL AND ended_at IS NOT NULL FROM shipments") is True
    assert [ended is not None for _, ended in await problems_of(parcel.delivery.id)] == [True]
    await ingest_nodes(parcel, a_node("delivered", 1), a_node("returning", 2))
    assert await delivery_state(parcel.delivery.id) == "signed"
    steps = (await resident_views.get_own_delivery(resident, parcel.delivery.number)).steps
    assert [each.text for each in steps if each.kind == "office" and each.code == "signed"] == ["居民确认已收到"]


async def test_a_late_word_of_the_courier_does_not_take_a_confirmed_parcel_back():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.OUT_FOR_DELIVERY)
    await receiving.confirm_receipt(resident, parcel.delivery.number)

    await ingest_nodes(parcel, a_node("in_transit", -1))

    assert await fetch_value("SELECT state FROM shipments") == "signed"


async def test_what_the_courier_says_signed_can_be_confirmed_without_a_second_step():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.SIGNED, ended_at=clock.now())

    delivery = await receiving.confirm_receipt(resident, parcel.delivery.number)

    assert delivery.confirmed_at is not None
    assert await moves_of(parcel.delivery.id) == ["signed"]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery.confirmed'") == 1


@pytest.mark.parametrize("state", [D.WAITING, D.TO_SEND, D.RETURNING, D.RETURNED, D.LOST, D.CANCELLED])
async def test_what_has_not_come_cannot_be_confirmed(state: D):
    resident = await a_resident()
    delivery = await a_delivery(resident, state=state)

    with pytest.raises(DeliveryTransitionRefused):
        await receiving.confirm_receipt(resident, delivery.number)


async def test_what_is_fetched_at_a_counter_or_sent_in_is_not_confirmed_by_a_tap():
    resident = await a_resident()
    for changes in (
        {"method": Method.PICKUP, "state": D.READY},
        {"direction": Direction.TO_OFFICE, "state": D.ORDERED},
    ):
        delivery = await a_delivery(resident, **changes)
        with pytest.raises(DeliveryTransitionRefused):
            await receiving.confirm_receipt(resident, delivery.number)


async def test_a_problem_is_reported_once_until_it_is_answered_and_kept_sealed():
    resident = await a_resident()
    parcel = await a_parcel(resident, state=D.SIGNED, ended_at=clock.now())

    await receiving.report_problem(resident, parcel.delivery.number, "没有收到")
    with pytest.raises(DeliveryProblemAlreadyReported):
        await receiving.report_problem(resident, parcel.delivery.number, "还是没有收到")

    assert str(await fetch_value("SELECT text FROM delivery_problems")).startswith("v1.")
    seen = await resident_views.get_own_delivery(resident, parcel.delivery.number)
    assert seen.has_problem
    assert [(each.kind, each.answer) for each in seen.problems] == [(ProblemKind.REPORTED, None)]


@pytest.mark.parametrize("state", [D.WAITING, D.CANCELLED])
async def test_of_what_was_never_sent_nothing_can_be_wrong(state: D):
    resident = await a_resident()

    with pytest.raises(DeliveryTransitionRefused):
        await receiving.report_problem(resident, (await a_delivery(resident, state=state)).number, "没有收到")


async def test_another_residents_parcel_can_neither_be_confirmed_nor_complained_about():
    parcel, stranger = await a_parcel(await a_resident()), await a_resident()

    with pytest.raises(DeliveryNotFound):
        await receiving.confirm_receipt(stranger, parcel.delivery.number)
    with pytest.raises(DeliveryNotFound):
        await receiving.report_problem(stranger, parcel.delivery.number, "没有收到")


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("state", list(D))
async def test_a_button_is_offered_exactly_where_the_move_can_be_made(state: D, method: Method, direction: Direction):
    offered = resident_views.actions(state, direction, method)

    moves = {move for origin, move in lifecycle.DELIVERIES.transitions if origin is state}
    home, posted = direction is Direction.TO_RESIDENT, method is Method.POST
    confirmable = home and posted and (Transition.CONFIRM in moves or state is D.SIGNED)
    assert ("change" in offered) == (home and (Transition.CHANGE in moves or state is D.ORDERED))
    assert ("cancel" in offered) == (Transition.CANCEL in moves or state is D.ORDERED)
    assert ("confirm" in offered) == confirmable
    assert ("enter-waybill" in offered) == (not home and state is D.TO_SEND)
    assert ("report" in offered) == (state not in (D.WAITING, D.CANCELLED))


def test_every_state_status_and_problem_has_a_name_and_the_machine_is_whole():
    data = naming.as_data()

    assert naming.STATE_NAMES.keys() == set(D)
    assert naming.STATUS_NAMES.keys() == set(TrackStatus)
    assert naming.PROBLEM_NAMES.keys() == set(ProblemKind)
    codes = {each["code"] for each in data["states"]}  # type: ignore[attr-defined]
    going = {each["from"] for each in data["transitions"]}  # type: ignore[attr-defined]
    over = {each["code"] for each in data["states"] if each["terminal"]}  # type: ignore[attr-defined]
    assert codes == set(D)
    assert not over & going
    assert {D.SIGNED, D.HANDED_OVER, D.CANCELLED} == over


async def test_a_page_of_an_erased_resident_holds_no_address_and_no_words():
    resident = await a_resident()
    parcel = await a_parcel(resident)
    await ingest_nodes(parcel, a_node("delivered", -1))
    await data_subjects.erase(resident.id)

    seen = await resident_views.get_own_delivery(AsResident(resident.id, resident.session_id), parcel.delivery.number)

    assert seen.receiver is None
    assert [each.text for each in seen.steps if each.kind == "courier"] == [""]


async def test_steps_of_the_office_are_shown_and_those_that_repeat_a_node_are_not():
    resident = await a_resident()
    delivery = await a_delivery(resident, state=D.WAITING)
    async with transaction():
        delivery = await transitions.lock_row(delivery.id)
        for move in (Transition.DECIDED, Transition.ORDER):
            await transitions.apply_transition(delivery, move, "staff")
        await transitions.advance(delivery, D.IN_TRANSIT, "sf", clock.now() + timedelta(seconds=1))

    steps: list[TimelineStep] = (await resident_views.get_own_delivery(resident, delivery.number)).steps

    assert [each.code for each in steps] == ["waiting", "to_send", "ordered"]
