"""快递鸟: pushes with DataSign, subscriptions, questions."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from backend import clock
from backend.partners import Partners, partners_from
from backend.partners.base import Wire
from backend.partners.courier.kdniao import Kdniao
from backend.partners.courier.port import (
    CourierPush,
    CourierPushInvalid,
    CourierPushSignatureInvalid,
    CourierTooSoon,
    CourierWaybillNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    TrackingRequest,
)
from backend.partners.courier.signing import kdniao_signature
from tests.backend.partners.courier.conftest import Courier, values_for

PARCEL = TrackingRequest(waybill="SF0000000000001", company="shunfeng", phone_tail="0001")
TRACES = [
    {"AcceptTime": "2026-01-01 18:00:00", "AcceptStation": "已揽收", "Action": "1", "Location": "长春市"},
    {"AcceptTime": "2026-01-02 10:00:00", "AcceptStation": "派件中", "Action": "202", "Location": "北京市"},
]
SAID: dict[str, Any] = {
    "EBusinessID": "1234567",
    "OrderCode": "D1",
    "ShipperCode": "SF",
    "LogisticCode": "SF0000000000001",
    "Success": True,
    "State": "2",
    "StateEx": "202",
    "Traces": TRACES,
}


def reader(**changes: Any) -> Kdniao:
    values = values_for("http://127.0.0.1:9", **changes)
    return Kdniao(Wire(values), values)


def a_push(*parcels: Any, **changes: Any) -> dict[str, Any]:
    data = list(parcels) or [SAID]
    return {
        "EBusinessID": "1234567",
        "PushTime": "2026-01-02 10:05:00",
        "Count": str(len(data)),
        "Data": data,
        **changes,
    }


def body_of(said: Any, key: str = "app-key", **changes: Any) -> bytes:
    data = json.dumps(said, ensure_ascii=False)
    fields = {"RequestData": data, "RequestType": "101", "DataSign": kdniao_signature(data, key), **changes}
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()


def pushed(said: Any, **changes: Any) -> CourierPush:
    return reader().open_push({}, body_of(said, **changes))


# -- pushes ----------------------------------------------------------------------------------------


def test_a_push_reports_every_parcel_in_it():
    push = pushed(a_push(SAID, {**SAID, "ShipperCode": "EMS", "LogisticCode": "TEST0000000001", "Traces": []}))

    first, second = push.tracks
    assert push.signed
    assert (first.waybill, first.company, first.order_number, first.complete) == (
        "SF0000000000001",
        "shunfeng",
        "D1",
        True,
    )
    assert [(n.status, n.raw_code, n.place) for n in first.nodes] == [
        ("collected", "1", "长春市"),
        ("out_for_delivery", "202", "北京市"),
    ]
    assert first.nodes[1].event_at == datetime(2026, 1, 2, 2, 0, tzinfo=UTC)
    assert (second.company, second.nodes) == ("ems", ())


def test_a_repeat_at_another_time_has_the_same_identity():
    assert pushed(a_push()).identity == pushed(a_push(PushTime="2026-01-02 11:00:00")).identity
    assert pushed(a_push()).identity != pushed(a_push({**SAID, "State": "3"})).identity


def test_without_codes_of_nodes_the_state_is_that_of_the_newest():
    bare = [{name: value for name, value in each.items() if name != "Action"} for each in TRACES]

    (track,) = pushed(a_push({**SAID, "Traces": bare, "StateEx": "", "State": "3"})).tracks

    assert [each.status for each in track.nodes] == ["other", "delivered"]


@pytest.mark.parametrize("_", range(3))
def test_a_fresh_key_is_accepted_and_another_is_not(_: int):
    key = secrets.token_urlsafe(16)

    assert reader(kdniao_app_key=key).open_push({}, body_of(a_push(), key)).signed
    with pytest.raises(CourierPushSignatureInvalid):
        reader(kdniao_app_key=key).open_push({}, body_of(a_push(), key + "x"))


def test_a_signature_that_was_encoded_twice_is_the_same():
    data = json.dumps(a_push(), ensure_ascii=False)

    assert pushed(a_push(), DataSign=quote(kdniao_signature(data, "app-key"))).signed


@pytest.mark.parametrize("sign", [None, "", "AAAA", "签", "A" * 100_000])
def test_a_push_without_the_right_signature_is_forged(sign: str | None):
    with pytest.raises(CourierPushSignatureInvalid):
        pushed(a_push(), DataSign=sign)


def test_the_lower_case_of_base64_is_another_signature():
    data = json.dumps(a_push(), ensure_ascii=False)

    with pytest.raises(CourierPushSignatureInvalid):
        pushed(a_push(), DataSign=kdniao_signature(data, "app-key").lower())


def test_a_contract_without_signatures_is_doubted_but_never_deceived():
    unsigned = reader(kdniao_push_signed=False)

    assert not unsigned.signs
    assert not unsigned.open_push({}, body_of(a_push(), DataSign=None)).signed
    assert unsigned.open_push({}, body_of(a_push())).signed
    with pytest.raises(CourierPushSignatureInvalid):
        unsigned.open_push({}, body_of(a_push(), DataSign="AAAA"))


def test_an_empty_key_proves_nothing():
    keyless = reader(kdniao_app_key="")

    assert not keyless.signs
    assert not keyless.open_push({}, body_of(a_push(), "")).signed


def test_a_push_for_another_account_is_forged():
    with pytest.raises(CourierPushSignatureInvalid):
        pushed(a_push(EBusinessID="7654321"))


@pytest.mark.parametrize(
    "said",
    [
        a_push(Data="x"),
        a_push(Data=[]),
        a_push(Data=[1]),
        a_push({**SAID, "LogisticCode": ""}),
        a_push({**SAID, "ShipperCode": "a b"}),
        a_push({**SAID, "Traces": "x"}),
        a_push({**SAID, "Traces": [{"AcceptTime": "x"}]}),
        a_push({**SAID, "StateEx": {}}),
    ],
)
def test_a_signed_push_of_another_shape_is_unreadable(said: Any):
    with pytest.raises(CourierPushInvalid):
        pushed(said)


def test_answers_are_what_they_want_to_read():
    with clock.travel(to=datetime(2026, 1, 2, 2, 5, tzinfo=UTC)):
        taken, again = reader().answer(None, accepted=True), reader().answer(None, accepted=True, refused=("1",))

    assert json.loads(taken.body) == {
        "EBusinessID": "1234567",
        "UpdateTime": "2026-01-02 10:05:00",
        "Success": True,
        "Reason": "",
    }
    assert json.loads(again.body) == {**json.loads(taken.body), "Success": False, "Reason": "处理失败"}


def test_other_words_of_an_answer_are_a_matter_of_a_file(tmp_path: Path):
    (tmp_path / "kdniao.toml").write_text('[names]\ntaken = "ok $business_id $1"\n')

    assert reader(courier_tables=str(tmp_path)).answer(None, accepted=True).body == b"ok 1234567 $1"


@pytest.mark.parametrize("kind", ["101", "102", "107"])
def test_a_push_of_another_kind_is_not_taken_for_a_journey(kind: str):
    assert pushed(a_push(SAID), RequestType=kind).tracks
    with pytest.raises(CourierPushInvalid):
        pushed(a_push(SAID), RequestType="103")


# -- questions -------------------------------------------------------------------------------------


async def test_a_subscription_is_signed(courier: Courier, ours: Partners):
    courier.say({"EBusinessID": "1234567", "Success": True, "Reason": ""})

    await ours.trackers["kdniao"].subscribe(PARCEL)

    path, form = courier.asked[-1]
    assert (path, form["RequestType"], form["DataType"], form["EBusinessID"]) == ("/api/dist", "1008", "2", "1234567")
    assert json.loads(form["RequestData"]) == {
        "ShipperCode": "SF",
        "LogisticCode": "SF0000000000001",
        "CustomerName": "0001",
    }
    assert form["DataSign"] == kdniao_signature(form["RequestData"], "app-key")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("已订阅，请勿重复提交", None),
        ("没有物流轨迹", CourierWaybillNotFound),
        ("没有可用套餐", PartnerMisconfigured),
        ("请求频率过高", CourierTooSoon),
        ("系统错误", PartnerBusy),
        ("想不到的理由", PartnerRefused),
    ],
)
async def test_the_words_of_a_refusal_have_their_meaning(
    courier: Courier, ours: Partners, reason: str, kind: type[PartnerError] | None
):
    courier.say({"EBusinessID": "1234567", "Success": False, "Reason": reason})

    if kind is None:
        await ours.trackers["kdniao"].subscribe(PARCEL)
        return
    with pytest.raises(kind) as trouble:
        await ours.trackers["kdniao"].subscribe(PARCEL)
    assert type(trouble.value) is kind


async def test_a_question_gives_the_whole_journey_by_the_paid_number_if_there_is_one(courier: Courier):
    bundle = partners_from(values_for(courier.base, kdniao_query_type="8002", kdniao_subscribe_type="8008"))
    courier.say(SAID)

    track = await bundle.trackers["kdniao"].query(PARCEL)

    assert courier.form["RequestType"] == "8002"
    assert [each.status for each in track.nodes] == ["collected", "out_for_delivery"]
    await bundle.trackers["kdniao"].subscribe(PARCEL)
    assert courier.form["RequestType"] == "8008"
    await bundle.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({**SAID, "Traces": []}, CourierWaybillNotFound),
        ({**SAID, "Traces": 3}, PartnerUnreachable),
        ({**SAID, "Reason": [], "Success": False}, PartnerUnreachable),
        ({}, PartnerBusy),
        ({"Success": False, "Reason": ""}, PartnerBusy),
        ({"Success": False, "Reason": "?"}, PartnerRefused),
        (b"", PartnerUnreachable),
    ],
)
async def test_an_answer_without_content_is_an_error(
    courier: Courier, ours: Partners, answer: Any, kind: type[PartnerError]
):
    courier.say(answer)

    with pytest.raises(kind) as trouble:
        await ours.trackers["kdniao"].query(PARCEL)
    assert type(trouble.value) is kind
