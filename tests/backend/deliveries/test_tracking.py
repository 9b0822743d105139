"""What is reported of a parcel: by whom, when, how often, and what of it counts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from backend import clock
from backend.crypto import open_sealed
from backend.database import execute, fetch, fetch_row, fetch_value
from backend.deliveries import tracking
from backend.partners.courier.port import Node, Track
from backend.settings import using
from models.deliveries import DeliveryState as D
from models.shipments import Shipment
from tests.factories.deliveries import (
    a_delivery,
    a_node,
    a_shipment,
    delivery_state,
    moves_of,
    problems_of,
    recorded_states,
)


def a_track(shipment: Shipment, *nodes: Node, **changes: object) -> Track:
    """What a tracker says of the parcel."""
    values: dict[str, object] = {
        "waybill": shipment.waybill,
        "company": shipment.company,
        "nodes": nodes,
        "complete": True,
        **changes,
    }
    return Track(**values)  # type: ignore[arg-type]


async def ingest(
    shipment: Shipment, *nodes: Node, source: str = "kuaidi100", trusted: bool = True, **changes: object
) -> tracking.IngestResult:
    return await tracking.ingest_tracks([a_track(shipment, *nodes, **changes)], source=source, trusted=trusted)


async def rows_of(shipment: Shipment) -> list[tuple[str, bool, bool]]:
    """Status, belief and lateness of the parcel's nodes, by their own time."""
    rows = await fetch(
        "SELECT status, verified, late FROM shipment_nodes WHERE shipment_id = $1 ORDER BY event_at, status",
        shipment.id,
    )
    return [(row["status"], row["verified"], row["late"]) for row in rows]


async def column(shipment: Shipment, name: str) -> object:
    row = await fetch_row("SELECT * FROM shipments WHERE id = $1", shipment.id)
    assert row is not None
    return row[name]


async def test_a_journey_moves_the_delivery_step_by_step():
    shipment = await a_shipment()
    journey = [a_node("collected", -50), a_node("in_transit", -40), a_node("out_for_delivery", -9), a_node("delivered")]

    for n in range(1, 5):
        assert (await ingest(shipment, *reversed(journey[:n]))).nodes == 1

    assert await recorded_states(shipment.delivery_id) == ["picked_up", "in_transit", "out_for_delivery", "signed"]
    assert await delivery_state(shipment.delivery_id) == "signed"
    assert await column(shipment, "ended_at") is not None
    at = await fetch_value("SELECT at FROM delivery_transitions WHERE to_state = 'picked_up'")
    assert at == journey[0].event_at


async def test_a_node_is_kept_word_for_word_and_sealed():
    shipment, node = (
        await a_shipment(),
        a_node("other", raw_code="999", raw_text="【长春市】张三13800138000已取", place="长春"),
    )

    await ingest(shipment, node)

    row = await fetch_row("SELECT * FROM shipment_nodes")
    assert row is not None
    assert open_sealed(row["raw_text"], where="shipment_nodes.raw_text", row=row["id"]) == node.raw_text
    assert "13800138000" not in str(dict(row))
    assert (row["status"], row["raw_code"], row["source"]) == ("other", "999", "kuaidi100")
    assert (row["event_at"], row["received_at"] >= node.event_at) == (node.event_at, True)
    assert await recorded_states(shipment.delivery_id) == []


async def test_a_node_repeated_by_a_push_or_by_a_query_is_one_row():
    shipment, node = await a_shipment(), a_node("collected", -10)

    await ingest(shipment, node, node)
    again = await ingest(shipment, node, source="kuaidi100:query")

    assert (again.shipments, again.nodes) == (1, 0)
    assert len(await rows_of(shipment)) == 1
    assert await recorded_states(shipment.delivery_id) == ["picked_up"]


async def test_a_key_that_changed_makes_no_second_row_of_a_node():
    shipment, node = await a_shipment(), a_node("collected", -10)
    old, new = f"old:{'1' * 64}", f"new:{'2' * 64}"

    with using(fingerprint_keys=old):
        await ingest(shipment, node)
    with using(fingerprint_keys=f"{new},{old}"):
        assert (await ingest(shipment, node)).nodes == 0


async def test_late_nodes_enter_the_timeline_and_move_nothing():
    shipment = await a_shipment()
    await ingest(shipment, a_node("delivered"))

    late = await ingest(shipment, a_node("in_transit", -30))

    assert late.nodes == 1
    assert await rows_of(shipment) == [("in_transit", True, True), ("delivered", True, False)]
    assert await recorded_states(shipment.delivery_id) == ["signed"]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'shipment.nodes-stored'") == 1


async def test_an_unsigned_signature_waits_for_the_answer_to_a_query():
    shipment, signed = await a_shipment(tracker="sf", company="shunfeng"), a_node("delivered")

    await ingest(shipment, a_node("out_for_delivery", -5), signed, source="sf", trusted=False)

    assert await delivery_state(shipment.delivery_id) == "out_for_delivery"
    assert await column(shipment, "unconfirmed_end_at") is not None
    due = await column(shipment, "query_after")
    assert isinstance(due, datetime)
    assert due <= clock.now()

    await ingest(shipment, signed, source="sf:query")

    assert await delivery_state(shipment.delivery_id) == "signed"
    assert await rows_of(shipment) == [("out_for_delivery", True, False), ("delivered", True, False)]


