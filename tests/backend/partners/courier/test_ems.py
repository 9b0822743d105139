"""EMS: sealed requests, orders, labels and traces; without pushes."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.partners import Partners, partners_from
from backend.partners.base import Wire
from backend.partners.courier.ems import Ems
from backend.partners.courier.port import (
    CourierOrderRefused,
    CourierPushInvalid,
    CourierWaybillNotFound,
    OrderedParcel,
    PartnerBusy,
    PartnerError,
    PartnerUnreachable,
    TrackingRequest,
)
from backend.settings import SettingsError
from tests.backend.partners.courier.conftest import Courier, a_parcel, values_for
from tests.backend.partners.courier.test_signing import opened

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
PARCEL = TrackingRequest(waybill="TEST0000000001", company="ems")
STEP = {
    "waybillNo": "TEST0000000001",
    "opTime": "2026-01-03 08:00:00",
    "opCode": "704",
    "opName": "投递结果反馈-妥投",
    "opDesc": "已签收，本人签收",
    "opOrgProvName": "吉林省",
    "opOrgCity": "长春市",
    "opOrgCode": "13000000",
}


def fine(body: Any) -> dict[str, Any]:
    written = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return {"retCode": "00000", "retMsg": "成功", "retBody": written}


def sealed(courier: Courier) -> Any:
    return json.loads(opened(courier.form["logitcsInterface"], KEY))


async def test_an_order_is_sealed_and_carries_our_number(courier: Courier, ours: Partners):
    courier.say(fine({"waybillNo": "TEST0000000001", "routeCode": "x"}))

    ordered = await ours.couriers["ems"].order(a_parcel())

    assert ordered == OrderedParcel("TEST0000000001")
    path, form = courier.asked[-1]
    assert (path, form["apiCode"], form["senderNo"]) == ("/amp/api/open", "020003", "1100000000000")
    assert (form["msgType"], form["version"], form["authorization"]) == ("0", "V1.0.0", "authorization")
    datetime.strptime(form["timeStamp"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - it has no zone on the wire
    (content,) = sealed(courier)
    assert (content["logisticsOrderNo"], content["bizProductNo"]) == ("D20260102ABCDEFGH1", "1")
    assert content["receiver"] == {
        "name": "王小明",
        "mobile": "13800000001",
        "prov": "北京市",
        "city": "北京市",
        "county": "东城区",
        "address": "长安街2号",
    }
    assert content["sender"]["county"] == "南关区"
    assert "userCode" not in form


async def test_to_be_collected_is_another_product_and_a_user_code_is_named(courier: Courier):
    bundle = partners_from(values_for(courier.base, ems_user_code="U1"))
    courier.say(fine([{"waybillNo": "TEST0000000002"}]))

    assert (await bundle.couriers["ems"].order(a_parcel(collect=True))).waybill == "TEST0000000002"

    assert sealed(courier)[0]["bizProductNo"] == "3"
    assert courier.form["userCode"] == "U1"
    await bundle.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"retCode": "B00001", "retMsg": "参数错误"}, CourierOrderRefused),
        ({"retCode": "X9", "retMsg": ""}, CourierOrderRefused),
        ({"retCode": "S00001", "retMsg": "系统异常"}, PartnerBusy),
        ({"retMsg": ""}, PartnerBusy),
        (fine({}), PartnerBusy),
        (fine([]), PartnerBusy),
        (fine("{half"), PartnerUnreachable),
        (fine({"waybillNo": {}}), PartnerUnreachable),
        ([], PartnerUnreachable),
        (b"<html>", PartnerUnreachable),
    ],
)
async def test_every_answer_to_an_order_has_its_meaning(
    courier: Courier, ours: Partners, answer: Any, kind: type[PartnerError]
):
    courier.say(answer)

    with pytest.raises(kind) as trouble:
        await ours.couriers["ems"].order(a_parcel())
    assert type(trouble.value) is kind


async def test_a_cancellation_names_both_numbers(courier: Courier, ours: Partners):
    courier.say(fine({}))

    await ours.couriers["ems"].cancel("D20260102ABCDEFGH1", "TEST0000000001")

    assert courier.form["apiCode"] == "020006"
    (content,) = sealed(courier)
    assert (content["logisticsOrderNo"], content["waybillNo"]) == ("D20260102ABCDEFGH1", "TEST0000000001")


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ("https://print.example/1.pdf", "https://print.example/1.pdf"),
        ({"url": "https://print.example/2.pdf"}, "https://print.example/2.pdf"),
        ([{"labelUrl": "https://print.example/3.pdf"}], "https://print.example/3.pdf"),
        ("JVBERi0xLjQ=", "data:application/pdf;base64,JVBERi0xLjQ="),
    ],
)
async def test_a_label_is_an_address_or_the_paper_itself(courier: Courier, ours: Partners, body: Any, label: str):
    courier.say(fine(body))

    assert await ours.couriers["ems"].label("D1", "TEST0000000001") == label
    assert (courier.form["apiCode"], sealed(courier)["waybillNo"]) == ("010004", "TEST0000000001")


async def test_without_a_label_it_is_asked_again_later(courier: Courier, ours: Partners):
    courier.say(fine({}))

    with pytest.raises(PartnerBusy):
        await ours.couriers["ems"].label("D1", "TEST0000000001")


async def test_a_trace_is_the_whole_journey(courier: Courier, ours: Partners):
    courier.say(fine({"responseItems": [STEP, {**STEP, "opCode": "999", "opTime": "2026-01-01 08:00:00"}]}))

    track = await ours.trackers["ems"].query(PARCEL)

    assert (courier.form["apiCode"], sealed(courier)) == ("040001", {"waybillNo": "TEST0000000001", "direction": "0"})
    assert (track.complete, track.company) == (True, "ems")
    signed, unheard = track.nodes
    assert (signed.status, signed.raw_code, signed.place) == ("delivered", "704", "吉林省长春市")
    assert (signed.raw_text, signed.event_at) == ("已签收，本人签收", datetime(2026, 1, 3, 0, 0, tzinfo=UTC))
    assert (unheard.status, unheard.raw_code) == ("other", "999")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"responseItems": []}, CourierWaybillNotFound),
        ({}, CourierWaybillNotFound),
        ("", CourierWaybillNotFound),
        ({"responseItems": "x"}, PartnerUnreachable),
        ({"responseItems": [{**STEP, "opTime": "x"}]}, PartnerUnreachable),
    ],
)
async def test_a_trace_without_steps_says_so(courier: Courier, ours: Partners, body: Any, kind: type[PartnerError]):
    courier.say(fine(body))

    with pytest.raises(kind) as trouble:
        await ours.trackers["ems"].query(PARCEL)
    assert type(trouble.value) is kind


async def test_there_are_no_pushes_and_no_subscriptions(courier: Courier, ours: Partners):
    ems = ours.trackers["ems"]

    await ems.subscribe(PARCEL)

    assert courier.asked == []
    assert not ems.pushes
    assert ems.answer(None, accepted=False).status == 404
    with pytest.raises(CourierPushInvalid):
        ems.open_push({}, b"{}")


def test_a_key_that_cannot_seal_stops_the_start():
    values = values_for("http://127.0.0.1:9", ems_sign_key="short")

    with pytest.raises(SettingsError, match="EMS_SIGN_KEY"):
        Ems(Wire(values), values)
    assert len(b64decode(KEY)) == 16


@pytest.mark.parametrize("name", ["sf", "ems"])
async def test_a_question_whose_answer_is_lost_is_not_asked_again_at_once(courier: Courier, ours: Partners, name: str):
    courier.say(b"{", status=200)

    with pytest.raises(PartnerUnreachable):
        await ours.trackers[name].query(TrackingRequest(waybill="EA123456785CN", company="ems", phone_tail="0001"))
    assert len(courier.asked) == 1, "a question counts against the interval"
