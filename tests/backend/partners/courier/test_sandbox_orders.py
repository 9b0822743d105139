"""Orders at the simulated couriers, made by our live adapters over HTTP, and by hands that make mistakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from backend.partners import Partners, partners_from
from backend.partners.courier.port import (
    CourierAddressRefused,
    CourierOrderRefused,
    Ordering,
    PartnerBusy,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Party,
)
from backend.settings import settings
from tests.backend.partners.courier.conftest import a_parcel
from tests.backend.partners.courier.ear import Ear

BOTH = pytest.mark.parametrize("name", ["sf", "ems"])
SERVICE = {"sf": "/couriers/sf/std/service", "ems": "/couriers/ems/amp/api/open"}


def courier(ear: Ear, name: str) -> Ordering:
    return ear.partners.couriers[name]


@pytest.fixture
async def stranger(ear: Ear, request: pytest.FixtureRequest) -> AsyncIterator[Partners]:
    """Our side with one wrong key."""
    bundle = partners_from(replace(settings(), **request.param))
    yield bundle
    await bundle.close()


@BOTH
async def test_an_order_gives_a_waybill_and_the_parcel_knows_whose_it_is(ear: Ear, name: str):
    ordered = await courier(ear, name).order(a_parcel())

    parcel = ear.couriers.find(ordered.waybill)
    assert (parcel.number, parcel.by, parcel.contents) == ("D20260102ABCDEFGH1", name, "居住证")
    assert (parcel.receiver.name, parcel.receiver.phone) == ("王小明", "13800000001")
    assert parcel.receiver.places == ("北京市", "北京市", "东城区")
    assert parcel.sender.street == "人民大街1号"


@BOTH
async def test_ordering_once_more_under_a_number_gives_the_same_waybill(ear: Ear, name: str):
    first = await courier(ear, name).order(a_parcel())
    assert (await courier(ear, name).order(a_parcel())).waybill == first.waybill
    assert len(ear.couriers.world.parcels) == 1


async def test_sf_says_8016_to_a_number_that_it_knows(ear: Ear):
    await courier(ear, "sf").order(a_parcel())
    await courier(ear, "sf").order(a_parcel())
    assert [what for _, what, _ in ear.couriers.world.calls] == ["order", "order", "find"]


async def test_ems_refuses_another_content_under_a_number(ear: Ear):
    await courier(ear, "ems").order(a_parcel())
    with pytest.raises(CourierOrderRefused, match="B00001"):
        await courier(ear, "ems").order(a_parcel(contents="护照"))
    assert [each.contents for each in ear.couriers.world.parcels.values()] == ["居住证"]


@BOTH
async def test_an_order_whose_answer_is_lost_is_found_again(ear: Ear, name: str):
    ear.sandbox.world.faults.add(SERVICE[name], "drop_reply", times=1)
    ordered = await courier(ear, name).order(a_parcel())
    assert list(ear.couriers.world.parcels) == [ordered.waybill]


@BOTH
@pytest.mark.parametrize("fault", ["html", "broken_json", "reset", "status"])
async def test_what_is_no_answer_is_an_unreachable_partner(ear: Ear, name: str, fault: Any):
    ear.sandbox.world.faults.add(SERVICE[name], fault)
    with pytest.raises(PartnerUnreachable):
        await courier(ear, name).order(a_parcel())


@BOTH
async def test_an_order_is_cancelled_until_its_collection(ear: Ear, name: str):
    ordered = await courier(ear, name).order(a_parcel())
    await courier(ear, name).cancel(a_parcel().number, ordered.waybill)
    await courier(ear, name).cancel(a_parcel().number, ordered.waybill)
    assert ear.couriers.find(ordered.waybill).cancelled

    other = await courier(ear, name).order(a_parcel(number="D20260102ABCDEFGH2"))
    await ear.couriers.travel(other.waybill, "collected")
    with pytest.raises(CourierOrderRefused):
        await courier(ear, name).cancel("D20260102ABCDEFGH2", other.waybill)
    with pytest.raises(PartnerRefused):
        await courier(ear, name).cancel("D20260102NOBODY", other.waybill)


@BOTH
async def test_a_label_is_a_pdf_at_an_address(ear: Ear, name: str):
    ordered = await courier(ear, name).order(a_parcel())
    address, _, token = str(await courier(ear, name).label(a_parcel().number, ordered.waybill)).partition("#token=")
    async with httpx.AsyncClient() as client:
        made = await client.get(address, headers={"X-Auth-token": token})
        assert (made.status_code, made.content[:5]) == (200, b"%PDF-")
        assert (await client.get(address)).status_code == (401 if name == "sf" else 200)
        assert (await client.get(address.replace(ordered.waybill, "SF0"))).status_code == 404


async def test_sf_does_not_go_everywhere(ear: Ear):
    ear.couriers.rule(unreachable=("东城区",))
    with pytest.raises(CourierAddressRefused):
        await courier(ear, "sf").order(a_parcel())
    assert not ear.couriers.world.parcels


@BOTH
async def test_an_order_without_a_phone_is_refused(ear: Ear, name: str):
    nobody = Party(name="王小明", phone="", region=("北京市", "市辖区", "东城区"), street="长安街2号")
    with pytest.raises(CourierOrderRefused):
        await courier(ear, name).order(a_parcel(receiver=nobody))


@pytest.mark.parametrize(
    ("stranger", "name"),
    [
        ({"sf_checkword": "wrong"}, "sf"),
        ({"sf_partner_id": "somebody"}, "sf"),
        ({"ems_sign_key": "MDEyMzQ1Njc4OWFiY2RlZg=="}, "ems"),
        ({"ems_authorization": "wrong"}, "ems"),
    ],
    indirect=["stranger"],
)
async def test_a_wrong_key_is_refused_in_the_couriers_own_words(ear: Ear, stranger: Partners, name: str):
    with pytest.raises(PartnerMisconfigured):
        await stranger.couriers[name].order(a_parcel())
    assert not ear.couriers.world.parcels


async def test_a_call_of_long_ago_is_refused_by_sf(ear: Ear):
    named = ear.couriers.world.named
    fields = {"partnerID": named["sf_partner_id"], "requestID": "1", "serviceCode": "EXP_RECE_SEARCH_ROUTES"}
    fields |= {"timestamp": "1767240000", "msgDigest": "x", "msgData": "{}"}
    async with httpx.AsyncClient(base_url=ear.sandbox.base) as client:
        assert (await client.post(SERVICE["sf"], data=fields)).json()["apiResultCode"] == "A1002"
        assert (await client.post(SERVICE["sf"], content=b"\xff=&&")).json()["apiResultCode"] == "A1001"


@pytest.mark.parametrize(("name", "code", "error"), [("sf", "A1005", PartnerBusy), ("ems", "S00001", PartnerBusy)])
async def test_a_courier_refuses_on_demand_before_or_after_the_work(ear: Ear, name: Any, code: str, error: type):
    ear.couriers.refuse(name, "order", code)
    with pytest.raises(error):
        await courier(ear, name).order(a_parcel())
    assert not ear.couriers.world.parcels

    ear.couriers.refuse(name, "order", code, after=True)
    with pytest.raises(error):
        await courier(ear, name).order(a_parcel())
    assert (await courier(ear, name).order(a_parcel())).waybill in ear.couriers.world.parcels


async def test_a_push_can_come_before_the_answer_to_the_order(ear: Ear):
    ear.couriers.rule(push_before_answer=True)
    ordered = await courier(ear, "sf").order(a_parcel())
    assert [each.waybill for each in ear.tracks] == [ordered.waybill]
    assert (ear.tracks[0].order_number, ear.statuses) == (a_parcel().number, [["collected"]])
