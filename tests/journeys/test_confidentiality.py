"""A canary goes through the whole main job: its name, phone and ids stand in clear nowhere (I-11, B-71, C-01)."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import httpx
import pytest
from litestar import Litestar

from api.edge import Edge
from backend import auditing, cache, identity, invariants, seeding
from backend.logs import JsonLines
from backend.partners import Partners, equip
from backend.partners.sandbox import Sandbox, serving
from tests.factories.notifications import register_templates
from tests.journeys.actors import Department, Phone
from tests.owner import as_owner

NAME, ID_NUMBER, OTHER_ID = "司马相如卿", "990102198803071229", "11010519491231002X"


class Journey(NamedTuple):
    """What there is to search after a life: everything that was answered, logged and sent."""

    secrets: dict[str, str]
    answers: str
    logged: str
    delivered: str


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level, as the service writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("", "api", "backend", "notifications")]
    level = root.level
    root.addHandler(handler)
    for each in ours:
        each.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for each in ours:
        each.setLevel(level if each is root else logging.NOTSET)


@pytest.fixture
async def base(app: Litestar, partners: Partners, sandbox: Sandbox) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    register_templates(sandbox.world)
    equip(partners)
    await seeding.seed("demo")
    async with serving(Edge(app), listener), identity.watch():
        sandbox.push_to(f"{address}/v1/callbacks/wechat", gap=0.01)
        yield address
    equip(None)


@pytest.fixture
async def journey(base: str, sandbox: Sandbox, logged: io.StringIO) -> Journey:
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
    await _mistakes(canary, department, found["code"])
    secrets = {
        "name": NAME, "id number": ID_NUMBER, "other id number": OTHER_ID, "phone": person.phone,
        "openid": person.openid,
        "unionid": person.unionid, "session key": person.session_key, "official openid": person.oa_openid,
        "access token": canary.tokens["access_token"], "refresh token": canary.tokens["refresh_token"],
        "agency secret": seeding.agency_secret(department.key),
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


async def everything_stored() -> str:
    """Every row of every table as text, and every name and value of the cache."""
    parts = []
    async with as_owner() as owner:
        names = await owner.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        for each in names:
            rows = await owner.fetch(f'SELECT t::text AS row FROM "{each["relname"]}" t')
            parts += [f"{each['relname']} {row['row']}" for row in rows]
        blobs = await owner.fetch("SELECT encode(payload, 'escape') AS text FROM pgqueuer")
        parts += [f"pgqueuer {row['text']}" for row in blobs]
    async for key in cache.redis().scan_iter():
        parts.append(f"cache {key!r} {await cache.redis().dump(key)!r}")
    return "\n".join(parts)


ANSWERED = {"access token", "refresh token"}
"""What the resident is given, and nobody else."""


async def test_a_canary_stands_in_clear_nowhere(journey: Journey, base: str):
    stored = await everything_stored()
    async with httpx.AsyncClient(base_url=base) as anybody:
        metrics = (await anybody.get("/metrics")).text

    assert len(journey.secrets) >= 10
    assert "CANARY-1" in journey.answers
    assert "CANARY-1" in stored
    assert journey.logged.count("\n") > 20
    for what, secret in journey.secrets.items():
        for place, text in (
            ("tables", stored),
            ("logs", journey.logged),
            ("metrics", metrics),
            ("messages", journey.delivered),
        ):
            assert secret not in text, f"{what} in the {place}: {_around(text, secret)}"
        if what not in ANSWERED and what != "other id number":
            assert secret not in journey.answers, f"{what} in the answers: {_around(journey.answers, secret)}"


def _around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 200) : at].replace(secret, "***")


async def test_what_a_resident_sees_of_themselves_is_masked(journey: Journey):
    phone = journey.secrets["phone"]

    assert f"{phone[:3]}****{phone[-4:]}" in journey.answers


async def test_after_the_canarys_life_every_invariant_holds(journey: Journey):
    found = {each.id: each.findings for each in await invariants.check() if each.status == "violated"}

    assert found == {}
