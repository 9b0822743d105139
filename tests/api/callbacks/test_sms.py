"""`/v1/callbacks/sms/…`: receipts of texts, stored once, answered in each gateway's dialect, worked off later."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend import clock, jobs
from backend.crypto import fingerprint
from backend.database import execute, fetch, fetch_row, fetch_value
from backend.partners.sandbox import Sandbox
from backend.partners.sms.sandbox.pushing import Receipt, ReceiptFault, written
from backend.partners.sms.sandbox.world import DEFAULTS
from backend.settings import using
from models.callbacks import InboundMessage
from notifications import delivering, receipts
from tests.factories.notifications import a_message, a_reachable_resident, partners_in_the_sandbox

BASE, TOKEN = "/v1/callbacks/sms", DEFAULTS["sms_push_token"]
ANSWERS = {"tencent": {"result": 0, "errmsg": "OK"}, "aliyun": {"code": 0, "msg": "成功"}}


@asynccontextmanager
async def gateway(name: str) -> AsyncIterator[Sandbox]:
    async with partners_in_the_sandbox(sms_provider=name) as sandbox:
        yield sandbox


@pytest.fixture(params=["tencent", "aliyun"])
async def sandbox(request: pytest.FixtureRequest, _clean: None) -> AsyncIterator[Sandbox]:
    """A gateway of each kind, holding its receipts until they are pushed by hand."""
    async with gateway(request.param) as served:
        yield served


async def a_text(sandbox: Sandbox) -> tuple[UUID, Receipt]:
    """A message that went out as a text, and its receipt."""
    resident, _ = await a_reachable_resident(sandbox.world, phone=True)
    message = await a_message(resident, "case_rejected")
    await jobs.drain()
    return message, sandbox.sms.receipts[-1]


async def pushed(client: httpx.AsyncClient, *receipts: Receipt, token: str = TOKEN, name: str = "") -> httpx.Response:
    return await client.post(f"{BASE}/{name or receipts[0].gateway}/{token}", content=written(receipts))


async def worked(*, later: bool = False) -> None:
    """The worker has done everything that is due, or with `later` everything that waits."""
    await jobs.drain()
    while later and await execute("UPDATE pgqueuer SET execute_after = now() WHERE execute_after > now()"):
        await jobs.drain()


async def stands(message: UUID) -> tuple[Any, ...]:
    row = await fetch_row("SELECT state, channel FROM messages WHERE id = $1", message)
    receipts = await fetch("SELECT receipt FROM message_attempts WHERE message_id = $1 AND channel = 'sms'", message)
    assert row is not None
    return (*row, [each["receipt"] for each in receipts])


async def test_a_receipt_is_stored_once_answered_in_the_gateways_words_and_worked_off_later(
    client: httpx.AsyncClient, sandbox: Sandbox
):
    message, receipt = await a_text(sandbox)

    answers = [await pushed(client, receipt) for _ in range(3)]

    assert [(each.status_code, each.json()) for each in answers] == [(200, ANSWERS[receipt.gateway])] * 3
    assert await stands(message) == ("sent", "sms", [""])
    await worked()
    assert await stands(message) == ("sent", "sms", ["success"])
    [row] = await fetch("SELECT partner, state, body FROM inbound_messages")
    assert (row["partner"], row["state"]) == (f"{receipt.gateway}-sms", "handled")
    assert receipt.phone[-11:] not in row["body"]


async def test_a_text_that_did_not_arrive_falls_back_to_the_inbox(client: httpx.AsyncClient, sandbox: Sandbox):
    message, receipt = await a_text(sandbox)
    receipt.fault = ReceiptFault(outcome="failed", code="MK:0001")

    await pushed(client, receipt)
    await worked()

    assert await stands(message) == ("inbox", "inbox", ["failed:MK:0001"])


async def test_what_has_arrived_does_not_fail_afterwards(client: httpx.AsyncClient, sandbox: Sandbox):
    message, receipt = await a_text(sandbox)
    await pushed(client, receipt)
    await worked()
    receipt.fault = ReceiptFault(outcome="failed", code="MK:0001")

    await pushed(client, receipt)
    await worked()

    assert await stands(message) == ("sent", "sms", ["success"])


async def test_a_failure_that_is_corrected_later_shows_that_the_phone_had_it_after_all(
    client: httpx.AsyncClient, sandbox: Sandbox
):
    message, receipt = await a_text(sandbox)
    arrived = receipt.fault
    for receipt.fault in (ReceiptFault(outcome="failed", code="MK:0001"), arrived):
        await pushed(client, receipt)
        await worked()

    assert await stands(message) == ("inbox", "inbox", ["success"])


async def test_many_receipts_in_one_push_find_their_messages_and_unknown_ones_disturb_no_other(
    client: httpx.AsyncClient, sandbox: Sandbox
):
    found = [await a_text(sandbox) for _ in range(3)]
    stranger = Receipt(
        found[0][1].gateway, "never-sent", "no-id", "+8613999999999", sandbox.sms.now(), ReceiptFault(outcome="failed")
    )
    before = receipts.UNMATCHED._value.get()

    await pushed(client, found[2][1], stranger, found[0][1], found[1][1])
    await worked(later=True)

    assert [await stands(message) for message, _ in found] == [("sent", "sms", ["success"])] * 3
    assert receipts.UNMATCHED._value.get() == before + 1


async def test_the_gateways_own_id_decides_whose_receipt_it_is_and_not_the_phone(
    client: httpx.AsyncClient, sandbox: Sandbox
):
    """A phone may belong to another resident by now, and gateways spell it in several forms."""
    (message, receipt), (_, of_another) = await a_text(sandbox), await a_text(sandbox)
    mixed = Receipt(receipt.gateway, receipt.serial, "", of_another.phone, receipt.at, receipt.fault)

    await pushed(client, mixed)
    await worked(later=True)

    assert await stands(message) == ("sent", "sms", ["success"])


async def test_a_receipt_that_comes_before_the_answer_is_looked_at_again(client: httpx.AsyncClient, sandbox: Sandbox):
    message, receipt = await a_text(sandbox)
    await execute("UPDATE message_attempts SET partner_id = '' WHERE channel = 'sms'")
    await pushed(client, receipt)
    await worked()
    assert await stands(message) == ("sent", "sms", [""])

    await execute("UPDATE message_attempts SET partner_id = $1 WHERE channel = 'sms'", receipt.serial)
    await worked(later=True)

    assert await stands(message) == ("sent", "sms", ["success"])


async def test_a_receipt_is_the_answer_when_the_answer_was_lost(client: httpx.AsyncClient, sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world, phone=True)
    await execute(
        "UPDATE residents SET phone_fingerprint = $2 WHERE id = $1", resident.id, fingerprint(persona.phone, "phone")
    )
    sandbox.world.faults.add("/", "drop_reply", times=1)
    message = await a_message(resident, "case_rejected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "retry_delay", lambda schedule, failures: 60.0)
        await jobs.drain()
    assert (await stands(message))[:2] == ("pending", "sms")

    await pushed(client, sandbox.sms.receipts[-1])
    await worked()

    assert await stands(message) == ("sent", "sms", ["success"])
    assert len(sandbox.sms.texts) == 1


@pytest.mark.parametrize(("name", "token"), [("tencent", "x" * 33), ("unknown", TOKEN), ("aliyun", TOKEN + "x")])
async def test_without_the_secret_address_nothing_is_found(client: httpx.AsyncClient, name: str, token: str):
    receipt = Receipt("tencent", "s1", "", "+8613800000001", clock.now(), ReceiptFault())
    with using(sms_push_token=TOKEN):
        answer = await pushed(client, receipt, name=name, token=token)
        nowhere = await client.post("/v1/callbacks/nowhere", content=b"[]")

    assert answer.status_code == nowhere.status_code == 404
    assert answer.json()["type"] == nowhere.json()["type"]
    assert await InboundMessage.all().count() == 0


async def test_without_a_token_there_is_no_address_at_all(client: httpx.AsyncClient):
    receipt = Receipt("tencent", "s1", "", "+8613800000001", clock.now(), ReceiptFault())

    for token in ("", "x", "%20"):
        assert (await pushed(client, receipt, token=token)).status_code in (404, 405)


async def test_only_the_gateways_networks_are_let_in_where_they_are_known(client: httpx.AsyncClient):
    receipt = Receipt("tencent", "s1", "", "+8613800000001", clock.now(), ReceiptFault())

    with using(sms_push_token=TOKEN, sms_push_networks="203.0.113.0/24"):
        outside = await pushed(client, receipt)
    with using(sms_push_token=TOKEN, sms_push_networks="203.0.113.0/24, 127.0.0.0/8"):
        inside = await pushed(client, receipt)

    assert (outside.status_code, inside.status_code) == (404, 200)


@pytest.mark.parametrize("name", ["tencent", "aliyun"])
async def test_what_cannot_be_stored_is_asked_for_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: Any
):
    receipt = Receipt(name, "s1", "", "+8613800000001", clock.now(), ReceiptFault())

    async def down(*_: Any) -> bool:
        raise ConnectionRefusedError

    monkeypatch.setattr("backend.callbacks.sms._store", down)
    with using(sms_push_token=TOKEN):
        answer = await pushed(client, receipt)

    assert answer.status_code == 503
    assert set(answer.json()) == set(ANSWERS[name])
    assert answer.json() != ANSWERS[name]


BYTES = st.binary(max_size=64) | st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
).map(lambda value: json.dumps(value).encode())


@given(name=st.sampled_from(["tencent", "aliyun"]), body=BYTES)
@settings(max_examples=60, deadline=timedelta(seconds=20), suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_hostile_body_never_breaks_us(client: httpx.AsyncClient, name: str, body: bytes):
    with using(sms_push_token=TOKEN):
        answer = await client.post(f"{BASE}/{name}/{TOKEN}", content=body)

    assert answer.status_code == 400
    assert await fetch_value("SELECT count(*) FROM inbound_messages") == 0


async def test_the_gateway_pushes_by_itself_until_it_is_taken(client: httpx.AsyncClient, sandbox: Sandbox):
    tried: list[str] = []

    async def post(url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        tried.append(url)
        if len(tried) == 1:
            raise ConnectionRefusedError
        answer = await pushed(client, sandbox.sms.receipts[-1])
        return answer.status_code, answer.content

    sandbox.sms.push.post = post
    sandbox.push_to("http://127.0.0.1:9/v1/callbacks/wechat", gap=0.01)
    message, _ = await a_text(sandbox)
    while sandbox.sms.background:
        await next(iter(sandbox.sms.background))
    await worked()

    assert sandbox.sms.push.url.endswith(f"/v1/callbacks/sms/{sandbox.values.sms_provider}/{TOKEN}")
    assert sandbox.sms.receipts[-1].attempts == ["ConnectionRefusedError", "taken"]
    assert await stands(message) == ("sent", "sms", ["success"])