@pytest.mark.parametrize(("status", "state"), [("returned", "returned"), ("lost", "lost")])
async def test_an_unsigned_loss_or_return_raises_no_alarm_until_a_query_confirms_it(status: str, state: str):
    shipment, end = await a_shipment(tracker="kdniao"), a_node(status)

    await ingest(shipment, a_node("in_transit", -5), end, source="kdniao", trusted=False)

    assert await delivery_state(shipment.delivery_id) == "in_transit"
    assert await problems_of(shipment.delivery_id) == []
    due = await column(shipment, "query_after")
    assert isinstance(due, datetime)
    assert due <= clock.now()
    await ingest(shipment, a_node("in_transit", -4), source="kdniao", trusted=False)
    assert await column(shipment, "query_after") == due

    await ingest(shipment, end, source="kdniao:query")

    assert await delivery_state(shipment.delivery_id) == state
    assert await problems_of(shipment.delivery_id) == [(state, None)]


async def test_a_belief_is_not_lost_to_a_later_claim():
    shipment, signed = await a_shipment(tracker="sf"), a_node("delivered")

    await ingest(shipment, signed, source="sf:query")
    await ingest(shipment, signed, source="sf", trusted=False)

    assert await rows_of(shipment) == [("delivered", True, False)]


async def test_signed_and_then_returned_is_a_contradiction_for_the_office_and_no_way_back():
    shipment = await a_shipment()
    await ingest(shipment, a_node("delivered", -20))

    await ingest(shipment, a_node("returned", -5))

    assert await delivery_state(shipment.delivery_id) == "signed"
    assert [kind for kind, _ in await problems_of(shipment.delivery_id)] == ["conflict"]


async def test_refused_at_first_and_then_signed_for_is_no_contradiction():
    shipment = await a_shipment()
    await ingest(shipment, a_node("refused", -20))
    await ingest(shipment, a_node("delivered", -5))

    assert await moves_of(shipment.delivery_id) == ["ordered", "returning", "signed"]
    problems = await problems_of(shipment.delivery_id)
    assert [(kind, ended is not None) for kind, ended in problems] == [("refused", True)]


@pytest.mark.parametrize(
    ("status", "kind"), [("delivery_failed", "delivery-failed"), ("returned", "returned"), ("lost", "lost")]
)
async def test_what_goes_wrong_is_found_once(status: str, kind: str):
    shipment = await a_shipment()

    await ingest(shipment, a_node(status, -5))
    await ingest(shipment, a_node(status, -5), a_node(status, -4))

    assert await problems_of(shipment.delivery_id) == [(kind, None)]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery-problem.opened'") == 1


async def test_a_failed_attempt_before_the_next_one_raises_no_alarm():
    shipment = await a_shipment()

    await ingest(shipment, a_node("delivery_failed", -50), a_node("out_for_delivery", -20))

    assert await problems_of(shipment.delivery_id) == []


async def test_what_happens_in_two_hours_is_taken_and_what_happens_later_is_not():
    shipment = await a_shipment()

    await ingest(shipment, a_node("collected", 115), a_node("delivered", 125))

    assert await rows_of(shipment) == [("collected", True, False)]
    assert await delivery_state(shipment.delivery_id) == "picked_up"


async def test_a_time_without_a_zone_is_read_as_shanghai():
    shipment = await a_shipment()
    local = (clock.now() - timedelta(minutes=5)).astimezone(clock.SHANGHAI).replace(tzinfo=None, microsecond=0)

    await ingest(shipment, a_node("collected", event_at=local))

    at = await fetch_value("SELECT event_at FROM shipment_nodes")
    assert at == local.replace(tzinfo=clock.SHANGHAI)


async def test_a_number_that_the_courier_used_before_belongs_to_the_parcel_of_its_time():
    months_ago = clock.now() - timedelta(days=200)
    old = await a_shipment(state=D.SIGNED, ordered_at=months_ago, ended_at=months_ago + timedelta(days=3))
    new = await a_shipment(waybill=old.waybill)

    result = await ingest(
        new,
        a_node("collected", event_at=months_ago + timedelta(days=1)),
        a_node("delivered", event_at=months_ago + timedelta(days=3)),
        a_node("collected", -3),
    )

    assert result.shipments == 2
    assert [status for status, _, _ in await rows_of(old)] == ["collected", "delivered"]
    assert [status for status, _, _ in await rows_of(new)] == ["collected"]
    assert await delivery_state(new.delivery_id) == "picked_up"


async def test_what_lies_between_two_parcels_of_one_number_belongs_to_neither():
    old = await a_shipment(
        state=D.SIGNED, ordered_at=clock.now() - timedelta(days=300), ended_at=clock.now() - timedelta(days=290)
    )

    result = await ingest(old, a_node("delivered", event_at=clock.now() - timedelta(days=100)))

    assert (result.shipments, result.unknown) == (0, 1)


