"""However a journey is pushed - in any order, twice, in pieces, by several sources - it comes to one end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from backend import clock
from backend.database import fetch, transaction
from backend.deliveries import invariants, receiving, returning, tracking, transitions
from backend.deliveries.lifecycle import LEADS_TO, RANK, Transition, fold
from backend.partners.courier.port import Node, Track
from models.deliveries import DeliveryState as D
from models.shipments import Shipment, TrackStatus
from tests.factories.deliveries import a_node, a_shipment, moves_of, recorded_states

SETS, ORDERS = 100, 10
SOURCES = (("kuaidi100", True), ("kuaidi100:query", True), ("sf", False), ("kdniao", False), ("wechat", True))
FINAL = ("delivered", "returned", "lost")
LIKELY = ["collected", "in_transit", "in_transit", "arrived_city", "out_for_delivery", "delivered"]


@dataclass
class Journey:
    """What happened to a parcel, and who reported each of it: pairs of node and source, at least one each."""

    nodes: list[Node]
    reports: list[tuple[Node, str, bool]] = field(default_factory=list)

    @property
    def verified(self) -> set[TrackStatus]:
        """What an unverified source has reported."""
        return {TrackStatus(node.status) for node, _, trusted in self.reports if trusted or node.status not in FINAL}


def a_journey(dice: random.Random) -> Journey:
    """Mostly an ordinary one; sometimes with anything that a courier can say, at any time."""
    statuses = LIKELY[: dice.randint(1, len(LIKELY))]
    statuses += dice.choices([status.value for status in TrackStatus], k=dice.randint(0, 4))
    minutes = [dice.randint(-55, 0) for _ in statuses]
    journey = Journey([a_node(status, at) for status, at in zip(statuses, minutes, strict=True)])
    for node in journey.nodes:
        for source, trusted in dice.sample(SOURCES, dice.randint(1, 2)):
            journey.reports.append((node, source, trusted))
    return journey


def pushes(reports: Sequence[tuple[Node, str, bool]], dice: random.Random) -> list[tuple[str, bool, list[Node]]]:
    """The same in another order, some of it twice, in pieces of one source each."""
    pieces: dict[tuple[str, bool, int], list[Node]] = {}
    mixed = [*reports, *dice.choices(reports, k=dice.randint(0, len(reports)))]
    dice.shuffle(mixed)
    for node, source, trusted in mixed:
        pieces.setdefault((source, trusted, dice.randint(1, 3)), []).append(node)
    order = [(source, trusted, nodes) for (source, trusted, _), nodes in pieces.items()]
    dice.shuffle(order)
    return order


async def timeline(shipment: Shipment) -> list[tuple[object, ...]]:
    """What the parcel's page shows, without who reported it first and when."""
    rows = await fetch(
        "SELECT digest, status, event_at, verified FROM shipment_nodes WHERE shipment_id = $1 ORDER BY digest",
        shipment.id,
    )
    return [tuple(row.values()) for row in rows]


async def stands(shipment: Shipment) -> tuple[str, str, bool]:
    [row] = await fetch(
        "SELECT d.state AS delivery, s.state AS parcel, s.ended_at IS NOT NULL AS ended "
        "FROM shipments s JOIN deliveries d ON d.id = s.delivery_id WHERE s.id = $1",
        shipment.id,
    )
    return row["delivery"], row["parcel"], row["ended"]


async def play(journey: Journey, dice: random.Random) -> tuple[tuple[str, str, bool], list[tuple[object, ...]]]:
    """Push the journey in one order about a parcel of its own."""
    shipment = await a_shipment(ordered_at=clock.now() - timedelta(hours=2))
    for source, trusted, nodes in pushes(journey.reports, dice):
        track = Track(waybill=str(shipment.waybill), company="ems", nodes=tuple(nodes), complete=False)
        await tracking.ingest_tracks([track], source=source, trusted=trusted)
    await check_what_was_recorded(shipment.delivery_id)
    return await stands(shipment), await timeline(shipment)


async def check_what_was_recorded(delivery_id: UUID) -> None:
    """Each state at most once, and always further along."""
    ranks = [RANK[D(state)] for state in await recorded_states(delivery_id)]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize("tenth", range(10))
async def test_every_order_of_telling_comes_to_one_end(tenth: int):
    for seed in range(tenth * SETS // 10, (tenth + 1) * SETS // 10):
        dice = random.Random(seed)
        journey = a_journey(dice)
        ends = [await play(journey, random.Random(f"{seed} {order}")) for order in range(ORDERS)]

        state = fold(journey.verified).value
        assert [end[0][:2] for end in ends] == [(state, state)] * ORDERS, seed
        assert [end for end in ends if end != ends[0]] == [], seed
        assert len(ends[0][1]) == len({(node.event_at, node.raw_code) for node in journey.nodes})


def test_the_fold_is_a_maximum_so_no_order_and_no_repeat_can_change_it():
    dice = random.Random(0)
    every = list(TrackStatus)
    for _ in range(1000):
        statuses = dice.choices(every, k=dice.randint(0, 12))
        end = fold(statuses)

        assert fold(dice.sample(statuses, len(statuses))) is end is fold(statuses * 2)
        assert RANK[fold([*statuses, dice.choice(every)])] >= RANK[end]
    assert {state for state in LEADS_TO.values() if state is not None} <= RANK.keys()


async def test_pushes_about_the_same_parcels_at_once_end_alike_and_lock_none_out():
    parcels = [await a_shipment() for _ in range(4)]
    journey = [a_node(status, -30 + n) for n, status in enumerate(LIKELY)]
    pushes = [
        [Track(waybill=str(each.waybill), company="ems", nodes=(node,), complete=False) for each in order]
        for node in journey
        for order in (parcels, parcels[::-1])
    ]
    random.Random(7).shuffle(pushes)

    await asyncio.gather(*(tracking.ingest_tracks(tracks, source="kuaidi100", trusted=True) for tracks in pushes))

    for parcel in parcels:
        assert (await stands(parcel))[0] == "signed"
        assert len(await timeline(parcel)) == len(journey)
        await check_what_was_recorded(parcel.delivery_id)
    assert await invariants.illegal(fetch) == []
    assert await invariants.misplaced(fetch) == []


async def test_a_push_waits_for_what_people_do_at_the_same_moment():
    parcel, held = await a_shipment(state=D.OUT_FOR_DELIVERY), asyncio.Event()
    lost = Track(waybill=str(parcel.waybill), company="ems", nodes=(a_node("lost", -1),), complete=False)

    async def confirm() -> None:
        async with transaction():
            delivery = await transitions.lock_row(parcel.delivery_id)
            held.set()
            await asyncio.sleep(0.3)
            await transitions.apply_transition(delivery, Transition.CONFIRM, receiving.CONFIRMED)
            await returning.mark_arrived(delivery)

    async def push() -> None:
        await held.wait()
        await tracking.ingest_tracks([lost], source="kuaidi100", trusted=True)

    await asyncio.gather(confirm(), push())

    assert await stands(parcel) == ("signed", "signed", True)
    assert await moves_of(parcel.delivery_id) == ["out_for_delivery", "signed"]
