"""Trackers are subscribed to by their rules and queried when no push comes, never sooner than they allow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from backend import clock, jobs
from backend.database import execute, fetch_value
from backend.deliveries import anomalies, polling
from backend.partners.courier.port import (
    CourierTooSoon,
    PartnerBusy,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Track,
)
from models.shipments import Shipment
from tests.backend.deliveries.couriers import ATracker, served_by
from tests.factories.deliveries import a_node, a_shipment, delivery_state, problems_of

HOUR = timedelta(hours=1)


@pytest.fixture
def tracker() -> Iterator[ATracker]:
    """kuaidi100, which pushes."""
    each = ATracker()
    with served_by(trackers=[each]):
        yield each


async def due(**changes: Any) -> Shipment:
    """A parcel about which the tracker is to be asked now."""
    return await a_shipment(**{"query_after": clock.now() - timedelta(seconds=1), **changes})


def says(tracker: ATracker, shipment: Shipment, *statuses: str) -> None:
    nodes = tuple(a_node(status, -10 + n) for n, status in enumerate(statuses))
    track = Track(waybill=str(shipment.waybill), company="ems", nodes=nodes, complete=True)
    tracker.tracks[str(shipment.waybill)] = track


async def column(shipment: Shipment, name: str) -> Any:
    return await fetch_value(f"SELECT {name} FROM shipments WHERE id = $1", shipment.id)


async def look_out() -> int:
    found = await polling.enqueue_due_queries()
    await jobs.drain()
    return found


async def test_what_is_due_is_queried_and_its_answer_counts(tracker: ATracker):
    shipment = await due()
    says(tracker, shipment, "collected", "delivered")

    assert await look_out() == 1

    [parcel] = tracker.asked
    assert (parcel.waybill, parcel.company, parcel.phone_tail) == (shipment.waybill, "ems", shipment.phone_tail)
    assert await delivery_state(shipment.delivery_id) == "signed"
    assert await fetch_value("SELECT source FROM shipment_nodes LIMIT 1") == "kuaidi100:query"
    assert await look_out() == 0


async def test_a_tracker_is_not_asked_sooner_than_it_allows(tracker: ATracker):
    shipment = await due(last_query_at=clock.now() - timedelta(minutes=29))

    await look_out()
    assert tracker.asked == []
    assert await column(shipment, "query_after") == await column(shipment, "last_query_at") + timedelta(minutes=30)

    with clock.travel(by=timedelta(minutes=2)):
        await look_out()
        await look_out()
    assert len(tracker.asked) == 1


async def test_many_workers_looking_out_ask_once(tracker: ATracker):
    await due()

    for _ in range(3):
        await polling.enqueue_due_queries()
    await jobs.drain()

    assert len(tracker.asked) == 1


async def test_a_parcel_in_silence_is_asked_about_again_and_again(tracker: ATracker):
    shipment = await due()
    says(tracker, shipment, "collected")

    for n in range(3):
        with clock.travel(by=n * timedelta(minutes=125)):
            await look_out()

    assert len(tracker.asked) == 3


async def test_what_has_ended_is_left_alone(tracker: ATracker):
    await due(ended_at=clock.now())
    unordered = await due(waybill=None, ordered_at=None)

    assert await look_out() == 0
    assert await polling.query_shipment(unordered.id) is False
    assert await polling.subscribe_shipment(unordered.id) is False


async def test_a_parcel_that_is_unknown_for_days_is_for_the_office(tracker: ATracker):
    young, old = await due(), await due(ordered_at=clock.now() - 80 * HOUR)

    await look_out()

    assert await problems_of(young.delivery_id) == []
    assert await problems_of(old.delivery_id) == [("not-found", None)]


@pytest.mark.parametrize(
    ("error", "least"),
    [
        (CourierTooSoon("kuaidi100"), HOUR),
        (PartnerBusy("kuaidi100"), timedelta(minutes=29)),
        (PartnerUnreachable("kuaidi100"), timedelta(minutes=29)),
        (PartnerMisconfigured("kuaidi100"), HOUR),
    ],
)
async def test_a_failing_tracker_is_queried_later(tracker: ATracker, error: Exception, least: timedelta):
    shipment = await due()
    tracker.failures = [error]

    assert await polling.query_shipment(shipment.id) is False

    assert await column(shipment, "query_after") >= clock.now() + least - timedelta(seconds=5)


async def test_a_tracker_that_is_not_configured_any_more_stops_nothing(tracker: ATracker):
    shipment = await due(tracker="sf", subscribe_after=clock.now())

    await look_out()

    assert await column(shipment, "query_after") > clock.now()
    assert await look_out() == 0


# -- subscriptions ---------------------------------------------------------------------------------


async def test_a_new_parcel_is_subscribed_to_once(tracker: ATracker):
    shipment = await a_shipment(subscribe_after=clock.now())

    await look_out()
    await look_out()

    assert len(tracker.subscribed) == 1
    assert (await column(shipment, "subscriptions"), await column(shipment, "subscribe_after")) == (1, None)
    assert await column(shipment, "query_after") > clock.now() + 11 * HOUR


async def test_no_more_than_four_subscriptions_of_a_number_in_a_month(tracker: ATracker):
    shipment = await a_shipment(
        subscribe_after=clock.now(), subscriptions=4, subscribed_at=clock.now() - timedelta(days=20)
    )

    await look_out()
    assert tracker.subscribed == []
    assert await column(shipment, "last_query_at") is None
    await look_out()
    assert len(tracker.asked) == 1

    await execute("UPDATE shipments SET subscribe_after = $1", clock.now())
    with clock.travel(by=timedelta(days=12)):
        await polling.subscribe_shipment(shipment.id)
    assert (len(tracker.subscribed), await column(shipment, "subscriptions")) == (1, 1)


async def test_a_tracker_that_never_pushes_is_only_asked(tracker: ATracker):
    tracker.pushes = False
    shipment = await a_shipment(subscribe_after=clock.now())

    await look_out()
    await look_out()

    assert (tracker.subscribed, len(tracker.asked)) == ([], 1)
    assert await column(shipment, "subscribe_after") is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (PartnerBusy("kuaidi100"), timedelta(minutes=5)),
        (PartnerUnreachable("kuaidi100"), timedelta(minutes=5)),
        (PartnerMisconfigured("kuaidi100"), HOUR),
        (PartnerRefused("kuaidi100"), None),
        (PartnerUnreachable("kuaidi100", maybe_done=True), None),
    ],
)
async def test_a_subscription_that_fails_is_tried_again_unless_it_may_have_been_made(
    tracker: ATracker, error: Exception, again: timedelta | None
):
    shipment = await a_shipment(subscribe_after=clock.now())
    tracker.failures = [error]

    assert await polling.subscribe_shipment(shipment.id) is False

    then = await column(shipment, "subscribe_after")
    if again is None:
        assert then is None
        assert await column(shipment, "query_after") is not None
    else:
        assert abs(then - clock.now() - again) < timedelta(seconds=30)


async def test_what_is_not_due_is_not_subscribed_to(tracker: ATracker):
    shipment = await a_shipment(subscribe_after=clock.now() + HOUR)

    assert await polling.subscribe_shipment(shipment.id) is False
    assert tracker.subscribed == []


# -- silence ---------------------------------------------------------------------------------------


async def test_a_parcel_that_does_not_move_for_days_is_found_once():
    moving_one = await a_shipment(ordered_at=clock.now() - timedelta(days=9), last_node_at=clock.now())
    still = await a_shipment(ordered_at=clock.now() - timedelta(days=9), last_node_at=clock.now() - timedelta(days=6))
    await a_shipment(ordered_at=clock.now() - timedelta(days=9), ended_at=clock.now())

    assert await anomalies.find_stalled_shipments() == 1
    assert await anomalies.find_stalled_shipments() == 0

    assert await problems_of(still.delivery_id) == [("no-movement", None)]
    assert await problems_of(moving_one.delivery_id) == []


async def test_a_parcel_that_the_office_looked_into_is_not_found_again_before_it_has_moved():
    still = await a_shipment(ordered_at=clock.now() - timedelta(days=9))
    await anomalies.find_stalled_shipments()
    await execute("UPDATE delivery_problems SET ended_at = now(), answer = '已催促快递公司'")

    assert await anomalies.find_stalled_shipments() == 0

    await execute("UPDATE delivery_problems SET found_at = found_at - interval '10 days'")
    assert await anomalies.find_stalled_shipments() == 1
    assert len(await problems_of(still.delivery_id)) == 2
