"""`/v1/callbacks/wechat`: verified, stored once, answered at once; every fault is a clear problem."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any
from uuid import UUID

import httpx
import pytest

from backend import clock, events, jobs
from backend.callbacks import WechatPushed
from backend.callbacks.inbound import RECEIVED
from backend.crypto import fingerprint
from backend.database import fetch, fetch_value
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.message_crypto import Envelope, signature_of
from backend.partners.wechat.sandbox import pushing
from backend.partners.wechat.sandbox.pushing import EventFault, written
from backend.partners.wechat.sandbox.world import App
from models.callbacks import InboundMessage
from models.events import EventRecord
from tests.backend.partners.wechat.test_hostile_bodies import HOSTILE

ADDRESS = "/v1/callbacks/wechat"


def an_event(app: App, openid: str = "oUser", **more: Any) -> dict[str, Any]:
    entry = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"}
    return {
        "ToUserName": app.original_id,
        "FromUserName": openid,
        "CreateTime": 1714112445,
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
        "List": [entry],
        **more,
    }


async def push(
    client: httpx.AsyncClient, app: App, fields: dict[str, Any], fault: EventFault | None = None
) -> httpx.Response:
    query, body, content_type = written(app, fields, fault or EventFault())
    return await client.post(ADDRESS, params=query, content=body, headers={"content-type": content_type})


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.status_code, answer.json()["code"]


async def nothing_was_kept() -> bool:
    return await InboundMessage.all().count() == 0 and await EventRecord.all().count() == 0


@pytest.fixture
def mini(sandbox: Sandbox, partners: Partners) -> App:
    return sandbox.world.mini_program


async def test_the_address_check_is_answered_with_the_echostr(client: httpx.AsyncClient, mini: App):
    stamp = str(clock.timestamp())
    query = {"timestamp": stamp, "nonce": "7", "signature": signature_of(mini.push.token, stamp, "7")}

    answer = await client.get(ADDRESS, params={**query, "echostr": "4375120948345356249"})

    assert (answer.status_code, answer.text) == (200, "4375120948345356249")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_forged_address_check_is_refused(client: httpx.AsyncClient, mini: App):
    answer = await client.get(
        ADDRESS, params={"timestamp": "1", "nonce": "7", "signature": "0" * 40, "echostr": "<script>"}
    )

    assert problem(answer) == (403, "wechat-push-signature-invalid")
    assert "<script>" not in answer.text


@pytest.mark.parametrize("account", ["mini_program", "official_account"])
@pytest.mark.parametrize("writing", ["json", "xml"])
async def test_a_push_is_stored_sealed_and_recorded_in_the_ledger(
    client: httpx.AsyncClient, sandbox: Sandbox, mini: App, account: str, writing: Any
):
    app = next(each for each in sandbox.world.apps if each.account == account)
    app.push.written = writing

    answer = await push(client, app, an_event(app))

    assert (answer.status_code, answer.text) == (200, "success")
    message = await InboundMessage.get()
    assert "oUser" not in message.body
    assert (message.partner, message.event, message.state) == ("wechat", "subscribe_msg_popup_event", "received")
    recorded = await EventRecord.get()
    event = json.loads(recorded.payload)
    assert (recorded.name, recorded.actor_kind, recorded.actor_id) == ("wechat.pushed", "partner", "wechat")
    assert UUID(event["message_id"]) == message.id
    assert (event["account"], event["name"]) == (account, "subscribe_msg_popup_event")
    assert event["openid_fingerprint"] == fingerprint("oUser", "openid")
    assert "oUser" not in recorded.payload


async def test_subscribers_handle_a_push_once_however_often_it_came(
    client: httpx.AsyncClient, mini: App, monkeypatch: pytest.MonkeyPatch
):
    handled: list[WechatPushed] = []

    async def handle(event: WechatPushed, meta: events.EventMeta) -> None:
        handled.append(event)

    monkeypatch.setitem(events._subscribers, WechatPushed, [events.Subscriber("test.handle", handle)])
    for _ in range(3):
        assert (await push(client, mini, an_event(mini))).text == "success"

    await jobs.drain()

    assert [each.name for each in handled] == ["subscribe_msg_popup_event"]
    assert await InboundMessage.all().count() == 1


async def test_twenty_repeats_at_once_are_one_push(client: httpx.AsyncClient, mini: App):
    answers = await asyncio.gather(*(push(client, mini, an_event(mini)) for _ in range(20)))

    assert {each.text for each in answers} == {"success"}
    assert await EventRecord.filter(name="wechat.pushed").count() == 1


async def test_a_repeat_of_the_very_same_bytes_is_one_push(client: httpx.AsyncClient, mini: App):
    query, body, content_type = written(mini, an_event(mini), EventFault())
    for _ in range(2):
        answer = await client.post(ADDRESS, params=query, content=body, headers={"content-type": content_type})
        assert answer.text == "success"

    assert await InboundMessage.all().count() == 1


async def test_events_of_one_second_that_differ_are_different_pushes(client: httpx.AsyncClient, mini: App):
    entry = {"TemplateId": "T2", "SubscribeStatusString": "reject", "PopupScene": "0"}
    await push(client, mini, an_event(mini))
    await push(client, mini, an_event(mini, List=[entry]))
    await push(client, mini, an_event(mini, Event="subscribe_msg_change_event"))
    await push(client, mini, an_event(mini, openid="oOther"))

    assert await InboundMessage.all().count() == 4


async def test_a_plain_push_is_refused_where_encryption_is_agreed(client: httpx.AsyncClient, mini: App):
    mini.push.mode = "plain"

    assert problem(await push(client, mini, an_event(mini))) == (403, "wechat-push-signature-invalid")
    assert await nothing_was_kept()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (EventFault(bad_signature=True), "wechat-push-signature-invalid"),
        (EventFault(wrong_appid=True), "wechat-push-signature-invalid"),
        (EventFault(stale_seconds=301), "wechat-push-expired"),
    ],
)
async def test_a_push_that_is_not_ours_is_refused_counted_and_logged(
    client: httpx.AsyncClient, mini: App, caplog: pytest.LogCaptureFixture, fault: EventFault, code: str
):
    before = RECEIVED.labels("wechat", code)._value.get()
    with caplog.at_level(logging.WARNING, "zhangban.security"):
        answer = await push(client, mini, an_event(mini), fault)

    assert problem(answer) == (403, code)
    assert RECEIVED.labels("wechat", code)._value.get() == before + 1
    assert [(r.__dict__["why"]) for r in caplog.records if r.name == "zhangban.security"] == [code]
    assert await nothing_was_kept()


async def test_a_parameter_given_twice_is_refused(client: httpx.AsyncClient, mini: App):
    query, body, _ = written(mini, an_event(mini), EventFault())
    pairs = [*query.items(), ("msg_signature", "0" * 40)]

    answer = await client.post(ADDRESS, params=pairs, content=body)

    assert problem(answer) == (400, "wechat-push-invalid")


async def test_every_hostile_body_is_a_quick_problem(client: httpx.AsyncClient, mini: App):
    query, _, _ = written(mini, an_event(mini), EventFault())
    for name, body in HOSTILE.items():
        started = time.process_time()
        answer = await client.post(ADDRESS, params=query, content=body, headers={"content-type": "text/xml"})

        assert time.process_time() - started < 0.1, name
        assert problem(answer)[0] in {400, 403, 413}, name
    assert await nothing_was_kept()


async def test_every_hostile_body_inside_a_well_sealed_push_is_a_problem_too(
    client: httpx.AsyncClient, mini: App, monkeypatch: pytest.MonkeyPatch
):
    envelope = Envelope(mini.push.token, mini.push.aes_key, mini.appid)
    for name, body in HOSTILE.items():
        inside = body[:40_000].decode("utf-8", "replace")
        monkeypatch.setattr(pushing, "_sealed", lambda *_, inside=inside: envelope.seal(inside))

        answer = await push(client, mini, an_event(mini))

        assert problem(answer) == (400, "wechat-push-invalid"), name
    assert await nothing_was_kept()


@pytest.mark.parametrize(
    "query", ["", "?signature=", "?timestamp=1&nonce=1&signature=%ff%fe", "?signature[]=1&timestamp=x"]
)
async def test_a_query_without_sense_is_a_problem(client: httpx.AsyncClient, mini: App, query: str):
    for answer in (await client.get(ADDRESS + query), await client.post(ADDRESS + query, content=b"{}")):
        assert problem(answer)[0] in {400, 403}


async def test_nothing_of_a_person_is_readable_in_the_table(client: httpx.AsyncClient, mini: App):
    await push(client, mini, an_event(mini))

    (row,) = await fetch("SELECT inbound_messages::text AS whole FROM inbound_messages")
    assert "oUser" not in row["whole"]
    assert await fetch_value("SELECT count(*) FROM inbound_messages") == 1
