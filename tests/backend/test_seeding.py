"""What a demo and an examination begin with: the same everywhere, once, and never in production."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from backend import seeding
from backend.identity.one_time_codes import code_at
from backend.identity.signatures import sign_request
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.settings import SettingsError, using
from models.catalogue import CatalogueEntry
from models.events import EventRecord
from models.identity import Agency, Resident, StaffMember


@pytest.fixture
async def credentials() -> Any:
    return await seeding.seed("acceptance")


async def test_the_same_people_have_the_same_ids_and_keys_on_every_machine(credentials: seeding.Credentials):
    assert [*credentials.residents] == [f"R{number:03d}" for number in range(1, 51)]
    assert credentials.residents["R001"]["id"] == "866719d3-8d43-5e1b-bf4d-a439929ca41f"
    assert credentials.agencies["公安"]["key"] == "ak_sample_police"
    assert credentials.staff.keys() == {
        "a.clerk", "a.chief", "b.clerk", "b.chief", "hall.chief", "hall.clerk", "hall.kiosk", "auditor", "security",
        "system",
    }  # fmt: skip
    assert await Resident.all().count() == 50


async def test_seeding_again_adds_nothing_and_says_the_same(credentials: seeding.Credentials):
    facts = await EventRecord.all().count()

    again = await seeding.seed("acceptance")

    assert again == credentials
    assert await EventRecord.all().count() == facts
    assert await Agency.all().count() == len(seeding.AGENCIES)
    assert await StaffMember.all().count() == len(seeding.STAFF)


async def test_the_demo_has_a_catalogue_and_agencies_and_no_resident():
    await seeding.seed("demo")

    assert await CatalogueEntry.all().count() >= 40
    assert await Resident.all().count() == 0


async def test_production_refuses_what_everybody_knows():
    own = {"data_keys": "k1:" + "0" * 64, "fingerprint_keys": "k1:" + "1" * 64, "token_secret": "x" * 40}

    with using(profile="production", sandbox=False, **own), pytest.raises(SettingsError):
        await seeding.seed("demo")

    assert await Agency.all().count() == 0


async def test_the_sandbox_knows_the_residents_by_their_names(
    credentials: seeding.Credentials, sandbox: Sandbox, partners: Partners, client: httpx.AsyncClient
):
    code = sandbox.world.mint("login", sandbox.world.persona("R007"))

    answer = await client.post("/v1/public/sessions", json={"code": code})

    assert UUID(answer.json()["resident_id"]) == UUID(credentials.residents["R007"]["id"])


async def test_staff_sign_in_with_what_was_printed(credentials: seeding.Credentials, client: httpx.AsyncClient):
    given = credentials.staff["a.clerk"]

    answer = await client.post(
        "/v1/staff/sessions",
        json={"login": "a.clerk", "password": given["password"], "code": code_at(given["totp_secret"])},
    )

    assert answer.status_code == 201, answer.text
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    me = (await client.get("/v1/staff/me", headers=headers)).json()
    [clerk] = [each for each in seeding.STAFF if each.login == "a.clerk"]
    assert me["duties"] == sorted(clerk.duties)


async def test_agencies_sign_with_what_was_printed(credentials: seeding.Credentials, client: httpx.AsyncClient):
    body = msgspec.json.encode({"text": "你好"})
    for given in credentials.agencies.values():
        signed = sign_request("POST", "/v1/agency/me", body, key=given["key"], secret=given["secret"])

        answer = await client.post(
            "/v1/agency/me", content=body, headers={**signed, "content-type": "application/json"}
        )

        assert answer.json()["text"] == "你好"


async def test_the_three_officers_are_three_people():
    powers = {"auditor": "audit.read", "security": "duties.grant", "system": "staff.manage"}

    for member in seeding.STAFF:
        assert len(set(powers.values()) & set(member.duties)) <= 1
        assert member.login not in powers or powers[member.login] in member.duties
