"""快递100: pushes that are verified, answers that are understood, queries that are signed."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from backend.partners import Partners, partners_from
from backend.partners.base import Wire
from backend.partners.courier.kuaidi100 import Kuaidi100
from backend.partners.courier.port import (
    CourierPush,
    CourierPushInvalid,
    CourierPushSignatureInvalid,
    CourierWaybillNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    TrackingRequest,
)
from backend.partners.courier.signing import kuaidi100_signature
from tests.backend.partners.courier.conftest import SALT, TOKEN, Courier, values_for

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/couriers.json").read_text("utf-8"))[
    "kuaidi100"
]
EMS = TrackingRequest(waybill="TEST0000000001", company="ems")


def reader(salt: str = SALT) -> Kuaidi100:
    values = values_for("http://127.0.0.1:9", kuaidi100_salt=salt)
    return Kuaidi100(Wire(values), values)


def pushed(said: Any, salt: str = SALT, **changes: Any) -> CourierPush:
    param = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    fields = {"param": param, "sign": kuaidi100_signature(param, salt), **changes}
    return reader(salt).open_push({}, urlencode(fields).encode())


def a_push(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(VECTORS["push"]["param"])
    said["lastResult"] |= changes.pop("last", {})
    return said | changes


# -- pushes ----------------------------------------------------------------------------------------


def test_the_known_push_is_read_whole():
    push = reader(VECTORS["push"]["salt"]).open_push({}, VECTORS["push"]["form_body"].encode())

    (track,) = push.tracks
    assert (push.signed, push.plaintext) == (True, VECTORS["push"]["param"])
    assert (track.waybill, track.company, track.complete) == ("TEST0000000001", "ems", True)
    assert (track.ended, track.given_up, track.corrected_company) == (False, False, None)
    newest, oldest = track.nodes
    assert (newest.status, newest.raw_code, newest.raw_text) == ("in_transit", "1002", "【示例市】已发出")
    assert newest.event_at == datetime(2026, 1, 2, 2, 0, tzinfo=UTC)
    assert (newest.place, newest.region_code) == ("浙江杭州市", "330100000000")
    assert oldest.status == "collected"


def test_an_empty_salt_signs_too_and_proves_nothing():
    case = VECTORS["push_empty_salt"]
    body = urlencode({"param": case["param"], "sign": case["sign"]}).encode()

    push = reader("").open_push({}, body)

    assert not push.signed
    assert not reader("").signs
    assert push.tracks[0].waybill == "TEST0000000001"
    with pytest.raises(CourierPushSignatureInvalid):
        reader("").open_push({}, body.replace(b"sign=6", b"sign=7"))


@pytest.mark.parametrize("_", range(5))
def test_a_fresh_salt_is_accepted_and_another_is_not(_: int):
    salt = secrets.token_urlsafe(12)

    assert pushed(a_push(), salt).signed
    with pytest.raises(CourierPushSignatureInvalid):
        pushed(a_push(), salt, sign=kuaidi100_signature(json.dumps(a_push(), ensure_ascii=False), salt + "x"))


def test_the_case_of_a_signature_does_not_matter():
    param = json.dumps(a_push())

    assert pushed(param, sign=kuaidi100_signature(param, SALT).lower()).signed


@pytest.mark.parametrize("sign", ["", "0" * 32, "签", "\udcff".encode("utf-8", "replace").decode(), "C" * 100_000])
def test_a_push_with_a_wrong_signature_is_forged(sign: str):
    with pytest.raises(CourierPushSignatureInvalid):
        pushed(a_push(), sign=sign)


def test_a_push_without_a_signature_is_forged():
    with pytest.raises(CourierPushSignatureInvalid):
        reader().open_push({}, urlencode({"param": json.dumps(a_push())}).encode())


def test_the_signature_is_over_the_text_as_it_came_not_as_we_would_write_it():
    spaced = json.dumps(a_push(), indent=3, ensure_ascii=True)

    assert pushed(spaced).plaintext == spaced
    with pytest.raises(CourierPushSignatureInvalid):
        pushed(spaced, param=json.dumps(a_push()))


def test_a_repeat_has_the_same_identity_and_another_push_has_not():
    assert pushed(a_push()).identity == pushed(a_push()).identity
    assert pushed(a_push()).identity != pushed(a_push(message="x")).identity


def test_a_repeat_may_be_written_otherwise_around_the_same_text():
    param = json.dumps(a_push())
    signed = {"param": param, "sign": kuaidi100_signature(param, SALT)}
    bodies = [urlencode(signed), urlencode(dict(reversed(signed.items()))), urlencode({**signed, "more": "1"})]
    bodies.append(urlencode(signed).replace("+", "%20").replace("%7B", "%7b"))

    assert len({reader().open_push({}, each.encode()).identity for each in bodies}) == 1
    assert len(set(bodies)) == 4


def test_signed_for_ends_the_tracking():
    (track,) = pushed(a_push(status="shutdown", last={"state": "3", "ischeck": "1"})).tracks

    assert (track.ended, track.given_up) == (True, False)


@pytest.mark.parametrize("message", ["3天查询无记录", "60天无变化"])
def test_an_abort_without_another_company_gives_up(message: str):
    (track,) = pushed(a_push(status="abort", message=message, last={"status": "201", "data": []})).tracks

    assert (track.ended, track.given_up, track.nodes) == (True, True, ())


def test_an_abort_with_another_company_corrects_and_goes_on():
    said = a_push(status="abort", comOld="yuantong", comNew="EMS", last={"com": "yuantong", "data": []})

    (track,) = pushed(said).tracks

    assert (track.company, track.corrected_company) == ("yuantong", "ems")
    assert (track.ended, track.given_up) == (False, False)


def test_what_comes_under_the_right_company_still_says_what_it_was():
    (track,) = pushed(a_push(autoCheck="1", comOld="yuantong", comNew="ems")).tracks

    assert (track.company, track.corrected_company, len(track.nodes)) == ("yuantong", "ems", 2)


def test_a_correction_to_the_same_company_is_none():
    (track,) = pushed(a_push(autoCheck="1", comOld="ems", comNew="ems")).tracks

    assert track.corrected_company is None


def test_all_of_it_anew_is_a_full_list_like_any_other():
    (track,) = pushed(a_push(status="updateall")).tracks

    assert track.complete
    assert not track.ended


def test_words_say_what_happened_where_there_is_no_code():
    entries = [{"context": "派送中", "time": "2026-01-03 08:00:00", "status": "派件"}]

    (track,) = pushed(a_push(last={"data": entries})).tracks

    assert [(each.status, each.raw_code) for each in track.nodes] == [("out_for_delivery", "派件")]


def test_without_codes_the_state_is_that_of_the_newest_node_wherever_it_stands():
    old, new = ({"context": text, "time": f"2026-01-0{day} 08:00:00"} for day, text in ((1, "一"), (3, "二")))

    for entries in ([old, new], [new, old]):
        (track,) = pushed(a_push(last={"data": entries, "state": "5"})).tracks
        assert {each.raw_text: each.status for each in track.nodes} == {"一": "other", "二": "out_for_delivery"}


def test_an_unknown_code_is_kept_and_shown_as_other():
    entries = [{"context": "新花样", "time": "2026-01-03 08:00:00", "statusCode": "98765"}]

    (track,) = pushed(a_push(last={"data": entries})).tracks

    assert [(each.status, each.raw_code) for each in track.nodes] == [("other", "98765")]


def test_one_odd_node_does_not_hide_the_others():
    good = {"context": "派送中", "time": "2026-01-03 08:00:00", "statusCode": "5"}
    odd: list[Any] = [{"context": "没有时间"}, {**good, "time": "昨天"}, {**good, "ftime": "0001-01-01 00:00:00"}]

    (track,) = pushed(a_push(last={"data": [*odd, good]})).tracks

    assert len(track.nodes) == 1
    with pytest.raises(CourierPushInvalid):
        pushed(a_push(last={"data": odd}))


@pytest.mark.parametrize(
    "changes",
    [
        {"lastResult": "x"},
        {"lastResult": []},
        {"last": {"nu": ""}},
        {"last": {"nu": "../../etc"}},
        {"last": {"nu": ["TEST0000000001"]}},
        {"last": {"com": "'; DROP"}},
        {"last": {"data": "x"}},
        {"last": {"data": ["x"]}},
        {"last": {"data": {"context": {}, "time": "2026-01-03 08:00:00"}}},
        {"comNew": {"a": 1}},
        {"status": []},
    ],
)
def test_a_signed_push_of_another_shape_is_unreadable(changes: dict[str, Any]):
    with pytest.raises(CourierPushInvalid):
        pushed(a_push(**changes))


def test_answers_are_what_they_want_to_read():
    taken, again = reader().answer(None, accepted=True), reader().answer(None, accepted=False)

    assert json.loads(taken.body) == VECTORS["taken"]
    assert json.loads(again.body)["result"] is False
    assert (taken.status, taken.content_type) == (200, "application/json")


# -- questions -------------------------------------------------------------------------------------


async def test_a_subscription_says_where_and_with_which_salt_to_push(courier: Courier, ours: Partners):
    courier.say({"result": True, "returnCode": "200", "message": "提交成功"})

    await ours.trackers["kuaidi100"].subscribe(
        TrackingRequest(waybill="SF0000000000001", company="shunfeng", phone_tail="0001")
    )

    assert courier.asked[-1][0] == "/poll"
    assert courier.form["schema"] == "json"
    assert json.loads(courier.form["param"]) == {
        "company": "shunfeng",
        "number": "SF0000000000001",
        "key": "key-of-100",
        "parameters": {
            "callbackurl": "https://zhangban.example/v1/callbacks/courier/kuaidi100",
            "salt": SALT,
            "resultv2": "4",
            "phone": "0001",
        },
    }


async def test_without_a_salt_the_address_is_the_secret(courier: Courier):
    courier.say({"result": True, "returnCode": "200", "message": ""})
    bundle = partners_from(values_for(courier.base, kuaidi100_salt=""))
    bare = partners_from(values_for(courier.base, kuaidi100_salt="", courier_push_token=""))

    await bundle.trackers["kuaidi100"].subscribe(EMS)
    with pytest.raises(PartnerMisconfigured):
        await bare.trackers["kuaidi100"].subscribe(EMS)

    address = json.loads(courier.form["param"])["parameters"]["callbackurl"]
    assert address == f"https://zhangban.example/v1/callbacks/courier/kuaidi100/{TOKEN}"
    assert len(courier.asked) == 1
    await bundle.close()
    await bare.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("501", None),
        ("500", PartnerBusy),
        ("600", PartnerMisconfigured),
        ("601", PartnerMisconfigured),
        ("700", PartnerRefused),
        ("701", PartnerRefused),
        ("702", CourierWaybillNotFound),
        ("999", PartnerRefused),
        ("", PartnerBusy),
    ],
)
async def test_every_answer_to_a_subscription_has_its_meaning(
    courier: Courier, ours: Partners, code: str, kind: type[PartnerError] | None
):
    courier.say({"result": False, "returnCode": code, "message": "说明"})

    if kind is None:
        await ours.trackers["kuaidi100"].subscribe(EMS)
        return
    with pytest.raises(kind) as trouble:
        await ours.trackers["kuaidi100"].subscribe(EMS)
    assert type(trouble.value) is kind


async def test_a_question_is_signed_and_its_answer_is_the_whole_journey(courier: Courier, ours: Partners):
    courier.say(json.loads(VECTORS["push"]["param"])["lastResult"])

    track = await ours.trackers["kuaidi100"].query(EMS)

    assert courier.asked[-1][0] == "/poll/query.do"
    param = courier.form["param"]
    assert json.loads(param) == {"com": "ems", "num": "TEST0000000001", "phone": "", "resultv2": "4"}
    assert courier.form["sign"] == kuaidi100_signature(param, "key-of-100", "customer-of-100")
    assert courier.form["customer"] == "customer-of-100"
    assert (track.complete, len(track.nodes), track.ended) == (True, 2, False)


async def test_the_known_question_is_asked_byte_for_byte(courier: Courier):
    case = VECTORS["query"]
    values = values_for(courier.base, kuaidi100_key=case["key"], kuaidi100_customer=case["customer"])
    bundle = partners_from(values)
    courier.say(json.loads(VECTORS["push"]["param"])["lastResult"])

    await bundle.trackers["kuaidi100"].query(EMS)

    assert (courier.form["param"], courier.form["sign"]) == (case["param"], case["sign"])
    await bundle.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"result": False, "returnCode": "500", "message": "查询无结果，请隔段时间再查"}, CourierWaybillNotFound),
        ({"result": False, "returnCode": "503", "message": "验证签名失败"}, PartnerMisconfigured),
        ({"result": False, "returnCode": "502", "message": "服务器繁忙"}, PartnerBusy),
        ({"status": "200", "com": "ems", "nu": "TEST0000000001", "data": []}, CourierWaybillNotFound),
        ({"status": "200", "com": "ems", "nu": "TEST0000000001", "data": "x"}, PartnerUnreachable),
        ({"status": "200", "com": "ems", "nu": [1], "data": []}, PartnerUnreachable),
        ({"status": {"a": 1}}, PartnerUnreachable),
        ([1], PartnerUnreachable),
        (b"<html>", PartnerUnreachable),
        (b"\xff\xfe", PartnerUnreachable),
    ],
)
async def test_every_answer_to_a_question_has_its_meaning(
    courier: Courier, ours: Partners, answer: Any, kind: type[PartnerError]
):
    courier.say(answer)

    with pytest.raises(kind) as trouble:
        await ours.trackers["kuaidi100"].query(EMS)
    assert type(trouble.value) is kind
    assert len(courier.asked) == 1, "a question counts against the interval: it is not repeated by itself"


def test_questions_about_one_parcel_are_half_an_hour_apart():
    assert reader().query_seconds == 1800
    values = replace(values_for("http://127.0.0.1:9"), kuaidi100_query_seconds=7.0)
    assert Kuaidi100(Wire(values), values).query_seconds == 7
