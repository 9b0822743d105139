"""A canary's certificates come home, one by post and one from a counter: where to, what couriers said of it, the codes
and the signature stand in clear nowhere, and in no answers but theirs and those of staff who have to write an
address down (I-11)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar

from backend import auditing, invariants, jobs
from backend.database import execute, fetch_value
from backend.deliveries import dispatching, handing_over, polling
from backend.identity import AsResident
from backend.partners.courier.sandbox.pushing import CourierFault
from backend.partners.sandbox import Sandbox
from backend.settings import settings
from tests.factories.cases import a_case, a_resident_with_phone, reported
from tests.factories.catalogue import a_published_item
from tests.factories.deliveries import a_pickup_point, a_signature
from tests.factories.identity import a_delegation, a_resident, a_staff, headers_of, staff_headers_of
from tests.factories.regions import a_department, a_hall, a_region
from tests.journeys import looking
from tests.real_address import among_couriers

NAME, PHONE, STREET = "司马相如卿", "18612345679", "凤凰岭街77号翠竹苑9栋1203"
TAKER, REPORT = "卓文君夫人", "门口的大黄狗把快递员吓跑了"
OUTCOMES = [{"name": "居住证", "delivery": ["post", "pickup"]}]
STAFF = "/v1/staff/deliveries"


class Answers(NamedTuple):
    """What there is to search after two deliveries: who was answered what, and what was logged and sent."""

    secrets: dict[str, str]
    own: str
    strangers: str
    office: str
    delegates: str
    logged: str
    messages: str


@pytest.fixture
async def base(app: Litestar, sandbox: Sandbox) -> AsyncIterator[str]:
    """The service at a real address, the couriers at another."""
    async with among_couriers(app, sandbox) as (address, _):
        yield address


class Caller:
    """A client that keeps the answers."""

    def __init__(self, base: str, headers: dict[str, str]) -> None:
        self.http = httpx.AsyncClient(base_url=base, headers=headers)
        self.seen = list[str]()

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        answer = await self.http.request(method, path, json=body, headers={"Idempotency-Key": uuid4().hex}, **more)
        self.seen.append(f"{answer.headers}{answer.text}")
        return answer

    async def does(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.ask(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


async def a_decided_case(resident: AsResident, department: UUID) -> str:
    case = await a_case(item_code=await a_published_item(outcomes=OUTCOMES), number=f"CANARY{uuid4().hex[:8]}".upper())
    await execute(
        "UPDATE cases SET department_id = $2, resident_id = $3 WHERE id = $1", case.id, department, resident.id
    )
    await reported(case, "准予许可")
    await jobs.drain()
    return case.number


async def by_post(canary: Caller, desk: Caller, case: str, sandbox: Sandbox) -> tuple[str, dict[str, str]]:
    """The first one is posted with SF, which lies on the way; its number, and what SF said of its people."""
    form = {"name": NAME, "phone": PHONE, "region_code": (await a_region()).code, "street": STREET}
    address = await canary.does("POST", "/v1/resident/addresses", form)
    await canary.ask("POST", "/v1/resident/addresses", {**form, "region_code": PHONE, "nonsense": STREET})
    await canary.ask("GET", f"/v1/resident/deliveries?cursor={PHONE}&state={STREET}")
    wish = {"method": "post", "address_id": address["id"]}
    number: str = (await canary.does("POST", f"/v1/resident/cases/{case}/deliveries", wish))["number"]
    await desk.does("POST", "/v1/staff/delivery-batches", {"courier": "sf"})
    await worked()
    waybill = await fetch_value("SELECT waybill FROM shipments")
    token = settings().courier_push_token
    for kind in ("collected", "out"):
        await sandbox.couriers.travel(waybill, kind)
        await worked()
    await sandbox.couriers.forge(waybill, partner="sf", kind="signed", fault=CourierFault())
    for path in (f"sf/{token[:-1]}x", "sf", f"kuaidi100/{token}", f"sf/{token}"):
        await canary.ask("POST", f"/v1/callbacks/courier/{path}", {"x": PHONE, "Body": {"WaybillRoute": STREET}})
    await sandbox.couriers.travel(waybill, "signed")
    await worked()
    await canary.does("POST", f"/v1/resident/deliveries/{number}/problems", {"text": REPORT})
    page = await canary.does("GET", f"/v1/resident/deliveries/{number}")
    said = next(each["text"] for each in page["steps"] if each["code"] == "out_for_delivery")
    assert page["state"] == "signed"
    return number, {"courier's phone": page["courier_phone"], "courier's words": said, "push token": token}


async def worked() -> None:
    await jobs.drain()
    await polling.enqueue_due_queries()
    await jobs.drain()


async def at_the_counter(canary: Caller, desk: Caller, case: str, point: UUID) -> tuple[str, dict[str, str]]:
    """The second one is fetched; its number, the code and the signature."""
    wish = {"method": "pickup", "pickup_point_id": str(point)}
    number: str = (await canary.does("POST", f"/v1/resident/cases/{case}/deliveries", wish))["number"]
    await desk.does("POST", f"{STAFF}/{number}/readiness", {})
    code = (await canary.does("GET", f"/v1/resident/deliveries/{number}"))["pickup_code"]
    wrong = {"name": TAKER, "code": f"{(int(code) + 1) % 10**8:08d}", "signature": a_signature()}
    assert (await desk.ask("POST", f"{STAFF}/{number}/hand-over", wrong)).status_code == 403
    await desk.ask("POST", f"{STAFF}/{number}/hand-over", {**wrong, "signature": TAKER * 40})
    return number, {"pickup code": code}


@pytest.fixture
async def answers(base: str, sandbox: Sandbox, logged: io.StringIO) -> AsyncIterator[Answers]:
    department = await a_department()
    await a_hall(region=await department.region, address="政务大道88号")
    point = (await a_pickup_point(department_id=department.id)).id
    resident, delegate, stranger = await a_resident_with_phone(PHONE), await a_resident(), await a_resident()
    await a_delegation(resident, delegate, matters=["deliveries"])
    duties = [dispatching.SEND, handing_over.HAND_OVER]
    canary, friend, foreigner = (Caller(base, headers_of(each)) for each in (resident, delegate, stranger))
    desk = Caller(base, staff_headers_of(await a_staff(department_id=department.id, duties=duties)))
    foreign_desk = Caller(base, staff_headers_of(await a_staff(duties=duties)))
    posted, secrets = await by_post(canary, desk, await a_decided_case(resident, department.id), sandbox)
    fetched, more = await at_the_counter(canary, desk, await a_decided_case(resident, department.id), point)
    for number in (posted, fetched):
        await friend.does("GET", f"/v1/resident/deliveries/{number}")
        for path in (number, f"{number}/label", f"{number}/receiver"):
            assert (await foreigner.ask("GET", f"/v1/resident/deliveries/{path}")).status_code == 404
            assert (await foreign_desk.ask("GET", f"{STAFF}/{path}")).status_code == 404
        await desk.does("GET", f"{STAFF}/{number}")
    for who in (friend, foreigner):
        await who.ask("GET", "/v1/resident/deliveries")
        await who.ask("GET", "/v1/resident/addresses")
    for who in (desk, foreign_desk):
        for path in (STAFF, f"{STAFF}/desk", "/v1/staff/delivery-batches"):
            await who.does("GET", path)
    given = {"name": TAKER, "code": more["pickup code"], "signature": a_signature()}
    await desk.does("POST", f"{STAFF}/{fetched}/hand-over", given)
    await desk.does("GET", f"{STAFF}/{fetched}")
    office = "\n".join(desk.seen)
    assert (await desk.does("GET", f"{STAFF}/{posted}/receiver"))["street"] == STREET
    assert REPORT in (await desk.ask("GET", "/v1/staff/delivery-problems?open=true")).text
    await jobs.drain()
    await auditing.seal_all()
    yield Answers(
        {"name": NAME, "phone": PHONE, "street": STREET, "taker": TAKER, "report": REPORT,
         "signature": a_signature()[60:200], **secrets, **more},
        "\n".join(canary.seen), "\n".join(foreigner.seen + foreign_desk.seen), office, "\n".join(friend.seen),
        logged.getvalue(),
        repr([each.data for each in sandbox.world.delivered]) + repr([each.parameters for each in sandbox.sms.texts]),
    )  # fmt: skip
    for who in (canary, friend, foreigner, desk, foreign_desk):
        await who.http.aclose()


def ours(logged: str) -> str:
    """Without what clients note of the addresses that they call: here that is the courier's end."""
    return "\n".join(line for line in logged.splitlines() if '"logger":"http' not in line)


async def test_what_is_delivered_stands_in_clear_nowhere_and_in_no_other_answers(answers: Answers, base: str):
    stored = await looking.at_everything_stored()
    async with httpx.AsyncClient(base_url=base) as anybody:
        metrics = (await anybody.get("/metrics")).text

    assert "shipment_nodes " in stored
    assert "hand_overs " in stored
    assert "inbound_messages " in stored
    assert answers.logged.count("\n") > 20
    for what in ("street", "courier's phone", "courier's words", "pickup code"):
        assert answers.secrets[what] in answers.own, what
    for what, secret in answers.secrets.items():
        assert secret, what
        for place, text in (
            ("tables", stored),
            ("logs", answers.logged if what != "push token" else ours(answers.logged)),
            ("metrics", metrics),
            ("messages", answers.messages),
            ("strangers' answers", answers.strangers),
            ("the office's masked answers", answers.office),
            ("delegates' answers", answers.delegates),
        ):
            assert secret not in text, f"{what} in {place}: {looking.around(text, secret)}"


async def test_after_two_deliveries_every_invariant_holds(answers: Answers):
    found = {each.id: each.findings for each in await invariants.check() if each.status == "violated"}

    assert found == {}
