"""A canary goes through the whole main job and pays: its name, phone and ids, and the keys and certificates of money,
stand in clear nowhere (I-11, B-71, C-01)."""

from __future__ import annotations

import io
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from backend import auditing, clock, invariants, jobs, seeding
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.payments.reconciliation_runs import reconcile_day
from tests.journeys import looking
from tests.journeys.actors import Department, Office, Phone

NAME, ID_NUMBER, OTHER_ID = "司马相如卿", "990102198803071229", "11010519491231002X"
CARD = "6222020200112233445"


class Journey(NamedTuple):
    """What there is to search after a life: everything that was answered, logged and sent."""

    secrets: dict[str, str]
    answers: str
    logged: str
    delivered: str


@pytest.fixture
async def journey(base: str, sandbox: Sandbox, partners: Partners, logged: io.StringIO) -> Journey:
    """The main job, and on the way every mistake by which a canary might slip out."""
    canary, department, seen = Phone(base, sandbox, NAME), Department(base, "公安"), list[str]()

    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        seen.append(f"{answer.headers}{answer.text}")

    canary.http.event_hooks["response"] = department.http.event_hooks["response"] = [keep]
    found = (await canary.http.get("/v1/public/items", params={"q": "换身份证"})).json()["items"][0]
    person = canary.person
    await department.push("CANARY-1", found["code"], person, ID_NUMBER)
    await canary.sign_in()
    await canary.confirm_phone()
    await canary.answer_popup("accept")
    for code in ("受理", "补正", "补正受理", "决定", "办结"):
        await department.report("CANARY-1", code, public_remark="请按要求办理")
    for path in ("me", "sessions", "cases", "cases/CANARY-1", "messages", "subscriptions?page=case"):
        await canary.http.get(f"/v1/resident/{path}")
    for message in (await canary.get("/v1/resident/messages"))["items"]:
        await canary.get(f"/v1/resident/messages/{message['id']}")
    await canary.http.post("/v1/public/case-lookups", json={"number": "CANARY-1", "id_tail": ID_NUMBER[-4:]})
    money = await _pays(canary, base, partners, keep)
    await _mistakes(canary, department, found["code"])
    secrets = {
        "name": NAME, "id number": ID_NUMBER, "other id number": OTHER_ID, "phone": person.phone,
        "openid": person.openid,
        "unionid": person.unionid, "session key": person.session_key, "official openid": person.oa_openid,
        "access token": canary.tokens["access_token"], "refresh token": canary.tokens["refresh_token"],
        "agency secret": seeding.agency_secret(department.key), "card": CARD, **money,
    }  # fmt: skip
    await canary.http.aclose()
    await department.http.aclose()
    await auditing.seal_all()
    return Journey(
        {what: value for what, value in secrets.items() if value},
        "\n".join(seen),
        logged.getvalue(),
        repr([each.data for each in sandbox.world.delivered]) + repr([each.parameters for each in sandbox.sms.texts]),
    )


async def _pays(canary: Phone, base: str, partners: Partners, keep: Any) -> dict[str, str]:
    """A fee is paid, with right and wrong notices, refunded to a card after an error, and the day compared with the
    bill; what of all this no other caller may see."""
    pay, chief, clerk = canary.sandbox.pay, Office(base, "a.chief"), Office(base, "a.clerk")
    chief.http.event_hooks["response"] = clerk.http.event_hooks["response"] = [keep]
    order = await canary.begins_to_pay()
    number = order["number"]
    pay.confirm(order["parameters"])
    forged: list[dict[str, Any]] = [
        {"signature": "bad_signature"},
        {"signature": "unknown_serial"},
        {"wrong_key": True},
    ]
    for wrong in (*forged, {"changes": {"mchid": "1900000009"}}):
        headers, body = pay.written(number, **wrong)
        refused = await canary.http.post("/v1/callbacks/wechat-pay", content=body, headers=headers)
        assert 400 <= refused.status_code < 500
    pay.refuse("query", 500, "SYSTEM_ERROR")
    await _quiet(pay)
    await chief.sign_in()
    await clerk.sign_in()
    pay.world.rules.refund_outcome = "ABNORMAL"
    asked = await clerk.post(f"/v1/staff/payments/{number}/refunds", {"amount_fen": 2000, "reason": "多缴退回"})
    await _quiet(pay)
    pay.world.rules.refund_outcome = "SUCCESS"
    card = {"bank": "ICBC_DEBIT", "number": CARD, "name": NAME}
    await chief.post(f"/v1/staff/refunds/{asked['number']}/card", card)
    await _quiet(pay)
    for path in (f"payments/{number}", f"payments/{number}/receipt", "payments", "fees"):
        await canary.http.get(f"/v1/resident/{path}")
    for path in (f"payments/{number}", "payments", "refunds", f"refunds/{asked['number']}"):
        await chief.http.get(f"/v1/staff/{path}")
    today = clock.today()
    with clock.travel(to=datetime.combine(today + timedelta(days=1), time(11), clock.SHANGHAI)):
        (compared,) = [each for each in await reconcile_day(today, channels=partners.channels) if each.paid_count]
    assert (compared.paid_fen, compared.refund_fen, compared.open) == (2000, 2000, 0)
    await chief.http.aclose()
    await clerk.http.aclose()
    values = pay.settings("")
    key, public = values["wechat_pay_key"], values["wechat_pay_public_key"]
    return {
        "prepay id": order["parameters"]["package"].removeprefix("prepay_id="),
        "merchant's key": key.splitlines()[3], "platform's key": public.splitlines()[3],
        "APIv3 key": values["wechat_pay_api_v3_key"], "v2 key": values["wechat_pay_v2_key"],
        "Alipay's key": canary.sandbox.alipay.settings("")["alipay_key"].splitlines()[3],
        "certificate": pay.world.keys.signs.pem.splitlines()[3],
    }  # fmt: skip


