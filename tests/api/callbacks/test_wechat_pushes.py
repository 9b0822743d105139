"""The sandbox's events arrive at our real callback over real HTTP, in every mode, late and repeated."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar

from api.app import Edge
from backend.callbacks import consume_wechat_push
from backend.partners import Partners
from backend.partners.sandbox import Sandbox, serving
from backend.partners.wechat.port import SubscribeMessage, TemplateMessage
from backend.partners.wechat.sandbox.messages import follow, popup, withdraw
from backend.partners.wechat.sandbox.pushing import EventFault
from backend.partners.wechat.sandbox.world import Persona, Template
from models.callbacks import InboundMessage
from models.events import EventRecord


@pytest.fixture
async def service(app: Litestar, partners: Partners, sandbox: Sandbox) -> AsyncIterator[str]:
    """Our API over real HTTP; both accounts push to it."""
    subscriber = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{subscriber.getsockname()[1]}"
    async with serving(Edge(app), subscriber):
        sandbox.push_to(f"{base}/v1/callbacks/wechat", gap=0.01)
        yield base


@pytest.fixture
def resident(sandbox: Sandbox) -> Persona:
    sandbox.world.mini_program.templates["T1"] = Template("T1", "办件进度通知", ("thing1",))
    sandbox.world.official_account.templates["O1"] = Template("O1", "办件进度通知", ("thing1",))
    return sandbox.world.persona("陈静")


async def stored() -> list[tuple[str, str, Any]]:
    """Account, event and list of everything that was pushed, in order."""
    pushes = [await consume_wechat_push(each.id) for each in await InboundMessage.all().order_by("id")]
    return [(each.account, each.event, each.content.get("List")) for each in pushes if each is not None]


@pytest.mark.parametrize("mode", ["compat", "safe"])
@pytest.mark.parametrize("writing", ["json", "xml"])
async def test_consent_and_its_use_are_pushed(
    sandbox: Sandbox, partners: Partners, service: str, resident: Persona, mode: Any, writing: Any
):
    for app in sandbox.world.apps:
        app.push.mode, app.push.written = mode, writing

    popup(sandbox.world, sandbox.pusher, resident, {"T1": "accept", "T2": "reject"})
    await sandbox.world.settle()
    sent = await partners.wechat.send_subscribe_message(
        SubscribeMessage(openid=resident.openid, template_id="T1", data={"thing1": "已受理"})
    )
    await sandbox.world.settle()
    withdraw(sandbox.world, sandbox.pusher, resident, ["T1"])
    await sandbox.world.settle()

    first, second, third = await stored()
    assert first[:2] == ("mini_program", "subscribe_msg_popup_event")
    assert [(each["TemplateId"], each["SubscribeStatusString"]) for each in first[2]] == [
        ("T1", "accept"),
        ("T2", "reject"),
    ]
    assert second[1:] == (
        "subscribe_msg_sent_event",
        [{"TemplateId": "T1", "MsgID": sent.message_id, "ErrorCode": "0", "ErrorStatus": "success"}],
    )
    assert third[1:] == (
        "subscribe_msg_change_event",
        [{"TemplateId": "T1", "SubscribeStatusString": "reject"}],
    )


@pytest.mark.parametrize(("rejects", "status"), [(False, "success"), (True, "failed:user block")])
async def test_the_fate_of_a_template_message_is_pushed(
    sandbox: Sandbox, partners: Partners, service: str, resident: Persona, rejects: bool, status: str
):
    resident.follows, resident.rejects_account = True, rejects

    sent = await partners.wechat.send_template_message(
        TemplateMessage(openid=resident.oa_openid, template_id="O1", data={"thing1": "已受理"}, reference="r1")
    )
    await sandbox.world.settle()

    push = await consume_wechat_push((await InboundMessage.get()).id)
    assert push is not None
    assert (push.account, push.event, push.openid) == (
        "official_account",
        "TEMPLATESENDJOBFINISH",
        resident.oa_openid,
    )
    assert (push.content["MsgID"], push.content["Status"]) == (sent.message_id, status)
    assert len(sandbox.world.delivered) == (0 if rejects else 1)


async def test_following_and_leaving_are_pushed(sandbox: Sandbox, service: str, resident: Persona):
    follow(sandbox.world, sandbox.pusher, resident, True)
    await sandbox.world.settle()
    follow(sandbox.world, sandbox.pusher, resident, False)
    await sandbox.world.settle()

    assert [event for _, event, _ in await stored()] == ["subscribe", "unsubscribe"]


async def test_a_push_sent_again_although_answered_is_one_push(sandbox: Sandbox, service: str, resident: Persona):
    sending = sandbox.pusher.event(sandbox.world.mini_program, resident, "debug_demo", fault=EventFault(copies=3))
    await sandbox.world.settle()

    assert [each.answer for each in sending.attempts] == ["200"] * 3
    assert await EventRecord.filter(name="wechat.pushed").count() == 1


@pytest.mark.parametrize(
    "fault", [EventFault(bad_signature=True), EventFault(wrong_appid=True), EventFault(stale_seconds=999)]
)
async def test_a_push_that_is_refused_is_tried_three_times_in_all(
    sandbox: Sandbox, service: str, resident: Persona, fault: EventFault
):
    sending = sandbox.pusher.event(sandbox.world.mini_program, resident, "debug_demo", fault=fault)
    await sandbox.world.settle()

    assert [each.answer for each in sending.attempts] == ["403"] * 3
    assert not sending.arrived
    assert await InboundMessage.all().count() == 0


async def test_while_we_are_down_wechat_tries_three_times(sandbox: Sandbox, resident: Persona):
    sandbox.push_to("http://127.0.0.1:9/v1/callbacks/wechat", gap=0.01)

    sending = sandbox.pusher.event(sandbox.world.mini_program, resident, "debug_demo")
    await sandbox.world.settle()

    assert len(sending.attempts) == 3
    assert not sending.arrived


async def test_the_test_control_plays_a_whole_day(sandbox: Sandbox, service: str):
    async with httpx.AsyncClient(base_url=sandbox.base + "/sandbox") as control:

        async def ask(method: str, path: str, json: Any = None, status: int | None = None) -> Any:
            answer = await control.request(method, path, json=json)
            assert answer.status_code == (status or (201 if method == "POST" else 200)), answer.text
            return answer.json()

        made = await ask("POST", "/personas", {"name": "陈静", "phone": "13912345678"})
        assert (await ask("POST", "/personas", {"name": "陈静"}))["openid"] == made["openid"]
        code = await ask("POST", "/personas/陈静/login-code")
        phone = await ask("POST", "/personas/陈静/phone-code")
        await ask("POST", "/templates", {"template_id": "T1", "title": "办件进度通知", "keys": ["thing1"]})
        after = await ask("POST", "/personas/陈静/popup", {"answers": {"T1": "accept"}})
        followed = await ask("POST", "/personas/陈静/follow")
        left = await ask("POST", "/personas/陈静/unfollow")
        await ask("POST", "/personas/陈静/withdraw", {"template_ids": ["T1"]})
        await ask("POST", "/personas/陈静/events", {"event": "debug_demo", "fields": {"debug_str": "x"}, "copies": 2})
        settled = await ask("POST", "/settle")
        sealed = await ask("POST", "/personas/陈静/user-data", {"nickName": "静静"})

        assert code["code"] != phone["code"]
        assert after["quota"] == {"T1": 1}
        assert (followed["follows"], left["follows"]) == (True, False)
        assert settled == {"pushes": 5, "arrived": 5}
        assert set(sealed) == {"encryptedData", "iv"}
        assert len(await ask("GET", "/personas")) == 1
        assert len(await ask("GET", "/pushes")) == 5
        assert await ask("GET", "/sent") == []
        assert (await ask("PATCH", "/personas/陈静", {"blocked": True}))["blocked"] is True
        assert (await ask("POST", "/faults", {"mode": "errcode", "number": -1}))["faults"] == 1
        assert (await ask("DELETE", "/faults"))["faults"] == 0
        assert (await ask("PUT", "/push", {"mode": "compat", "written": "xml"}))["mode"] == "compat"
        assert (await ask("PUT", "/rules", {"send_seconds": 0.5, "open_templates": True}))["open_templates"]
        assert (await ask("POST", "/time", {"seconds": 60}))["now"]
        assert (await ask("POST", "/tokens/kill"))["asks"] == 0
        assert (await ask("PUT", "/sms/rules", {"blocked": ["+8613800000001"], "advance_seconds": 5}))["now"]
        assert await ask("GET", "/sms/sent") == []
        await ask("POST", "/personas", {"nickname": "x"}, status=400)
    assert len(await stored()) == 5
