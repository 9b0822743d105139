"""Parcels followed at the simulated couriers by our live adapters: subscriptions, pushes, questions, whole journeys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from backend import clock
from backend.partners import Partners, partners_from
from backend.partners.courier.port import CourierWaybillNotFound, PartnerError, PartnerMisconfigured, PartnerRefused
from backend.partners.courier.sandbox.journeys import JOURNEYS, KINDS, Person, kinds_of
from backend.partners.courier.sandbox.places import COMPANIES
from backend.partners.courier.sandbox.platform import Couriers, NotThere
from backend.settings import settings
from tests.backend.partners.courier.conftest import a_parcel
from tests.backend.partners.courier.ear import DAY, HALF_AN_HOUR, Ear, asked

DOOR = ["created", "collected", "in_transit", "in_transit", "arrived_city", "out_for_delivery"]
WAYS = {
    "signed": [*DOOR, "delivered"],
    "proxy": [*DOOR, "delivered"],
    "station": [*DOOR, "at_station", "delivered"],
    "failed": [*DOOR, "delivery_failed", "out_for_delivery", "delivered"],
    "delayed": [*DOOR[:4], "exception", *DOOR[4:], "delivered"],
    "refused": [*DOOR, "refused", "returning", "returned"],
    "returned": [*DOOR, "delivery_failed", "out_for_delivery", "delivery_failed", "returning", "returned"],
    "lost": [*DOOR[:4], "exception", "exception"],
    "uncollected": ["created", "delivery_failed", "cancelled"],
}
"""What our side reads of each journey at 快递100."""


@pytest.fixture
async def stranger(ear: Ear, request: pytest.FixtureRequest) -> AsyncIterator[Partners]:
    """Our side with one wrong key."""
    bundle = partners_from(replace(settings(), **request.param))
    yield bundle
    await bundle.close()


# -- journeys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("journey", JOURNEYS)
async def test_a_parcel_goes_a_whole_journey_by_itself_and_every_step_is_pushed(ear: Ear, journey: str):
    ear.couriers.rule(auto=True)
    parcel = await ear.couriers.parcel("zhongtong", journey=journey)
    await ear.subscribe("kuaidi100", parcel)

    await ear.couriers.advance(15 * DAY)

    assert parcel.kinds == list(kinds_of(journey))
    assert ear.statuses[-1][::-1] == WAYS[journey]
    assert all(push.signed for push in ear.pushes)
    assert [len(each) for each in ear.statuses] == list(range(1, len(WAYS[journey]) + 1))
    assert all(each.arrived for each in ear.couriers.pushes.sent)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_every_step_can_be_travelled_to_and_says_something_in_chinese(ear: Ear, kind: str):
    parcel = await ear.couriers.parcel("ems")
    events = await ear.couriers.travel(parcel.waybill, kind)
    assert (events[-1].kind, parcel.kinds[-1]) == (kind, kind)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in each.text) for each in events)


async def test_texts_name_the_courier_with_a_phone_and_the_same_one_throughout(ear: Ear):
    parcel = await ear.couriers.parcel("shunfeng", journey="failed")
    await ear.couriers.travel(parcel.waybill, "signed")
    texts = [each.text for each in parcel.events if each.kind in ("out", "failed", "signed")]
    phones = {text.partition("电话：")[2] for text in texts}
    assert len(phones) == 1
    assert len(phones.pop()) == 11


async def test_travelling_goes_on_from_where_it_is(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.travel(parcel.waybill, "transit")
    await ear.couriers.travel(parcel.waybill, "refused")
    await ear.couriers.travel(parcel.waybill, "returned")
    assert parcel.kinds == list(kinds_of("refused"))
    with pytest.raises(NotThere):
        await ear.couriers.travel(parcel.waybill, "flown")
    with pytest.raises(NotThere):
        await ear.couriers.travel("nobody", "signed")


async def test_what_is_written_is_never_later_than_the_true_clock_and_keeps_its_order(ear: Ear):
    ear.couriers.rule(auto=True)
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.advance(10 * DAY)
    times = [each.at for each in parcel.events]
    assert times == sorted(set(times))
    assert times[-1] <= clock.now() + timedelta(seconds=len(times))

    with clock.travel(by=timedelta(days=30)):
        other = await ear.couriers.parcel("ems")
        ear.couriers.set_journey(other.waybill, "signed")
        with clock.travel(by=timedelta(days=5)):
            await ear.couriers.settle()
            spread = other.events[-1].at - other.events[0].at
    assert spread == timedelta(minutes=sum(minutes for _, minutes in JOURNEYS["signed"]))


async def test_an_accelerated_clock_plays_a_journey_without_a_test_control(ear: Ear):
    ear.couriers.rule(auto=True, speed=900_000.0)
    parcel = await ear.couriers.parcel("ems")
    async with httpx.AsyncClient(base_url=ear.sandbox.base) as client:
        while parcel.plan:
            shown = (await client.get(f"/sandbox/couriers/parcels/{parcel.waybill}")).json()
    assert [each["kind"] for each in shown["events"]] in (parcel.kinds, parcel.kinds[: len(shown["events"])])
    assert parcel.kinds == list(kinds_of("signed"))


# -- places ----------------------------------------------------------------------------------------


async def test_nodes_carry_area_codes_and_names(ear: Ear):
    home = Person("王小明", "13800000001", ("浙江省", "杭州市", "西湖区"), "文三路3号")
    parcel = await ear.couriers.parcel("ems", receiver=home)
    ear.couriers.rule(areas={"西湖区": "330106"})
    await ear.subscribe("kuaidi100", parcel)
    await ear.couriers.travel(parcel.waybill, "signed")
    nodes = ear.tracks[-1].nodes
    assert (nodes[0].region_code, nodes[0].place) == ("330106000000", "浙江杭州市")
    assert nodes[-1].region_code == "220100000000"


async def test_an_unknown_place_has_no_code(ear: Ear):
    home = Person("王小明", "13800000001", ("测试省", "测试市", "测试县"), "测试路3号")
    parcel = await ear.couriers.parcel("ems", receiver=home)
    await ear.couriers.travel(parcel.waybill, "signed")
    track = await ear.partners.trackers["kuaidi100"].query(asked(parcel))
    assert (track.nodes[0].region_code, track.nodes[0].place) == (None, "测试测试市")


# -- 快递100 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("company", COMPANIES)
async def test_kuaidi100_knows_every_company(ear: Ear, company: str):
    parcel = await ear.couriers.parcel(company)
    await ear.subscribe("kuaidi100", parcel)
    await ear.couriers.travel(parcel.waybill, "out")
    assert ear.tracks[-1].company == company
    assert ear.statuses[-1][::-1] == DOOR


async def test_a_second_subscription_is_answered_501_which_is_fine(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    await ear.subscribe("kuaidi100", parcel)
    await ear.subscribe("kuaidi100", parcel)
    assert [code for _, _, code in ear.couriers.world.calls] == ["200", "501"]
    assert len(ear.couriers.desks["kuaidi100"].subscriptions) == 1


async def test_a_late_subscription_is_pushed_at_once_what_has_happened(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.travel(parcel.waybill, "arrived")
    assert not ear.pushes
    await ear.subscribe("kuaidi100", parcel)
    assert ear.statuses == [DOOR[:5][::-1]]


async def test_it_gives_up_after_three_days_without_a_record_and_waits_half_an_hour(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    tracker = ear.partners.trackers["kuaidi100"]
    await ear.subscribe("kuaidi100", parcel)
    await ear.couriers.advance(3 * DAY - 60)
    assert not ear.pushes
    await ear.couriers.advance(120)
    assert [(each.given_up, each.ended, each.nodes) for each in ear.tracks] == [(True, True, ())]

    with pytest.raises(PartnerRefused):
        await tracker.subscribe(asked(parcel))
    for _ in range(3):
        await ear.couriers.advance(HALF_AN_HOUR)
        await tracker.subscribe(asked(parcel))
        await ear.couriers.advance(3 * DAY + 60)
    await ear.couriers.advance(HALF_AN_HOUR)
    with pytest.raises(PartnerRefused):  # the fifth within a month
        await tracker.subscribe(asked(parcel))
    await ear.couriers.advance(31 * DAY)
    await tracker.subscribe(asked(parcel))


async def test_it_gives_up_after_sixty_days_without_a_movement(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    await ear.subscribe("kuaidi100", parcel)
    await ear.couriers.travel(parcel.waybill, "transit")
    await ear.couriers.advance(61 * DAY)
    assert (ear.tracks[-1].given_up, len(ear.tracks[-1].nodes)) == (True, 4)


async def test_after_signing_it_says_shutdown_and_pushes_no_more(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    await ear.subscribe("kuaidi100", parcel)
    await ear.couriers.travel(parcel.waybill, "signed")
    before = len(ear.pushes)
    assert (ear.tracks[-1].ended, ear.tracks[-1].given_up) == (True, False)
    await ear.couriers.happen(parcel.waybill, "delayed")
    assert len(ear.pushes) == before


async def test_a_wrong_company_is_corrected(ear: Ear):
    parcel = await ear.couriers.parcel("youzhengguonei")
    await ear.subscribe("kuaidi100", parcel, company="ems")
    await ear.couriers.travel(parcel.waybill, "collected")

    first, *rest = ear.tracks
    assert (first.company, first.corrected_company, first.nodes) == ("ems", "youzhengguonei", ())
    assert (first.ended, first.given_up) == (False, False)
    assert [len(each.nodes) for each in rest] == [1, 2]
    said = json.loads(parse_qs(ear.raw[-1][1].decode())["param"][0])
    assert (said["autoCheck"], said["comOld"], said["comNew"]) == ("1", "ems", "youzhengguonei")
    assert said["lastResult"]["com"] == "youzhengguonei"


async def test_sf_parcels_are_followed_with_the_right_phone_only(ear: Ear):
    parcel = await ear.couriers.parcel("shunfeng")
    tracker = ear.partners.trackers["kuaidi100"]
    with pytest.raises(PartnerRefused):
        await tracker.subscribe(asked(parcel, phone_tail=None))
    await tracker.subscribe(asked(parcel, phone_tail="9999"))
    await ear.couriers.travel(parcel.waybill, "out")
    assert not ear.pushes
    with pytest.raises(PartnerRefused):
        await tracker.query(asked(parcel, phone_tail="9999"))


async def test_a_query_returns_the_whole_list_and_not_twice_within_half_an_hour(ear: Ear):
    parcel = await ear.couriers.parcel("ems")
    tracker = ear.partners.trackers["kuaidi100"]
    with pytest.raises(CourierWaybillNotFound):
        await tracker.query(asked(parcel))
    await ear.couriers.travel(parcel.waybill, "signed")
    with pytest.raises(PartnerError):
        await tracker.query(asked(parcel))
    await ear.couriers.advance(tracker.query_seconds)
    track = await tracker.query(asked(parcel))
    assert [each.status for each in track.nodes][::-1] == WAYS["signed"]
    assert (track.complete, track.ended) == (True, True)


async def test_the_coarse_edition_says_in_words_what_it_has_no_codes_for(ear: Ear):
    bundle = partners_from(replace(settings(), kuaidi100_edition="1"))
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.travel(parcel.waybill, "signed")
    track = await bundle.trackers["kuaidi100"].query(asked(parcel))
    await bundle.close()
    assert track.nodes[0].status == "delivered"
    assert {each.raw_code for each in track.nodes} >= {"签收", "揽收", "派件"}


# -- 顺丰, EMS, 快递鸟 -------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["json", "xml", "form"])
async def test_sf_pushes_each_route_once_in_every_manner_and_8000_after_80(ear: Ear, written: Any):
    ear.couriers.rule(written=written)
    ordered = await ear.partners.couriers["sf"].order(a_parcel())
    await ear.couriers.travel(ordered.waybill, "receipt")
    await ear.couriers.advance(5 * DAY)

    assert [each.raw_code for each in ear.nodes] == ["50", "30", "31", "31", "44", "80", "8000"]
    assert [each.status for each in ear.nodes][-2:] == ["delivered", "other"]
    assert len({each.identity for each in ear.nodes}) == 7
    assert all(not push.signed for push in ear.pushes)
    assert {each.order_number for each in ear.tracks} == {a_parcel().number}


async def test_sf_answers_its_routes_to_callers_who_know_the_phone(ear: Ear):
    ordered = await ear.partners.couriers["sf"].order(a_parcel())
    parcel = ear.couriers.find(ordered.waybill)
    tracker = ear.partners.trackers["sf"]
    with pytest.raises(CourierWaybillNotFound):
        await tracker.query(asked(parcel))
    await ear.couriers.travel(ordered.waybill, "signed")
    track = await tracker.query(asked(parcel))
    assert [each.raw_code for each in track.nodes] == ["50", "30", "31", "31", "44", "80"]
    pushed = {(each.event_at, each.raw_code, each.raw_text) for each in ear.nodes}
    assert {(each.event_at, each.raw_code, each.raw_text) for each in track.nodes} == pushed
    with pytest.raises(CourierWaybillNotFound):
        await tracker.query(asked(parcel, phone_tail="9999"))


async def test_ems_is_asked_and_pushes_nothing(ear: Ear):
    ordered = await ear.partners.couriers["ems"].order(a_parcel())
    parcel = ear.couriers.find(ordered.waybill)
    tracker = ear.partners.trackers["ems"]
    with pytest.raises(CourierWaybillNotFound):
        await tracker.query(asked(parcel))
    await ear.couriers.travel(ordered.waybill, "signed")
    track = await tracker.query(asked(parcel))
    assert [each.status for each in track.nodes] == [
        "collected", "in_transit", "in_transit", "in_transit", "out_for_delivery", "delivered",
    ]  # fmt: skip
    assert track.nodes[0].place == "吉林省长春市"
    assert not ear.couriers.pushes.sent


async def test_the_bird_pushes_full_lists_that_are_signed(ear: Ear):
    parcel = await ear.couriers.parcel("zhongtong", number="D1")
    await ear.subscribe("kdniao", parcel)
    await ear.subscribe("kdniao", parcel)
    await ear.couriers.travel(parcel.waybill, "station_signed")

    assert [len(each) for each in ear.statuses] == list(range(1, 9))
    assert ear.statuses[-1][-3:] == ["out_for_delivery", "at_station", "delivered"]
    assert all(push.signed for push in ear.pushes)
    assert {(each.company, each.order_number) for each in ear.tracks} == {("zhongtong", "D1")}
    track = await ear.partners.trackers["kdniao"].query(asked(parcel))
    assert track.nodes == ear.tracks[-1].nodes


async def test_the_bird_knows_nothing_of_a_parcel_that_has_not_moved(ear: Ear):
    parcel = await ear.couriers.parcel("zhongtong")
    with pytest.raises(CourierWaybillNotFound):
        await ear.partners.trackers["kdniao"].query(asked(parcel))


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stranger", "name"),
    [
        ({"kuaidi100_key": "wrong"}, "kuaidi100"),
        ({"kdniao_app_key": "wrong"}, "kdniao"),
        ({"kdniao_business_id": "1"}, "kdniao"),
    ],
    indirect=["stranger"],
)
async def test_a_wrong_key_follows_nothing_and_asks_nothing(ear: Ear, stranger: Partners, name: str):
    parcel = await ear.couriers.parcel("ems")
    await ear.couriers.travel(parcel.waybill, "signed")
    with pytest.raises(PartnerMisconfigured):
        await stranger.trackers[name].subscribe(asked(parcel))
    with pytest.raises(PartnerMisconfigured):
        await stranger.trackers[name].query(asked(parcel))


@pytest.mark.parametrize(
    ("stranger", "name"),
    [({"sf_checkword": "wrong"}, "sf"), ({"kuaidi100_customer": "wrong"}, "kuaidi100")],
    indirect=["stranger"],
)
async def test_a_question_with_a_wrong_signature_is_refused(ear: Ear, stranger: Partners, name: str):
    parcel = await ear.couriers.parcel("shunfeng")
    with pytest.raises(PartnerMisconfigured):
        await stranger.trackers[name].query(asked(parcel))


async def test_keys_that_an_installation_has_are_those_of_the_sandbox(ear: Ear):
    fresh = {"kuaidi100_salt": "fresh-salt", "ems_sign_key": "MDEyMzQ1Njc4OWFiY2RlZg==", "kdniao_app_key": "fresh-key"}
    told = Couriers(replace(settings(), **fresh)).settings("http://127.0.0.1:9")
    assert told.items() >= fresh.items()
