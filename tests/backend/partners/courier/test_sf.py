"""顺丰: routes pushed as JSON and XML, orders that are taken once, answers in its dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import pytest

from backend.partners import Partners, partners_from
from backend.partners.base import Wire
from backend.partners.courier.port import (
    CourierAddressRefused,
    CourierOrderRefused,
    CourierPush,
    CourierPushInvalid,
    CourierWaybillNotFound,
    OrderedParcel,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerUnreachable,
    TrackingRequest,
)
from backend.partners.courier.sf import Sf
from backend.partners.courier.signing import sf_digest
from tests.backend.partners.courier.conftest import Courier, a_parcel, values_for

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/couriers.json").read_text("utf-8"))["sf"]
ROUTE: dict[str, str] = VECTORS["route_push"]["Body"]["WaybillRoute"][0]
PARCEL = TrackingRequest(waybill="SF0000000000001", company="shunfeng", phone_tail="0001")


def reader(folder: str = "") -> Sf:
    values = values_for("http://127.0.0.1:9", courier_tables=folder)
    return Sf(Wire(values), values)


def as_json(routes: list[dict[str, str]]) -> bytes:
    return json.dumps({"Body": {"WaybillRoute": routes}}, ensure_ascii=False).encode()


def xml_of(routes: list[dict[str, str]]) -> str:
    inner = "".join(
        "<WaybillRoute " + " ".join(f"{name}={quoteattr(value)}" for name, value in route.items()) + "/>"
        for route in routes
    )
    head = "<?xml version='1.0' encoding='UTF-8'?>"
    return f'{head}<Request service="RoutePushService" lang="zh-CN"><Body>{inner}</Body></Request>'


def as_xml(routes: list[dict[str, str]]) -> bytes:
    return xml_of(routes).encode()


def as_form(routes: list[dict[str, str]]) -> bytes:
    return urlencode({"content": xml_of(routes)}).encode()


def as_form_encoded_twice(routes: list[dict[str, str]]) -> bytes:
    return urlencode({"content": quote_plus(xml_of(routes))}).encode()


def pushed(body: bytes) -> CourierPush:
    return reader().open_push({}, body)


async def test_other_names_in_an_answer_are_a_matter_of_a_file(courier: Courier, tmp_path: Path):
    names = {"success": "ok", "content": "data", "answers": "all", "waybill": "no", "nodes": "list"}
    (tmp_path / "sf.toml").write_text("[names]\n" + "".join(f'{ours} = "{own}"\n' for ours, own in names.items()))
    route = {"opCode": "50", "acceptTime": "2026-01-02 10:00:00", "remark": "x"}
    inner = {"ok": True, "data": {"all": [{"no": PARCEL.waybill, "list": [route]}]}}
    courier.say({"apiResultCode": "A1000", "apiResultData": json.dumps(inner)})
    bundle = partners_from(values_for(courier.base, courier_tables=str(tmp_path)))

    track = await bundle.trackers["sf"].query(PARCEL)

    await bundle.close()
    assert [each.status for each in track.nodes] == ["collected"]


# -- pushes ----------------------------------------------------------------------------------------


def test_the_known_push_is_read_whole():
    push = pushed(json.dumps(VECTORS["route_push"]).encode())

    (track,) = push.tracks
    assert not push.signed
    assert (track.waybill, track.company, track.order_number) == ("SF0000000000001", "shunfeng", "CASE-1")
    assert not track.complete
    (node,) = track.nodes
    assert (node.status, node.raw_code, node.identity) == ("collected", "50", "100000000000001")
    assert (node.raw_text, node.place) == ("顺丰速运 已收取快件", "杭州市")
    assert node.event_at == datetime(2026, 1, 2, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize("write", [as_json, as_xml, as_form, as_form_encoded_twice])
def test_json_and_xml_say_the_same(write: Callable[[list[dict[str, str]]], bytes]):
    second = {**ROUTE, "id": "2", "opCode": "70", "reasonName": "无人 & <在家>", "acceptTime": "2026-1-3 9:05:00"}
    other = {**ROUTE, "id": "3", "mailno": "SF0000000000002", "opCode": "80"}

    push = pushed(write([ROUTE, second, other]))

    assert push.tracks == pushed(as_json([ROUTE, second, other])).tracks
    assert push.identity == pushed(as_json([ROUTE, second, other])).identity
    assert [(t.waybill, [n.status for n in t.nodes]) for t in push.tracks] == [
        ("SF0000000000001", ["collected", "delivery_failed"]),
        ("SF0000000000002", ["delivered"]),
    ]
    assert push.tracks[0].nodes[1].raw_text == "顺丰速运 已收取快件（无人 & <在家>）"
    assert push.tracks[0].nodes[1].event_at == datetime(2026, 1, 3, 1, 5, tzinfo=UTC)


def test_a_single_route_may_come_bare():
    push = pushed(json.dumps({"Body": {"WaybillRoute": ROUTE}}).encode())

    assert len(push.tracks[0].nodes) == 1


def test_the_same_ids_with_another_content_are_another_push():
    assert pushed(as_json([ROUTE])).identity == pushed(as_json([dict(reversed(ROUTE.items()))])).identity
    assert pushed(as_json([ROUTE])).identity != pushed(as_json([{**ROUTE, "opCode": "80"}])).identity


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Body": []},
        {"Body": {}},
        {"Body": {"WaybillRoute": "x"}},
        {"Body": {"WaybillRoute": []}},
        {"Body": {"WaybillRoute": [1]}},
        {"Body": {"WaybillRoute": [{**ROUTE, "mailno": ""}]}},
        {"Body": {"WaybillRoute": [{**ROUTE, "mailno": 3.5}]}},
        {"Body": {"WaybillRoute": [{**ROUTE, "mailno": "x" * 41}]}},
        {"Body": {"WaybillRoute": [{**ROUTE, "opCode": {}}]}},
        {"Body": {"WaybillRoute": [{**ROUTE, "acceptTime": "2026-13-01 00:00:00"}]}},
    ],
)
def test_a_push_of_another_shape_is_unreadable(said: Any):
    with pytest.raises(CourierPushInvalid):
        pushed(json.dumps(said).encode())


def test_json_is_answered_as_json():
    push = pushed(as_json([ROUTE]))

    assert json.loads(reader().answer(push, accepted=True).body) == VECTORS["taken"]
    assert json.loads(reader().answer(push, accepted=False).body) == VECTORS["not_taken"]
    assert json.loads(reader().answer(None, accepted=False).body) == VECTORS["not_taken"]
    assert json.loads(reader().answer(push, accepted=True, refused=("1",)).body) == VECTORS["not_taken"]


@pytest.mark.parametrize("write", [as_xml, as_form])
def test_xml_is_answered_as_xml(write: Callable[[list[dict[str, str]]], bytes]):
    push = pushed(write([ROUTE, {**ROUTE, "id": "2"}]))

    taken, failed = reader().answer(push, accepted=True), reader().answer(push, accepted=False)

    assert taken.body.decode() == '<Response service="RoutePushService"><Head>OK</Head></Response>'
    assert taken.content_type == "text/xml; charset=utf-8"
    answer = ElementTree.fromstring(failed.body)
    assert (answer.findtext("Head"), answer.find("ERROR").attrib) == ("ERR", {"code": "4001"})  # type: ignore[union-attr]


def test_xml_names_what_was_taken_and_what_was_not():
    push = pushed(as_xml([ROUTE, {**ROUTE, "id": "2"}, {**ROUTE, "id": '"<3'}]))

    answer = ElementTree.fromstring(reader().answer(push, accepted=True, refused=("2",)).body)

    assert answer.findtext("Head") == "OK"
    assert answer.find("Body/WaybillRouteResponse").attrib == {  # type: ignore[union-attr]
        "id": '100000000000001,"<3',
        "id_error": "2",
    }


def test_a_contract_may_want_the_ids_always(tmp_path: Path):
    (tmp_path / "sf.toml").write_text('[names]\nlists_ids = "yes"\n')
    push = pushed(as_xml([ROUTE]))

    answer = ElementTree.fromstring(reader(str(tmp_path)).answer(push, accepted=True).body)

    assert answer.find("Body/WaybillRouteResponse").attrib == {"id": "100000000000001"}  # type: ignore[union-attr]


# -- orders and questions --------------------------------------------------------------------------


def reply(inner: Any, *, code: str = "A1000") -> dict[str, Any]:
    return {"apiResultCode": code, "apiErrorMsg": "", "apiResponseID": "1", "apiResultData": json.dumps(inner)}


def done(**data: Any) -> dict[str, Any]:
    return reply({"success": True, "errorCode": "S0000", "errorMsg": None, "msgData": data})


def refused(code: str) -> dict[str, Any]:
    return reply({"success": False, "errorCode": code, "errorMsg": "说明"})


def waybill(number: str = "SF0000000000001") -> list[dict[str, Any]]:
    return [{"waybillType": 2, "waybillNo": "SUB1"}, {"waybillType": 1, "waybillNo": number}]


async def test_an_order_carries_our_number_and_is_signed(courier: Courier, ours: Partners):
    courier.say(done(orderId="D20260102ABCDEFGH1", waybillNoInfoList=waybill(), filterResult=2))

    ordered = await ours.couriers["sf"].order(a_parcel())

    assert ordered == OrderedParcel("SF0000000000001")
    path, form = courier.asked[-1]
    assert (path, form["serviceCode"], form["partnerID"]) == ("/std/service", "EXP_RECE_CREATE_ORDER", "partner")
    assert form["msgDigest"] == sf_digest(form["msgData"], form["timestamp"], "checkword")
    content = json.loads(form["msgData"])
    assert (content["orderId"], content["payMethod"], content["monthlyCard"]) == ("D20260102ABCDEFGH1", 1, "7551234567")
    assert [each["contactType"] for each in content["contactInfoList"]] == [1, 2]
    receiver = content["contactInfoList"][1]
    assert (receiver["province"], receiver["city"], receiver["county"]) == ("北京市", "北京市", "东城区")
    assert (receiver["contact"], receiver["mobile"], receiver["address"]) == ("王小明", "13800000001", "长安街2号")


async def test_postage_to_be_collected_names_no_card_of_ours(courier: Courier, ours: Partners):
    courier.say(done(waybillNoInfoList=waybill()))

    await ours.couriers["sf"].order(a_parcel(collect=True))

    content = json.loads(courier.form["msgData"])
    assert (content["payMethod"], "monthlyCard" in content) == (2, False)


async def test_ordered_again_gives_the_waybill_of_then(courier: Courier, ours: Partners):
    courier.say(refused("8016"), done(orderId="D20260102ABCDEFGH1", waybillNoInfoList=waybill("SF0000000000009")))

    ordered = await ours.couriers["sf"].order(a_parcel())

    assert ordered.waybill == "SF0000000000009"
    assert [form["serviceCode"] for _, form in courier.asked] == ["EXP_RECE_CREATE_ORDER", "EXP_RECE_SEARCH_ORDER_RESP"]
    assert json.loads(courier.form["msgData"])["orderId"] == "D20260102ABCDEFGH1"


async def test_an_order_whose_answer_is_lost_is_sent_again_under_the_same_number(courier: Courier, ours: Partners):
    courier.say(b"<html>", refused("8016"), done(waybillNoInfoList=waybill()))

    assert (await ours.couriers["sf"].order(a_parcel())).waybill == "SF0000000000001"
    numbers = [json.loads(form["msgData"])["orderId"] for _, form in courier.asked]
    assert numbers == ["D20260102ABCDEFGH1"] * 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (done(filterResult=3, remark="不可收派"), CourierAddressRefused),
        (done(filterResult=1), PartnerBusy),
        (done(filterResult=2), PartnerBusy),
        (refused("7000"), CourierOrderRefused),
        (reply({}, code="A1006"), PartnerMisconfigured),
        (reply({}, code="A1005"), PartnerBusy),
        (done(waybillNoInfoList="x"), PartnerUnreachable),
        (reply([1]), PartnerUnreachable),
        ({"apiResultCode": "A1000", "apiResultData": "<html>"}, PartnerUnreachable),
        ({"apiResultCode": "A1000"}, PartnerUnreachable),
        ({"apiResultCode": {}}, PartnerUnreachable),
        ({}, PartnerBusy),
    ],
)
async def test_every_answer_to_an_order_has_its_meaning(
    courier: Courier, ours: Partners, answer: Any, kind: type[PartnerError]
):
    courier.say(answer)

    with pytest.raises(kind) as trouble:
        await ours.couriers["sf"].order(a_parcel())
    assert type(trouble.value) is kind


async def test_an_order_can_be_cancelled_twice_and_not_too_late(courier: Courier, ours: Partners):
    courier.say(done(resStatus=2), refused("8037"), refused("8019"))
    sf = ours.couriers["sf"]

    await sf.cancel("D20260102ABCDEFGH1", "SF0000000000001")
    await sf.cancel("D20260102ABCDEFGH1", "SF0000000000001")
    with pytest.raises(CourierOrderRefused):
        await sf.cancel("D20260102ABCDEFGH1", "SF0000000000001")

    assert courier.form["serviceCode"] == "EXP_RECE_UPDATE_ORDER"
    assert json.loads(courier.form["msgData"])["dealType"] == 2


async def test_a_label_is_an_address_with_what_opens_it(courier: Courier, ours: Partners):
    files = [{"url": "https://print.example/1.pdf", "token": "abc"}]
    courier.say(reply({"success": True, "obj": {"files": files}}))

    label = await ours.couriers["sf"].label("D20260102ABCDEFGH1", "SF0000000000001")

    assert label == "https://print.example/1.pdf#token=abc"
    assert json.loads(courier.form["msgData"])["documents"] == [{"masterWaybillNo": "SF0000000000001"}]


async def test_without_a_template_the_courier_prints_the_label(courier: Courier):
    bundle = partners_from(values_for(courier.base, sf_label_template=""))

    assert await bundle.couriers["sf"].label("D1", "SF1") is None
    assert courier.asked == []
    await bundle.close()


async def test_a_question_gives_the_whole_journey(courier: Courier, ours: Partners):
    routes = [
        {**ROUTE, "opCode": code, "acceptTime": f"2026-01-0{day} 10:00:00"} for day, code in ((2, "50"), (3, "80"))
    ]
    courier.say(done(routeResps=[{"mailNo": "OTHER", "routes": [ROUTE]}, {"mailNo": PARCEL.waybill, "routes": routes}]))

    track = await ours.trackers["sf"].query(PARCEL)

    assert (track.complete, [each.status for each in track.nodes]) == (True, ["collected", "delivered"])
    content = json.loads(courier.form["msgData"])
    assert (content["trackingNumber"], content["checkPhoneNo"]) == (["SF0000000000001"], "0001")
    assert courier.form["serviceCode"] == "EXP_RECE_SEARCH_ROUTES"


@pytest.mark.parametrize("routes", [[], [{"mailNo": "SF0000000000001", "routes": []}], None])
async def test_a_parcel_without_routes_is_unknown(courier: Courier, ours: Partners, routes: Any):
    courier.say(done(routeResps=routes))

    with pytest.raises(CourierWaybillNotFound):
        await ours.trackers["sf"].query(PARCEL)


async def test_nothing_is_asked_to_subscribe(courier: Courier, ours: Partners):
    await ours.trackers["sf"].subscribe(PARCEL)

    assert courier.asked == []
    assert not ours.trackers["sf"].signs
    assert ours.trackers["sf"].pushes
