"""What the simulated couriers do wrong on demand, and that our adapters read or refuse it as they should."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from backend.partners.courier.port import PartnerUnreachable
from backend.partners.courier.sandbox.platform import NotThere
from backend.partners.courier.sandbox.pushing import CourierFault
from backend.partners.courier.sandbox.world import Parcel
from tests.backend.partners.courier.conftest import a_parcel
from tests.backend.partners.courier.ear import DAY, HALF_AN_HOUR, Ear, asked

SIGNED = pytest.mark.parametrize("name", ["kuaidi100", "kdniao"])
ALL = pytest.mark.parametrize("name", ["kuaidi100", "kdniao", "sf"])


async def followed(ear: Ear, name: str) -> Parcel:
    """A parcel that this partner reports."""
    if name == "sf":
        return ear.couriers.find((await ear.partners.couriers["sf"].order(a_parcel())).waybill)
    parcel = await ear.couriers.parcel("zhongtong")
    await ear.subscribe(name, parcel)
    return parcel


@ALL
async def test_what_is_not_answered_rightly_comes_again_in_virtual_time(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.answers = [(500, b""), (200, b"<html>busy</html>"), (200, b'{"result":false,"return_code":"1000"}')]
    await ear.couriers.travel(parcel.waybill, "collected")
    pushes = ear.couriers.pushes.pushed(parcel.waybill)
    assert [each.arrived for each in pushes].count(False) >= 1

    await ear.couriers.advance(2 * HALF_AN_HOUR + 1)
    await ear.couriers.advance(2 * HALF_AN_HOUR + 1)

    assert all(each.arrived for each in pushes)
    assert sum(len(each.attempts) for each in pushes) == len(pushes) + 3
    assert "collected" in {status for each in ear.statuses for status in each}


async def test_kuaidi100_drops_a_push_after_three_repeats_and_sf_does_not(ear: Ear):
    parcels = [await followed(ear, each) for each in ("kuaidi100", "sf")]
    ear.answers = [(503, b"")] * 60
    for parcel in parcels:
        await ear.couriers.happen(parcel.waybill, "collected")
    await ear.couriers.advance(DAY)
    hundred, sf = (ear.couriers.pushes.pushed(each.waybill)[0] for each in parcels)
    assert [len(hundred.attempts), hundred.arrived] == [4, False]
    assert len(sf.attempts) > 20
    ear.answers = []
    await ear.couriers.advance(2 * HALF_AN_HOUR)
    assert sf.arrived


@ALL
async def test_copies_are_the_same_push(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(CourierFault(copies=3), partner=name)
    await ear.couriers.happen(parcel.waybill, "collected")
    assert len(ear.pushes) == 3
    assert len({push.identity for push in ear.pushes}) == 1


@ALL
async def test_a_push_whose_answer_is_lost_comes_once_more(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(CourierFault(deaf=True))
    await ear.couriers.happen(parcel.waybill, "collected")
    await ear.couriers.advance(DAY)
    assert [push.identity for push in ear.pushes] == [ear.pushes[0].identity] * 2


@SIGNED
@pytest.mark.parametrize(
    "fault",
    [
        CourierFault(bad_signature=True),
        CourierFault(empty_salt=True),
        CourierFault(unsigned=True),
        CourierFault(tampered=True),
    ],
)
async def test_what_is_signed_wrongly_is_refused(ear: Ear, name: str, fault: CourierFault):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(fault, partner=name)
    await ear.couriers.happen(parcel.waybill, "signed")
    assert ear.refused == ["courier-push-signature-invalid"]
    assert not ear.pushes


@ALL
async def test_half_a_push_is_refused(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(CourierFault(truncated=True))
    await ear.couriers.happen(parcel.waybill, "collected")
    assert len(ear.refused) == 1
    assert not ear.pushes


async def test_a_wrong_token_is_no_address(ear: Ear):
    parcel = await followed(ear, "sf")
    ear.couriers.pushes.inject(CourierFault(wrong_token=True))
    await ear.couriers.happen(parcel.waybill, "collected")
    assert ear.refused == ["no-such-address"]


@ALL
async def test_unknown_codes_are_kept_as_other(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(CourierFault(unknown_codes=True))
    await ear.couriers.happen(parcel.waybill, "out")
    assert [(each.status, each.raw_code) for each in ear.nodes] == [("other", "9099")]


@SIGNED
async def test_a_gap_is_filled_late_by_the_next_full_list(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.pushes.inject(CourierFault(without=("collected", "departed", "transit")), times=None)
    await ear.couriers.travel(parcel.waybill, "arrived")
    assert "collected" not in {each.status for each in ear.nodes}
    ear.couriers.pushes.clear_faults()
    await ear.couriers.travel(parcel.waybill, "out")
    assert {"collected", "in_transit", "out_for_delivery"} <= set(ear.statuses[-1])


@ALL
async def test_nodes_can_come_twice_in_the_other_order_and_from_the_future(ear: Ear, name: str):
    parcel = await followed(ear, name)
    await ear.couriers.travel(parcel.waybill, "out")
    truth = sorted({each.event_at for each in ear.nodes})
    ear.pushes.clear()
    await ear.couriers.push_now(
        parcel.waybill, partner=name, fault=CourierFault(doubled=True, reversed=True, future_hours=5)
    )
    (track,) = ear.tracks
    assert len(track.nodes) == 2 * len({each.event_at for each in track.nodes})
    assert all((each.event_at - truth[-1]).total_seconds() > 4 * 3600 for each in track.nodes)
    newest_first = name != "kuaidi100"
    assert (track.nodes[0].event_at > track.nodes[-1].event_at) is newest_first


@ALL
async def test_held_pushes_go_in_any_order(ear: Ear, name: str):
    parcel = await followed(ear, name)
    ear.couriers.rule(pushes="hold")
    await ear.couriers.travel(parcel.waybill, "out")
    assert not ear.pushes
    ids = [each.id for each in ear.couriers.pushes.pushed(parcel.waybill)]
    await ear.couriers.pushes.release_now(*reversed(ids))
    newest = [max(each.event_at for each in track.nodes) for track in ear.tracks]
    assert newest == sorted(newest, reverse=True)
    assert len(newest) == len(ids)


@ALL
async def test_an_old_push_can_be_replayed(ear: Ear, name: str):
    parcel = await followed(ear, name)
    await ear.couriers.travel(parcel.waybill, "out")
    await ear.couriers.replay(ear.couriers.pushes.pushed(parcel.waybill)[0].id)
    assert ear.pushes[-1].identity == ear.pushes[0].identity
    with pytest.raises(NotThere):
        await ear.couriers.replay("0")


@SIGNED
async def test_without_the_secret_a_signature_cannot_be_pushed(ear: Ear, name: Any):
    parcel = await followed(ear, name)
    await ear.couriers.travel(parcel.waybill, "transit")
    await ear.couriers.forge(parcel.waybill, partner=name)
    assert ear.refused == ["courier-push-signature-invalid"]
    await ear.couriers.forge(parcel.waybill, partner=name, knows_secret=True)
    assert "delivered" in ear.statuses[-1]
    assert "signed" not in parcel.kinds


async def test_a_forged_signature_for_an_sf_parcel_is_read_as_unsigned_and_denied_by_a_question(ear: Ear):
    parcel = await followed(ear, "sf")
    await ear.couriers.travel(parcel.waybill, "transit")
    await ear.couriers.forge(parcel.waybill, partner="sf")
    assert (ear.statuses[-1], ear.pushes[-1].signed) == (["delivered"], False)
    track = await ear.partners.trackers["sf"].query(asked(parcel))
    assert "delivered" not in {each.status for each in track.nodes}
    with pytest.raises(NotThere):
        await ear.couriers.forge(parcel.waybill, partner="kdniao")


async def test_sf_sends_what_an_xml_answer_refuses_once_more(ear: Ear):
    ear.couriers.rule(written="xml", pushes="hold")
    parcel = await followed(ear, "sf")
    await ear.couriers.travel(parcel.waybill, "arrived")
    first, second, *_ = [each.id for each in parcel.events if each.kind != "ordered"]
    ear.couriers.rule(pushes="send")
    answer = (
        f'<Response service="RoutePushService"><Head>OK</Head><Body><WaybillRouteResponse id_error="{first},{second}"/>'
    )
    ear.answers = [(200, f"{answer}</Body></Response>".encode())]
    await ear.couriers.push_now(parcel.waybill, partner="sf")
    assert not ear.pushes
    await ear.couriers.advance(HALF_AN_HOUR)
    assert [each.identity for each in ear.nodes] == [first, second]


async def test_sf_takes_the_listed_ids_as_taken_where_its_contract_says_so(ear: Ear):
    ear.couriers.rule(written="xml", lists_ids=True)
    parcel = await followed(ear, "sf")
    await ear.couriers.happen(parcel.waybill, "collected")
    await ear.couriers.advance(HALF_AN_HOUR)
    assert len(ear.pushes) > 1  # our answer does not list them unless the installation's table says so


async def test_several_sf_parcels_come_in_one_push_of_ten_at_most(ear: Ear):
    waybills = []
    for number in range(12):
        ordered = await ear.partners.couriers["sf"].order(a_parcel(number=f"D{number}"))
        await ear.couriers.travel(ordered.waybill, "collected")
        waybills.append(ordered.waybill)
    ear.pushes.clear()
    await ear.couriers.push_now(*waybills, partner="sf")
    assert [track.waybill for track in ear.tracks] == waybills[:10]
    assert len(ear.pushes) == 1


@pytest.mark.parametrize("fault", ["html", "broken_json", "reset", "timeout", "huge", "redirect"])
async def test_answers_can_be_anything(ear: Ear, fault: Any):
    parcel = await ear.couriers.parcel("ems")
    ear.sandbox.world.faults.add("/couriers/*", fault, seconds=0.1)
    for tracker in ear.partners.trackers.values():
        with pytest.raises(PartnerUnreachable):
            await tracker.query(asked(parcel))


# -- over HTTP -------------------------------------------------------------------------------------


async def test_every_test_control_can_be_used_over_http(ear: Ear):
    async with httpx.AsyncClient(base_url=f"{ear.sandbox.base}/sandbox/couriers") as client:

        async def pull(method: str, path: str, body: Any = None) -> Any:
            answer = await client.request(method, path, json=body)
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

        home = {"name": "王小明", "phone": "13800000001", "places": ["浙江省", "杭州市", "西湖区"]}
        parcel = await pull("POST", "/parcels", {"company": "zhongtong", "receiver": home, "journey": "failed"})
        name = parcel["waybill"]
        await ear.subscribe("kuaidi100", ear.couriers.find(name))
        assert [each["kind"] for each in parcel["plan"]][-1] == "receipt"
        moved = await pull("POST", f"/parcels/{name}/travel", {"to": "out"})
        assert moved["events"][-1]["kind"] == "out"
        assert "电话" in moved["events"][-1]["text"]
        await pull("POST", f"/parcels/{name}/travel", {"to": "delayed", "only": True, "text": "车辆故障"})
        assert ear.tracks[-1].nodes[0].raw_text == "车辆故障"
        await pull("PUT", f"/parcels/{name}/journey", {"journey": "signed"})
        await pull("POST", f"/parcels/{name}/push", {"partner": "kuaidi100", "doubled": True})
        await pull("PUT", "/push-faults", {"partner": "kuaidi100", "bad_signature": True, "times": None})
        await pull("POST", f"/parcels/{name}/push", {})
        assert ear.refused == []
        await pull("POST", f"/parcels/{name}/travel", {"to": "lost", "only": True})
        assert ear.refused == ["courier-push-signature-invalid"]
        await pull("DELETE", "/push-faults")
        (forged,) = await pull("POST", f"/parcels/{name}/forge", {"partner": "kuaidi100", "kind": "signed"})
        assert forged["arrived"] is False
        pushes = await pull("GET", "/pushes")
        await pull("POST", f"/pushes/{pushes[0]['id']}/replay")
        assert pushes[0]["attempts"][0]["answer"].startswith("200")
        await pull("POST", "/pushes/release", {})
        assert (await pull("PUT", "/push", {"base": "http://x/courier"}))["kdniao"] == "http://x/courier/kdniao"
        await pull("POST", "/refusals", {"partner": "kuaidi100", "operation": "query", "code": "502"})
        rules = await pull(
            "PUT", "/rules", {"speed": 2.0, "auto": True, "unreachable": ["西藏"], "areas": {"西湖区": "1"}}
        )
        assert (rules["speed"], rules["unreachable"]) == (2.0, ["西藏"])
        assert [each["status"] for each in await pull("GET", "/subscriptions")] == ["polling"]
        assert [each["operation"] for each in await pull("GET", "/calls")] == ["subscribe"]
        await pull("POST", "/time", {"seconds": 60})
        assert (await pull("POST", "/settle"))["pushes"] >= len(pushes)
        assert len(await pull("GET", "/parcels")) == 1
        assert (await pull("GET", f"/parcels/{name}"))["company"] == "zhongtong"
        for method, path, body in (
            ("GET", "/parcels/nobody", None),
            ("POST", f"/parcels/{name}/travel", {"to": "flown"}),
            ("PUT", "/rules", {"journey": "flown"}),
        ):
            assert (await client.request(method, path, json=body)).status_code == 404
        assert (await client.put("/push-faults", json={"unheard_of": 1})).status_code == 400


async def test_the_settings_of_the_couriers_are_listed_over_http(ear: Ear):
    async with httpx.AsyncClient(base_url=ear.sandbox.base) as client:
        told = (await client.get("/sandbox/settings")).json()
    assert told["sf_api_base"] == f"{ear.sandbox.base}/couriers/sf/std/service"
    assert len(told["courier_push_token"]) >= 32
    assert {"kuaidi100_salt", "ems_sign_key", "kdniao_app_key"} <= told.keys()