async def _quiet(pay: Any) -> None:
    for _ in range(3):
        await jobs.drain()
        await pay.settle()
    await jobs.drain()


async def _mistakes(canary: Phone, department: Department, item: str) -> None:
    """Personal data where it does not belong: wrong fields, addresses, headers, broken bodies."""
    applicant = {"name": NAME, "id_number": OTHER_ID, "phone": canary.person.phone}
    wrong = {"item_code": item, "title": f"{OTHER_ID} 换领", "applicant": applicant, "received_at": NAME}
    await department.send("PUT", "/v1/agency/cases/CANARY-2", wrong)
    await department.send("PUT", "/v1/agency/cases/CANARY-2", {**wrong, "received_at": None, OTHER_ID: NAME})
    await department.send("PUT", f"/v1/agency/cases/{OTHER_ID}/x", wrong)
    await canary.http.post("/v1/public/case-lookups", json={"number": "CANARY-1", "id_tail": OTHER_ID})
    await canary.http.post("/v1/public/case-lookups", content=f'{{"number": "{OTHER_ID}", "broken'.encode())
    await canary.http.post("/v1/public/sessions", json={"code": canary.person.openid})
    await canary.http.get("/v1/resident/cases", params={"cursor": OTHER_ID, "phone": canary.person.phone})
    await canary.http.get(f"/v1/resident/cases/{OTHER_ID}")
    await canary.http.get(
        "/v1/resident/me", headers={"user-agent": f"x {canary.person.phone}", "x-request-id": OTHER_ID}
    )


ANSWERED = {"access token", "refresh token", "prepay id"}
"""What the resident is given, and no other caller."""
WITH_ITS_ORDER = "prepay id"
"""Stands in the row of its order and nowhere else: it opens nothing without a signature of our key."""


async def test_a_canary_stands_in_clear_nowhere(journey: Journey, base: str):
    stored = await looking.at_everything_stored()
    async with httpx.AsyncClient(base_url=base) as anybody:
        metrics = (await anybody.get("/metrics")).text

    assert len(journey.secrets) >= 18
    assert "CANARY-1" in journey.answers
    assert "CANARY-1" in stored
    assert journey.logged.count("\n") > 20
    rows = [row for row in stored.splitlines() if journey.secrets[WITH_ITS_ORDER] in row]
    assert [row.split(" ")[0] for row in rows] == ["payments"]
    for what, secret in journey.secrets.items():
        if what == WITH_ITS_ORDER:
            assert journey.answers.count(secret) == 1
        for place, text in (
            ("tables", "" if what == WITH_ITS_ORDER else stored),
            ("logs", journey.logged),
            ("metrics", metrics),
            ("messages", journey.delivered),
        ):
            assert secret not in text, f"{what} in the {place}: {looking.around(text, secret)}"
        if what not in ANSWERED and what != "other id number":
            assert secret not in journey.answers, f"{what} in the answers: {looking.around(journey.answers, secret)}"


async def test_what_a_resident_sees_of_themselves_is_masked(journey: Journey):
    phone = journey.secrets["phone"]

    assert f"{phone[:3]}****{phone[-4:]}" in journey.answers


async def test_after_the_canarys_life_every_invariant_holds(journey: Journey):
    found = {each.id: each.findings for each in await invariants.check() if each.status == "violated"}

    assert found == {}
