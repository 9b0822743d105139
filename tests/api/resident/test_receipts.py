"""A resident fetches the receipt of what they paid; the holder of the paper verifies it at a public address."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from uuid_utils.compat import uuid7

from backend import cache
from backend.identity import AsResident
from backend.payments import receipts
from models.payments import Payment
from tests.factories.identity import a_resident, headers_of
from tests.factories.payments import a_fee, a_paid_payment


async def paid_by(resident: AsResident) -> Payment:
    payment = await a_paid_payment(await a_fee(resident_id=resident.id))
    await receipts.issue_receipt(payment.id)
    return payment


async def test_the_receipt_is_a_private_pdf_that_no_cache_keeps(client: httpx.AsyncClient):
    resident = await a_resident()
    payment = await paid_by(resident)

    answer = await client.get(f"/v1/resident/payments/{payment.number}/receipt", headers=headers_of(resident))

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.content.startswith(b"%PDF-")
    assert "filename=" in answer.headers["content-disposition"]


async def test_the_same_receipt_as_data(client: httpx.AsyncClient):
    resident = await a_resident()
    payment = await paid_by(resident)

    said = (
        await client.get(f"/v1/resident/payments/{payment.number}/receipt-data", headers=headers_of(resident))
    ).json()

    assert (said["valid"], said["amount_in_capitals"], said["fiscal"]["state"]) == (True, "人民币贰拾元整", "none")
    assert said["payment_number"] == payment.number


@pytest.mark.parametrize("rest", ["receipt", "receipt-data"])
async def test_anothers_receipt_and_one_that_is_not_there_are_the_same(client: httpx.AsyncClient, rest: str):
    payment, other = await paid_by(await a_resident()), await a_resident()

    foreign = await client.get(f"/v1/resident/payments/{payment.number}/{rest}", headers=headers_of(other))
    random = await client.get(f"/v1/resident/payments/P20260302{'B' * 16}/{rest}", headers=headers_of(other))

    assert (foreign.status_code, foreign.json()["code"]) == (404, "receipt-not-found")
    assert foreign.json().keys() == random.json().keys()
    assert random.status_code == 404


async def test_what_the_qr_says_leads_to_the_proof(client: httpx.AsyncClient):
    resident = await a_resident()
    payment = await paid_by(resident)
    url = urlsplit((await receipts.get_own_receipt(resident, payment.number)).verify_url)

    answer = await client.get(f"{url.path}?{url.query}")

    assert answer.status_code == 200
    assert answer.json()["state"] == "valid"
    assert str(resident.id) not in answer.text
    assert payment.number not in answer.text


async def test_wrong_codes_and_unknown_numbers_have_one_shape(client: httpx.AsyncClient):
    payment = await paid_by(resident := await a_resident())
    number = (await receipts.get_own_receipt(resident, payment.number)).number

    wrong = await client.get(f"/v1/public/receipts/{number}?code={'B' * 16}")
    unknown = await client.get(f"/v1/public/receipts/{'S' + number[1:-1] + 'X'}?code={'B' * 16}")
    without = await client.get(f"/v1/public/receipts/{number}")

    assert wrong.status_code == unknown.status_code == 200
    assert {**wrong.json(), "number": ""} == {**unknown.json(), "number": ""}
    assert wrong.json()["state"] == "unknown"
    assert len(wrong.content) == len(unknown.content)
    assert without.status_code == 422


async def test_codes_cannot_be_tried_out(client: httpx.AsyncClient):
    answers = [await client.get(f"/v1/public/receipts/{uuid7().hex}?code=x") for _ in range(31)]

    assert [each.status_code for each in answers] == [200] * 30 + [429]
    await cache.redis().flushdb()
