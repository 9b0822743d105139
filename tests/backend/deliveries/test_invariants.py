"""The invariants of deliveries hold after a life, and each of them notices its violation."""

from __future__ import annotations

import pytest

from backend import invariants, jobs
from backend.deliveries import choosing, dispatching, handing_over, receiving, returning, tracking
from backend.deliveries.handing_over import IdentityProof
from backend.invariants import Verdict
from backend.partners.courier.port import Track
from models.deliveries import Delivery, Direction, Method
from models.shipments import Shipment, TrackStatus
from tests.backend.deliveries.choices import an_offer, by_post
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.backend.deliveries.offices import an_office
from tests.factories.appointments import somebody
from tests.factories.deliveries import a_delivery, a_node, a_pickup_point, a_signature
from tests.factories.identity import a_staff
from tests.factories.ledger import tamper

OURS = ("I-8", "I-9", "I-10", "I-11", "D-5")


async def verdicts() -> dict[str, Verdict]:
    return {each.id: each for each in await invariants.check()}


async def ingest_nodes(delivery: Delivery, *statuses: str, trusted: bool = True) -> None:
    shipment = await Shipment.filter(delivery_id=delivery.id).order_by("-attempt").first()
    assert shipment is not None
    nodes = tuple(a_node(status, n - 30) for n, status in enumerate(statuses))
    track = Track(waybill=str(shipment.waybill), company="ems", nodes=nodes, complete=True)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=trusted)


async def knows(*shown: object) -> bool:
    return True


@pytest.fixture
async def life() -> None:
    """Signed for; lost and sent again; undone; a signature that is only claimed; confirmed by its resident; received
    without a courier's word; handed over at a counter."""
    (staff, _), resident, courier = await an_office(), await somebody(), ACourier()
    counter = await a_staff(department_id=staff.department_id, duties=[handing_over.HAND_OVER])
    offer = an_offer(department_id=staff.department_id)
    couriers, sent = {"ems": courier}, []
    with served_by(courier):
        first = await choosing.choose_delivery(resident, offer, await by_post(resident))
        sent.append(await Delivery.get(id=first.id))
        sent += [await a_delivery(resident, department_id=staff.department_id) for _ in range(4)]
        for each in sent:
            await dispatching.send_delivery(staff, each.id, "ems", couriers=couriers)
        await jobs.drain()
        signed, lost, undone, claimed, confirmed = sent
        await ingest_nodes(signed, "delivered", "collected", "in_transit")
        await ingest_nodes(lost, "collected")
        await dispatching.declare_outcome(staff, lost.id, TrackStatus.LOST)
        await dispatching.resend_delivery(staff, lost.id)
        await dispatching.send_delivery(staff, lost.id, "ems", couriers=couriers)
        await jobs.drain()
        await ingest_nodes(lost, "collected")
        await dispatching.undo_order(staff, undone.id, couriers=couriers)
        await ingest_nodes(claimed, "out_for_delivery", "delivered", trusted=False)
        await ingest_nodes(confirmed, "collected")
        await receiving.confirm_receipt(resident, confirmed.number)
        incoming = await a_delivery(department_id=staff.department_id, direction=Direction.TO_OFFICE)
        await returning.receive_documents(staff, incoming.number)
        point = await a_pickup_point(department_id=staff.department_id)
        fetched = await a_delivery(department_id=staff.department_id, method=Method.PICKUP, pickup_point=point)
        await handing_over.make_ready(counter, fetched.number)
        shown = IdentityProof(name="田秀英", id_last_four="0048")
        await handing_over.hand_over(counter, fetched.number, shown, a_signature(), identity_check=knows)
        await jobs.drain()


@pytest.mark.usefixtures("life")
async def test_after_a_life_of_parcels_everything_holds():
    found = await verdicts()

    assert {name: found[name].findings for name in OURS if found[name].status != "holds"} == {}


_CLAIMED = "(SELECT delivery_id FROM shipments WHERE unconfirmed_end_at IS NOT NULL)"
_STEP_BACK = (
    "INSERT INTO delivery_transitions (id, created_at, delivery_id, from_state, to_state, at, noted_at, actor, cause) "
    "SELECT 'ffffffff-ffff-7fff-8000-000000000000', now(), id, 'out_for_delivery', 'ordered', now(), now(), 'x', 'y' "
    f"FROM deliveries WHERE id = {_CLAIMED}"
)


@pytest.mark.usefixtures("life")
@pytest.mark.parametrize(
    ("name", "sql", "expected"),
    [
        ("I-9", _STEP_BACK, "went from out_for_delivery to ordered"),
        ("I-9", "DELETE FROM delivery_transitions WHERE to_state = 'ordered'", "the one before ended at to_send"),
        ("I-9", "UPDATE deliveries SET state = 'in_transit' WHERE state = 'out_for_delivery'",
                "is in_transit, its steps lead to out_for_delivery"),
        ("I-10", "DELETE FROM delivery_transitions WHERE to_state = 'lost'", "differ by -1 at picked_up to lost"),
        ("I-10", "UPDATE events SET name = 'x' WHERE name = 'delivery.state-changed' AND payload LIKE '%\"lost\"%'",
                 "differ by +1 at picked_up to lost"),
        ("I-11", "UPDATE hand_overs SET signature = 'iVBORw0KGgo'", "hand_overs.signature"),
        ("I-11", "UPDATE deliveries SET street = '人民大街1号' WHERE method = 'post'", "deliveries.street"),
        ("I-11", "UPDATE shipments SET label = 'https://labels.example/1.pdf'", "shipments.label"),
        ("I-11", "UPDATE shipment_nodes SET raw_text = '派件员13900000000'", "shipment_nodes.raw_text"),
        ("I-11", "UPDATE shipment_nodes SET place = '联系13900000000'", "shipment_nodes.place: phone"),
        ("D-5", "UPDATE shipment_nodes SET verified = true", "is out_for_delivery, its nodes lead to signed"),
        ("D-5", "UPDATE shipments SET state = 'lost' WHERE state = 'picked_up'", "its nodes lead to picked_up"),
        ("D-5", "UPDATE deliveries SET state = 'in_transit' WHERE state = 'to_send'", "its last shipment ordered"),
        ("D-5", "UPDATE deliveries SET state = 'signed' WHERE state = 'handed_over'", "is missing"),
        ("D-5", "DELETE FROM hand_overs", "its hand-over contradicts it"),
    ],
)  # fmt: skip
async def test_every_broken_invariant_of_deliveries_is_found(name: str, sql: str, expected: str):
    await tamper(sql)

    found = (await verdicts())[name]

    assert found.status == "violated"
    assert any(expected in finding for finding in found.findings), found.findings
