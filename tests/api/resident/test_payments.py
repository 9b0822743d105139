"""Residents see what they owe, pay it once however often they tap, and see what they paid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from backend import partners as in_use
from backend import payments
from backend.database import execute
from backend.identity import AsResident
from backend.partners import Partners
from backend.partners.paying.port import ChannelOrderState, PartnerUnreachable
from models.payments import Fee, Payment
from tests.factories.appointments import somebody
from tests.factories.cases import PHONE, a_case, a_resident_with_phone
from tests.factories.identity import a_delegation, a_resident, headers_of
from tests.factories.payments import a_fee, a_paid_payment, payment_row
from tests.factories.till import Till, with_tills

BASE = "/v1/resident/payments"


@pytest.fixture
def till(app: Litestar) -> Iterator[Till]:
    """WeChat Pay in memory, in the application and in jobs."""
    each = Till()
    app.state["partners"] = Partners(wechat=None, sms=None, wire=None, channels=with_tills(each))  # type: ignore[arg-type]
    yield each
    in_use.equip(None)


async def pay(client: httpx.AsyncClient, who: AsResident, fee: Fee, key: str | None = None, **body: Any) -> Any:
    """`key` empty sends none, and None a fresh one."""
    headers = headers_of(who) | ({} if key == "" else {"Idempotency-Key": key or str(uuid4())})
    return await client.post(BASE, json={"fee_id": str(fee.id), **body}, headers=headers)


async def owing(**changes: Any) -> tuple[AsResident, Fee]:
    resident = await a_resident()
    return resident, await a_fee(resident_id=resident.id, **changes)


async def test_paying_answers_what_the_dialogue_needs(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()

    answer = await pay(client, resident, fee)

    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["amount_fen"], body["retry_after"]) == ("prepaid", 2000, None)
    assert body["parameters"]["package"] == f"prepay_id={till.orders[body['number']].prepay_id}"


async def test_the_same_key_goes_on_with_the_same_order_and_says_so(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()

    first = await pay(client, resident, fee, "key-1")
    again = await pay(client, resident, fee, "key-1")
    other_key = await pay(client, resident, fee, "key-2")

    assert {each.json()["number"] for each in (first, again, other_key)} == {first.json()["number"]}
    assert first.json()["parameters"]["nonceStr"] != again.json()["parameters"]["nonceStr"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(till.orders) == 1


async def test_a_key_is_needed_and_stands_for_one_content(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()
    other = await a_fee(resident_id=resident.id)

    missing = await pay(client, resident, fee, "")
    await pay(client, resident, fee, "key-1")
    reused = await pay(client, resident, other, "key-1")

    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency-key-missing")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
    assert await Payment.filter(fee_id=other.id).count() == 0


async def test_two_devices_at_once_make_one_order(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()

    answers = await asyncio.gather(*(pay(client, resident, fee) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["number"] for answer in answers}) == 1
    assert len(till.orders) == 1


async def test_a_client_cannot_say_how_much_or_who(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()

    for smuggled in ({"amount_fen": 1}, {"openid": "o1"}, {"payer": {"openid": "o1"}}, {"total": 1}):
        answer = await pay(client, resident, fee, **smuggled)
        assert answer.status_code == 422

    assert await Payment.all().count() == 0


async def test_with_a_silent_channel_the_payment_is_to_be_continued(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()
    till.lose("place")

    unanswered = await pay(client, resident, fee, "key-1")
    answered = await pay(client, resident, fee, "key-1")

    assert unanswered.status_code == answered.status_code == 201
    assert (unanswered.json()["parameters"], unanswered.json()["retry_after"]) == (None, 2)
    assert answered.json()["parameters"] is not None
    assert len(till.orders) == 1


async def test_another_residents_fee_does_not_exist(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()
    other = await a_resident()

    foreign = await pay(client, other, fee)
    random = await pay(client, other, Fee(id=uuid4()))

    assert foreign.status_code == random.status_code == 404
    assert foreign.json()["code"] == random.json()["code"] == "fee-not-found"
    assert resident.id != other.id


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({"channel": "unionpay"}, 422, "payment-channel-invalid"), ({"channel": ""}, 422, "invalid")],
)
async def test_a_channel_that_is_not_offered_is_refused(
    client: httpx.AsyncClient, till: Till, body: dict[str, str], status: int, code: str
):
    resident, fee = await owing()

    answer = await pay(client, resident, fee, **body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_what_is_settled_and_what_is_over_are_distinguished(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing(state="waived", reason="-")
    other, open_fee = await owing()
    first = await pay(client, other, open_fee, "key-1")
    till.orders[first.json()["number"]].state = ChannelOrderState.CLOSED
    await in_use_close(first.json()["number"])

    settled = await pay(client, resident, fee)
    over = await pay(client, other, open_fee, "key-1")
    anew = await pay(client, other, open_fee, "key-2")

    assert (settled.status_code, settled.json()["code"]) == (409, "fee-not-open")
    assert (over.status_code, over.json()["code"]) == (409, "payment-closed")
    assert anew.status_code == 201
    assert anew.json()["number"] != first.json()["number"]


async def in_use_close(number: str) -> None:
    """The sweeper learns that the channel has closed the order."""
    await payments.check_payment(number)
    assert (await payment_row(number))["state"] == "closed"


async def test_a_channel_that_cannot_close_the_old_order_asks_for_patience(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()
    first = (await pay(client, resident, fee)).json()["number"]
    await execute("UPDATE payments SET expires_at = now() - interval '1 second' WHERE number = $1", first)
    till.fail("close", PartnerUnreachable("x", "timeout", maybe_done=True))

    answer = await pay(client, resident, fee)

    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (409, "payment-being-made", True)


async def test_lists_hold_ones_own_page_by_page(client: httpx.AsyncClient, till: Till):
    resident, fee = await owing()
    await a_paid_payment(fee, resident_id=resident.id)
    await a_fee(resident_id=resident.id, name="复制费")
    await a_fee(resident_id=(await somebody()).id)
    headers = headers_of(resident)

    fees = (await client.get("/v1/resident/fees?limit=1", headers=headers)).json()
    rest = (await client.get(f"/v1/resident/fees?cursor={fees['next_cursor']}", headers=headers)).json()
    open_ = (await client.get("/v1/resident/fees?state=open", headers=headers)).json()
    paid = (await client.get(BASE, headers=headers)).json()

    assert [each["name"] for each in fees["items"]] == ["复制费"]
    assert [(each["name"], each["state_name"]) for each in rest["items"]] == [("居民身份证工本费", "已缴")]
    assert [each["name"] for each in open_["items"]] == ["复制费"]
    assert [(each["state"], each["channel_name"], each["paid_fen"]) for each in paid["items"]] == [
        ("paid", "微信支付", 2000)
    ]
    assert (await client.get("/v1/resident/fees?cursor=x", headers=headers)).status_code == 422


async def test_the_fees_of_a_case_stand_beside_it(client: httpx.AsyncClient, till: Till):
    await a_resident_with_phone(PHONE)
    case = await a_case()
    resident = await a_resident()
    await a_fee(subject_id=case.id, resident_id=resident.id)

    foreign = await client.get(f"/v1/resident/cases/{case.number}/fees", headers=headers_of(resident))
    await type(case).filter(id=case.id).update(resident_id=resident.id)
    own = await client.get(f"/v1/resident/cases/{case.number}/fees", headers=headers_of(resident))

    assert foreign.status_code == 404
    assert [each["amount_fen"] for each in own.json()["items"]] == [2000]


async def test_a_delegate_for_payments_may_pay(client: httpx.AsyncClient, till: Till):
    principal, delegate = await a_resident(), await a_resident()
    fee = await a_fee(resident_id=principal.id)
    before = await pay(client, delegate, fee)
    await a_delegation(principal, delegate, matters=["payments"])

    after = await pay(client, delegate, fee)
    fees = await client.get("/v1/resident/fees", headers=headers_of(delegate))

    assert (before.status_code, after.status_code) == (404, 201)
    assert [each["id"] for each in fees.json()["items"]] == [str(fee.id)]
    assert (await payment_row(after.json()["number"]))["resident_id"] == delegate.id
