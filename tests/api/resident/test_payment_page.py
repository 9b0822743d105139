"""`GET /v1/resident/payments/{number}`: where the money is, for the payer only."""

from __future__ import annotations

import httpx

from backend import clock
from backend.database import transaction
from backend.payments.refunding import refund_remainder
from models.payments import RefundCause
from tests.factories.identity import a_resident, headers_of
from tests.factories.payments import OPENID, a_fee, a_paid_payment

BASE = "/v1/resident/payments"


async def test_the_payer_reads_every_step_in_fen_and_in_words(client: httpx.AsyncClient):
    resident = await a_resident()
    payment = await a_paid_payment(await a_fee(resident_id=resident.id))

    answer = await client.get(f"{BASE}/{payment.number}", headers=headers_of(resident))

    body = answer.json()
    assert answer.status_code == 200
    assert [each["step"] for each in body["steps"]] == ["ordered", "paid", "accepted"]
    assert (body["amount_fen"], body["amount"], body["where"]) == (2000, "20.00元", "钱已到账，并计入费用。")
    assert all(each["at"].endswith("+08:00") for each in body["steps"])
    assert OPENID not in answer.text
    assert payment.merchant_id not in answer.text


async def test_a_page_that_has_not_changed_is_not_sent_again(client: httpx.AsyncClient):
    resident = await a_resident()
    payment = await a_paid_payment(await a_fee(resident_id=resident.id))
    headers = headers_of(resident)
    first = await client.get(f"{BASE}/{payment.number}", headers=headers)
    headers["If-None-Match"] = first.headers["etag"]

    unchanged = await client.get(f"{BASE}/{payment.number}", headers=headers)
    async with transaction():
        await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")
    changed = await client.get(f"{BASE}/{payment.number}", headers=headers)

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.json()["refunding"] == "20.00元"


async def test_another_residents_payment_is_answered_like_none_at_all(client: httpx.AsyncClient):
    payment, stranger = await a_paid_payment(), await a_resident()
    headers = headers_of(stranger)

    others = await client.get(f"{BASE}/{payment.number}", headers=headers)
    nobodys = await client.get(f"{BASE}/P{clock.today():%Y%m%d}BBBBBBBBBBBBBBBB", headers=headers)

    assert (others.status_code, nobodys.status_code) == (404, 404)
    assert others.json()["code"] == "payment-not-found"
    assert {name: others.json()[name] for name in ("code", "title")} == {
        name: nobodys.json()[name] for name in ("code", "title")
    }


async def test_without_a_session_nothing_is_revealed(client: httpx.AsyncClient):
    payment = await a_paid_payment()

    assert (await client.get(f"{BASE}/{payment.number}")).status_code == 401
