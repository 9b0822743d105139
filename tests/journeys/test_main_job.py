"""The main job from end to end: a department reports, the resident sees it and is notified through WeChat.

Everything goes over real HTTP, the sandbox's pushes to our callback too; only the worker is ours to start.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend import auditing, clock, jobs
from backend.partners.sandbox import Sandbox
from models.events import EventRecord
from tests.journeys.actors import Department, Phone

ID_NUMBER = "990102198803071229"
Invite = Callable[[str], Awaitable[Phone]]


@pytest.fixture
async def item(base: str) -> str:
    """The code of a well-known item that costs nothing, found as residents find it."""
    async with httpx.AsyncClient(base_url=base) as anybody:
        found = (await anybody.get("/v1/public/items", params={"q": "失业保险金申领"})).json()
    return str(found["items"][0]["code"])


@pytest.fixture
def police(base: str) -> Department:
    return Department(base, "公安")


@pytest.fixture
async def a_phone(base: str, sandbox: Sandbox) -> AsyncIterator[Invite]:
    """A resident who signed in and confirmed the phone number."""
    phones: list[Phone] = []

    async def invite(name: str) -> Phone:
        phone = Phone(base, sandbox, name)
        phones.append(phone)
        await phone.sign_in()
        await phone.confirm_phone()
        return phone

    yield invite
    for phone in phones:
        await phone.http.aclose()


async def test_a_resident_sees_the_case_and_is_notified_of_every_change_through_wechat(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    await police.push("SFZ-1", item, sandbox.world.persona("王秀英"), ID_NUMBER)
    wang = await a_phone("王秀英")
    for _ in range(3):
        await wang.answer_popup("accept")

    for code in ("受理", "审查", "决定", "办结"):
        await police.report("SFZ-1", code, outcome="approved" if code == "决定" else None)

    assert wang.received() == ["已受理", "审查中", "审批通过", "已办结"]
    (line,) = (await wang.get("/v1/resident/cases"))["items"]
    assert (line["number"], line["state"], line["outcome"]) == ("SFZ-1", "closed", "approved")
    case = await wang.get("/v1/resident/cases/SFZ-1")
    assert [each["name"] for each in case["timeline"]] == ["受理", "审查", "决定", "办结"]
    told = [each["name"] for each in (await wang.get("/v1/resident/messages"))["items"]]
    assert told == ["case_closed", "case_approved", "case_in_review", "case_accepted"]
    facts = await EventRecord.filter(name="case.progressed").count()
    assert facts == 4


async def test_every_message_proves_which_way_it_took_and_why(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    await police.push("SFZ-1", item, sandbox.world.persona("孙丽"), ID_NUMBER)
    sun = await a_phone("孙丽")
    await sun.answer_popup("reject")

    await police.report("SFZ-1", "补正", public_remark="请补户口簿", materials=[{"name": "户口簿"}])

    assert [(each.phone, each.parameters[1]) for each in sandbox.sms.texts] == [(f"+86{sun.person.phone}", "SFZ-1")]
    (message,) = (await sun.get("/v1/resident/messages"))["items"]
    proof = await sun.get(f"/v1/resident/messages/{message['id']}")
    assert (proof["state"], proof["channel"], proof["fell_back"]) == ("sent", "sms", True)
    assert [(each["channel"], each["outcome"]) for each in proof["attempts"]] == [
        ("mini_program", "skipped"),
        ("official_account", "skipped"),
        ("sms", "accepted"),
    ]


async def test_a_follower_of_the_official_account_only_is_notified_there(
    police: Department, a_phone: Invite, base: str, sandbox: Sandbox, item: str
):
    await police.push("HZ-1", item, sandbox.world.persona("赵国庆"), ID_NUMBER)
    zhao = await a_phone("赵国庆")
    async with httpx.AsyncClient(base_url=sandbox.base) as control:
        await control.post("/sandbox/personas/赵国庆/follow")
        await control.post("/sandbox/settle")
    await jobs.drain()

    await police.report("HZ-1", "受理")

    assert [(each.channel, each.data["phrase3"]) for each in sandbox.world.delivered] == [("template", "已受理")]
    assert zhao.received() == ["已受理"]


async def test_who_refuses_everything_finds_it_in_the_inbox(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    await police.push("SBK-1", item, sandbox.world.persona("张敏"), ID_NUMBER)
    zhang = await a_phone("张敏")
    sandbox.sms.blocked = {f"+86{zhang.person.phone}"}
    await zhang.answer_popup("reject")

    await police.report("SBK-1", "受理")
    await police.report("SBK-1", "不予许可")

    messages = (await zhang.get("/v1/resident/messages"))["items"]
    proofs = [await zhang.get(f"/v1/resident/messages/{each['id']}") for each in messages]
    assert [each["name"] for each in messages] == ["case_rejected", "case_accepted"]
    assert [each["state"] for each in proofs] == ["inbox", "inbox"]
    assert sandbox.world.delivered == []
    assert sandbox.sms.texts == []


async def test_in_any_order_of_reports_the_case_ends_the_same(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    began = clock.now() - timedelta(hours=3)
    reports = [("受理", began), ("审查", began + timedelta(hours=1)), ("决定", began + timedelta(hours=2))]
    orders = [*itertools.permutations(range(3))]

    for case, order in enumerate(orders):
        for place in order:
            code, at = reports[place]
            await police.report(f"SFZ-{case}", code, event_id=f"e{place}", at=at)
            if place == order[case % 3]:
                await police.push(f"SFZ-{case}", item, sandbox.world.persona("李建国"), ID_NUMBER)
    li = await a_phone("李建国")

    seen = [await li.get(f"/v1/resident/cases/SFZ-{case}") for case in range(len(orders))]
    assert {each["state"] for each in seen} == {"approved"}
    assert {tuple(line["name"] for line in each["timeline"]) for each in seen} == {("受理", "审查", "决定")}


async def test_a_repeated_report_is_notified_once(police: Department, a_phone: Invite, sandbox: Sandbox, item: str):
    await police.push("SFZ-1", item, sandbox.world.persona("王秀英"), ID_NUMBER)
    wang = await a_phone("王秀英")
    for _ in range(2):
        await wang.answer_popup("accept")
    at = clock.now()

    answers = [await police.report("SFZ-1", "受理", event_id="e1", at=at) for _ in range(3)]

    assert [each["state"] for each in answers] == ["accepted"] * 3
    assert wang.received() == ["已受理"]


async def test_an_unknown_code_is_kept_and_notifies_no_resident(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    await police.push("HZ-1", item, sandbox.world.persona("王秀英"), ID_NUMBER)
    wang = await a_phone("王秀英")
    await wang.answer_popup("accept")

    kept = await police.report("HZ-1", "转制证中心排产")

    assert (kept["kind"], kept["code"], kept["state"]) == ("other", "转制证中心排产", "submitted")
    assert [each["code"] for each in (await wang.get("/v1/resident/cases/HZ-1"))["timeline"]] == ["转制证中心排产"]
    assert wang.received() == []


async def test_a_stranger_with_number_and_four_characters_sees_the_state_and_no_name(
    base: str, police: Department, sandbox: Sandbox, item: str
):
    await police.push("SFZ-1", item, sandbox.world.persona("王秀英"), ID_NUMBER)
    await police.report("SFZ-1", "受理", public_remark="请王秀英本人领取")

    async with httpx.AsyncClient(base_url=base) as stranger:
        found = await stranger.post("/v1/public/case-lookups", json={"number": "SFZ-1", "id_last_four": ID_NUMBER[-4:]})
        wrong = await stranger.post("/v1/public/case-lookups", json={"number": "SFZ-1", "id_last_four": "0000"})
        absent = await stranger.post("/v1/public/case-lookups", json={"number": "SFZ-2", "id_last_four": "0000"})

    assert found.json()["state"] == "accepted"
    assert "王" not in found.text
    assert (wrong.status_code, absent.status_code) == (404, 404)
    assert {**wrong.json(), "request_id": ""} == {**absent.json(), "request_id": ""}


async def test_a_session_that_was_ended_is_refused_and_the_other_lives_on(a_phone: Invite, base: str, sandbox: Sandbox):
    phone = await a_phone("王秀英")
    tablet = Phone(base, sandbox, "王秀英")
    await tablet.sign_in()

    ended = await phone.http.delete(f"/v1/resident/sessions/{tablet.tokens['session_id']}")

    assert ended.status_code == 204
    assert (await tablet.http.get("/v1/resident/me")).json()["code"] == "session-ended"
    assert [each["is_current"] for each in (await phone.get("/v1/resident/sessions"))["items"]] == [True]
    await tablet.http.aclose()


async def test_what_happened_is_sealed_and_the_seals_hold(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    await police.push("SFZ-1", item, sandbox.world.persona("王秀英"), ID_NUMBER)
    await a_phone("王秀英")
    await police.report("SFZ-1", "受理")

    sealed = await auditing.seal_new()

    assert sealed == await EventRecord.all().count() > 0
    assert await auditing.verify() == []


async def test_personal_data_stands_in_no_event_and_in_no_message(
    police: Department, a_phone: Invite, sandbox: Sandbox, item: str
):
    wang = sandbox.world.persona("王秀英")
    await police.push("SFZ-1", item, wang, ID_NUMBER)
    phone = await a_phone("王秀英")
    await phone.answer_popup("accept")
    await police.report("SFZ-1", "补正", public_remark="请补户口簿")

    written: list[Any] = [each.payload for each in await EventRecord.all()]
    written += [each.data for each in sandbox.world.delivered]
    written += [(await phone.get("/v1/resident/messages"))["items"]]
    for secret in (ID_NUMBER, wang.phone, wang.openid, wang.unionid, "王秀英"):
        assert secret not in str(written)
