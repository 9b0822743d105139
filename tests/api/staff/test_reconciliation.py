"""Staff who reconcile: they see days and differences, take a difference over, explain it, and compare a day again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from uuid_utils.compat import uuid7

from backend import clock, jobs, partners
from backend.database import fetch_value
from backend.partners import Partners
from backend.payments.reconciling import reconcile_bill
from tests.backend.payments.billing_channel import ACCOUNT, DAY, NOON, BillingChannel
from tests.factories.identity import a_staff, staff_headers_of
from tests.factories.payments import a_paid_payment


@pytest.fixture
def channel(app: Litestar) -> Iterator[BillingChannel]:
    each = BillingChannel()
    bundle = Partners(wechat=None, sms=None, wire=None, channels={"wechat_pay": each})  # type: ignore[arg-type]
    before, app.state["partners"] = app.state.get("partners"), bundle
    partners.equip(bundle)
    yield each
    partners.equip(None)
    app.state["partners"] = before


@pytest.fixture
async def difference(channel: BillingChannel) -> UUID:
    """A payment of ours of which the bill knows nothing."""
    with clock.travel(to=NOON):
        await a_paid_payment()
    await reconcile_bill(ACCOUNT, DAY, channels={"wechat_pay": channel})
    found: UUID = await fetch_value("SELECT id FROM bill_differences")
    return found


async def someone(*duties: str) -> dict[str, str]:
    return staff_headers_of(await a_staff(duties=duties or ("payments.reconcile",)))


async def test_the_days_and_their_differences_are_shown(client: httpx.AsyncClient, difference: UUID):
    headers = await someone()

    days = await client.get("/v1/staff/bill-days", headers=headers)
    listed = await client.get("/v1/staff/bill-differences?in_state=open", headers=headers)
    one = await client.get(f"/v1/staff/bill-differences/{difference}", headers=headers)

    (day,) = days.json()["items"]
    assert (day["day"], day["state"], day["open"], day["merchant_id"]) == (str(DAY), "compared", 1, ACCOUNT.holder)
    assert listed.json()["items"] == [one.json()]
    assert (one.json()["kind"], one.json()["kind_name"], one.json()["ours_fen"]) == (
        "missing-there", "我方有、平台无", 2000,
    )  # fmt: skip


async def test_a_difference_is_taken_over_and_explained_once(client: httpx.AsyncClient, difference: UUID):
    first, second = await someone(), await someone()

    taken = await client.post(f"/v1/staff/bill-differences/{difference}/owner", headers=first)
    body = {"words": "渠道当日漏列，次日账单已补"}
    resolved = await client.post(f"/v1/staff/bill-differences/{difference}/resolution", json=body, headers=second)
    again = await client.post(f"/v1/staff/bill-differences/{difference}/resolution", json=body, headers=first)
    late = await client.post(f"/v1/staff/bill-differences/{difference}/owner", headers=first)

    assert taken.json()["owner_id"] is not None
    assert (resolved.json()["state"], resolved.json()["resolution"]) == ("resolved", body["words"])
    assert resolved.json()["owner_id"] != taken.json()["owner_id"]
    assert (again.status_code, late.status_code) == (409, 409)
    assert again.json()["code"] == "bill-difference-resolved"
    names = "SELECT string_agg(name, ' ' ORDER BY id) FROM events WHERE subject_id = $1"
    assert await fetch_value(names, difference) == (
        "bill-difference.found bill-difference.taken bill-difference.resolved"
    )


@pytest.mark.usefixtures("channel")
async def test_a_difference_that_does_not_exist_is_not_found(client: httpx.AsyncClient):
    headers = await someone()

    for method, rest in (("GET", ""), ("POST", "/owner"), ("POST", "/resolution")):
        path = f"/v1/staff/bill-differences/{uuid7()}{rest}"
        answer = await client.request(method, path, headers=headers, json={"words": "核实"} if rest else None)
        assert answer.json()["code"] == "bill-difference-not-found", path


async def test_without_the_duty_nothing_is_shown(client: httpx.AsyncClient, difference: UUID):
    headers = await someone("cases.read")

    for path in ("/v1/staff/bill-days", "/v1/staff/bill-differences", f"/v1/staff/bill-differences/{difference}"):
        assert (await client.get(path, headers=headers)).status_code == 403


async def test_a_day_can_be_compared_again(client: httpx.AsyncClient, channel: BillingChannel):
    noon = (clock.now() - timedelta(days=3)).astimezone(clock.SHANGHAI).replace(hour=12)
    payment = await a_paid_payment(paid_at=noon)
    await reconcile_bill(ACCOUNT, noon.date(), channels={"wechat_pay": channel})
    channel.paid(payment)

    body = {"day": str(noon.date())}
    queued = await client.post("/v1/staff/bill-days/comparisons", json=body, headers=await someone())
    await jobs.drain()

    assert (queued.status_code, queued.json()) == (202, {"bills": 1})
    assert await fetch_value("SELECT string_agg(state, ' ') FROM bill_differences") == "repaired"


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("days", [0, 1, -1000])
async def test_days_without_a_bill_are_refused(client: httpx.AsyncClient, days: int):
    headers = await someone()
    body = {"day": str(clock.today() + timedelta(days=days))}

    answer = await client.post("/v1/staff/bill-days/comparisons", json=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "bill-day-out-of-range")


async def test_pages_go_on_where_the_last_one_ended(client: httpx.AsyncClient, channel: BillingChannel):
    for back in range(3):
        with clock.travel(to=NOON - timedelta(days=back)):
            await a_paid_payment()
            await reconcile_bill(ACCOUNT, clock.today(), channels={"wechat_pay": channel})
    headers = await someone()

    for path in ("/v1/staff/bill-days", "/v1/staff/bill-differences"):
        first = (await client.get(f"{path}?limit=2", headers=headers)).json()
        rest = (await client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()
        assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
        assert len({each["id"] for each in first["items"] + rest["items"]}) == 3
