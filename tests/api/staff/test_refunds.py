"""Over HTTP: one asks, another agrees, and the money of another department does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from backend import jobs
from backend.partners.paying.port import ChannelRefundState
from models.payments import Payment
from tests.backend.payments.fake_channel import FakeChannel, equipped
from tests.factories.identity import a_department_id, a_staff, staff_headers_of
from tests.factories.payments import OPENID, a_fee, a_paid_payment, payment_row

PAYMENTS, REFUNDS = "/v1/staff/payments", "/v1/staff/refunds"
CARD = {"bank": "ICBC_DEBIT", "number": "6222020200112230119", "name": "田秀英"}


class Office(NamedTuple):
    """A payment of a department, and what opens the door for two of its staff and for one of another department."""

    payment: Payment
    first: dict[str, str]
    second: dict[str, str]
    stranger: dict[str, str]


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


async def an_office(fen: int = 50_000) -> Office:
    department = await a_department_id()
    payment = await a_paid_payment(await a_fee(department_id=department, unit_fen=fen))
    both = ("refunds.request", "refunds.approve")
    people = [await a_staff(department_id=each, duties=both) for each in (department, department, None)]
    return Office(payment, *(staff_headers_of(each) for each in people))


async def asked(
    client: httpx.AsyncClient,
    office: Office,
    fen: int,
    *,
    key: str | None = "k1",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    sent = {**(headers or office.first), **({"Idempotency-Key": key} if key else {})}
    body = {"amount_fen": fen, "reason": "多收工本费"}
    return await client.post(f"{PAYMENTS}/{office.payment.number}/refunds", json=body, headers=sent)


async def moved(
    client: httpx.AsyncClient, number: str, move: str, headers: dict[str, str], body: dict[str, Any] | None = None
) -> httpx.Response:
    return await client.post(f"{REFUNDS}/{number}/{move}", headers=headers, json=body)


async def test_one_asks_another_agrees_and_it_goes_to_the_channel(client: httpx.AsyncClient, channel: FakeChannel):
    office = await an_office()
    answer = await asked(client, office, 30_000)
    number = answer.json()["number"]
    waiting = await client.get(REFUNDS, params={"state": "requested"}, headers=office.second)
    own = await moved(client, number, "approval", office.first)

    agreed = await moved(client, number, "approval", office.second)
    await jobs.drain()
    trail = (await client.get(f"{PAYMENTS}/{office.payment.number}", headers=office.first)).json()

    assert (answer.status_code, answer.json()["state"]) == (201, "requested")
    assert [each["number"] for each in waiting.json()["items"]] == [number]
    assert (own.status_code, own.json()["code"]) == (403, "refund-own-request")
    assert (agreed.status_code, agreed.json()["state"]) == (200, "approved")
    assert (trail["refundable_fen"], trail["refunding_fen"]) == (20_000, 30_000)
    assert [each["to_state"] for each in trail["transitions"] if each["entity"] == "refund"] == [
        "requested",
        "approved",
        "processing",
    ]
    assert OPENID not in str(trail)


async def test_a_double_tap_asks_once(client: httpx.AsyncClient, channel: FakeChannel):
    office = await an_office()

    answers = await asyncio.gather(*(asked(client, office, 1_000) for _ in range(5)))
    again = await asked(client, office, 1_000)

    assert {each.status_code for each in answers} <= {201, 409}
    assert again.headers["idempotency-replayed"] == "true"
    assert (await payment_row(office.payment.number))["refunding_fen"] == 1_000
    assert (await asked(client, office, 1_000, key=None)).status_code == 400
    assert (await asked(client, office, 2_000)).status_code == 422


async def test_twenty_requests_at_once_never_promise_more_than_was_paid(
    client: httpx.AsyncClient, channel: FakeChannel
):
    office = await an_office(10_000)

    answers = await asyncio.gather(*(asked(client, office, 900, key=f"k{each}") for each in range(20)))

    codes = sorted(each.status_code for each in answers)
    assert codes == [201] * 11 + [409] * 9
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"refund-too-much"}
    assert (await payment_row(office.payment.number))["refunding_fen"] == 9_900


async def test_another_department_is_answered_as_if_there_were_nothing(client: httpx.AsyncClient, channel: FakeChannel):
    office = await an_office()
    number = (await asked(client, office, 30_000)).json()["number"]
    stranger = office.stranger

    refused = [
        await client.get(f"{PAYMENTS}/{office.payment.number}", headers=stranger),
        await asked(client, office, 100, headers=stranger),
        await client.get(f"{REFUNDS}/{number}", headers=stranger),
        await moved(client, number, "approval", stranger),
        await moved(client, number, "rejection", stranger, {"reason": "不同意"}),
        await moved(client, number, "repetition", stranger),
        await moved(client, number, "card", stranger, CARD),
    ]

    assert {each.status_code for each in refused} == {404}
    for address in (PAYMENTS, REFUNDS):
        assert (await client.get(address, headers=stranger)).json()["items"] == []


async def test_without_the_duties_nothing_is_seen_or_moved(client: httpx.AsyncClient):
    office = await an_office()
    idle = staff_headers_of(await a_staff(duties=["fees.manage"]))

    for address in (PAYMENTS, REFUNDS, f"{PAYMENTS}/{office.payment.number}", f"{REFUNDS}/R1"):
        answer = await client.get(address, headers=idle)
        assert (answer.status_code, answer.json()["code"]) == (403, "duty-missing")
    assert (await asked(client, office, 100, headers=idle)).status_code == 403


async def test_lists_go_on_from_page_to_page(client: httpx.AsyncClient, channel: FakeChannel):
    office = await an_office()
    numbers = [(await asked(client, office, 100, key=f"k{each}")).json()["number"] for each in range(5)]

    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        given = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get(REFUNDS, params=given, headers=office.first)).json()
        seen += [each["number"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert seen == numbers[::-1]
    assert cursor is None
    others = await client.get(PAYMENTS, params={"cursor": "x"}, headers=office.first)
    assert others.status_code == 422


async def test_a_refusal_frees_the_amount(client: httpx.AsyncClient, channel: FakeChannel):
    office = await an_office()
    number = (await asked(client, office, 50_000)).json()["number"]
    too_much = await asked(client, office, 1, key="k2")

    refused = await moved(client, number, "rejection", office.second, {"reason": "依据不足"})
    again = await asked(client, office, 50_000, key="k3")

    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund-too-much")
    assert (refused.json()["state"], refused.json()["problem"]) == ("rejected", "依据不足")
    assert again.status_code == 201


async def test_an_abnormal_refund_is_repeated_or_goes_to_a_card_that_is_never_shown(
    client: httpx.AsyncClient, channel: FakeChannel
):
    office = await an_office()
    channel.answers = ChannelRefundState.ABNORMAL
    number = (await asked(client, office, 1_000)).json()["number"]
    await jobs.drain()
    abnormal = (await client.get(f"{REFUNDS}/{number}", headers=office.second)).json()

    repeated = await moved(client, number, "repetition", office.second)
    await jobs.drain()
    sent = await moved(client, number, "card", office.second, CARD)

    assert (abnormal["state"], abnormal["to_card"]) == ("abnormal", True)
    assert repeated.json()["state"] == "processing"
    assert (sent.status_code, sent.json()["state"]) == (200, "processing")
    assert CARD["number"] not in sent.text
    assert list(channel.refunds) == [number]


@pytest.mark.parametrize(
    "body",
    [
        {"amount_fen": 0, "reason": "多收"},
        {"amount_fen": -1, "reason": "多收"},
        {"amount_fen": 1.5, "reason": "多收"},
        {"amount_fen": "100", "reason": "多收"},
        {"amount_fen": 100},
        {"amount_fen": 100, "reason": "x" * 81},
        {"amount_fen": 100, "reason": "多收", "number": "R1"},
    ],
    ids=str,
)
async def test_a_request_that_cannot_be_is_refused(client: httpx.AsyncClient, body: dict[str, Any]):
    office = await an_office()

    answer = await client.post(
        f"{PAYMENTS}/{office.payment.number}/refunds", json=body, headers={**office.first, "Idempotency-Key": "k"}
    )

    assert answer.status_code == 422
    assert (await payment_row(office.payment.number))["refunding_fen"] == 0