async def test_what_happened_before_the_order_is_of_another_parcel_unless_the_waybill_was_entered_by_hand():
    ordered, by_hand = await a_shipment(), await a_shipment(courier="manual")

    for shipment in (ordered, by_hand):
        await ingest(shipment, a_node("collected", -60 * 24 * 3))

    assert (await rows_of(ordered), len(await rows_of(by_hand))) == ([], 1)


async def test_another_companys_parcel_of_the_same_number_is_not_ours():
    shipment = await a_shipment()

    result = await ingest(shipment, a_node("delivered"), company="shunfeng")

    assert result == tracking.IngestResult(0, 0, 1)
    assert await delivery_state(shipment.delivery_id) == "ordered"


async def test_a_push_that_names_another_order_of_ours_is_not_of_this_parcel():
    shipment, other = await a_shipment(), await a_shipment()

    assert (await ingest(shipment, a_node("delivered"), order_number=other.number)).unknown == 1
    assert (await ingest(shipment, a_node("collected"), order_number=shipment.number)).nodes == 1
    assert (await ingest(shipment, a_node("in_transit"), order_number="SOMEBODY-S")).nodes == 1


async def test_only_the_tracker_may_correct_the_company():
    shipment = await a_shipment()

    await ingest(shipment, company="yunda", corrected_company="yunda", source="kdniao")
    await ingest(shipment, company="yunda", corrected_company="yunda", trusted=False)
    assert await column(shipment, "company") == "ems"

    await ingest(shipment, corrected_company="yunda", given_up=True)
    assert await column(shipment, "company") == "yunda"
    assert await column(shipment, "subscribe_after") is None

    assert (await ingest(shipment, a_node("collected"), company="yunda")).nodes == 1


async def test_a_correction_that_leads_to_another_parcel_under_way_is_for_the_office():
    other = await a_shipment(company="yunda")
    shipment = await a_shipment(waybill=other.waybill)

    await tracking.ingest_tracks(
        [a_track(shipment, a_node("collected"), corrected_company="yunda")], source="kuaidi100", trusted=True
    )

    assert await column(shipment, "company") == "ems"
    assert [kind for kind, _ in await problems_of(shipment.delivery_id)] == ["conflict"]


async def test_a_tracker_that_gives_up_is_subscribed_to_again_after_half_an_hour():
    shipment = await a_shipment()

    await ingest(shipment, given_up=True)

    due = await column(shipment, "subscribe_after")
    assert isinstance(due, datetime)
    assert due >= clock.now() + timedelta(minutes=30)
    assert await problems_of(shipment.delivery_id) == [("not-found", None)]


async def test_a_push_puts_the_next_question_off():
    shipment = await a_shipment(query_after=clock.now())

    await ingest(shipment, a_node("collected", -1))

    due = await column(shipment, "query_after")
    assert isinstance(due, datetime)
    assert due > clock.now() + timedelta(hours=11)


async def test_a_parcel_that_moves_again_closes_the_alarm_about_its_silence():
    shipment = await a_shipment()
    await ingest(shipment, a_node("collected", -50), given_up=True)
    assert await problems_of(shipment.delivery_id) == [("no-movement", None)]

    await ingest(shipment, a_node("in_transit", -1))

    [(kind, ended)] = await problems_of(shipment.delivery_id)
    assert (kind, ended is not None) == ("no-movement", True)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery-problem.answered'") == 1


async def test_an_order_that_was_undone_and_is_on_its_way_all_the_same_alarms_and_moves_nothing():
    delivery = await a_delivery()
    shipment = await a_shipment(delivery, ended_at=clock.now())

    await ingest(shipment, a_node("in_transit", -1))

    assert await delivery_state(delivery.id) == "to_send"
    assert [kind for kind, _ in await problems_of(delivery.id)] == ["conflict"]


async def test_the_first_parcel_arriving_after_a_second_was_sent_alarms_and_moves_nothing():
    first = await a_shipment(state=D.LOST, ended_at=clock.now())
    await execute("UPDATE deliveries SET state = 'ordered' WHERE id = $1", first.delivery_id)
    await a_shipment(await first.delivery, attempt=2)

    await ingest(first, a_node("delivered", -1))

    assert await delivery_state(first.delivery_id) == "ordered"
    assert [kind for kind, _ in await problems_of(first.delivery_id)] == ["conflict"]


async def test_texts_that_no_database_holds_are_made_harmless():
    shipment = await a_shipment()

    node = a_node("other", -1, raw_code="\0" * 80, raw_text="\ud800半" * 3000, place="x" * 500, region_code="12a")
    await ingest(shipment, replace(node, status="nonsense"))

    row = await fetch_row("SELECT status, raw_code, place, region_code FROM shipment_nodes")
    assert row is not None
    assert tuple(row.values()) == ("other", "", "x" * 100, None)


async def test_a_flood_of_nodes_fills_no_table():
    shipment = await a_shipment()

    result = await ingest(shipment, *(a_node("other", -n / 60) for n in range(1200)))

    assert result.nodes == 1000
    assert (await ingest(shipment, a_node("other", -25))).nodes == 0
