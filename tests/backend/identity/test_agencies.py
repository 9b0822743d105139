"""Agencies' requests are theirs, fresh, and accepted once."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backend import cache, clock
from backend.database import fetch_value
from backend.errors import Invalid
from backend.identity import AsAgency, agencies, signatures
from backend.identity.errors import (
    AgencyNotFound,
    DutyMissing,
    SignatureInvalid,
    SignatureReplayed,
    SignatureStale,
)
from backend.identity.signatures import SignedRequest
from models.events import EventRecord
from tests.factories.identity import OPERATOR, AgencyCredentials, a_department_id, a_staff, an_agency

BODY = b'{"state":"accepted"}'


def signed_by(agency: AgencyCredentials, *, body: bytes = BODY, **changes: object) -> SignedRequest:
    given = signatures.sign_request("POST", "/x?a=1", body, key=agency.key, secret=agency.secret, **changes)  # type: ignore[arg-type]
    return signatures.parse_headers([(name.encode(), value.encode()) for name, value in given.items()])


async def enter(
    signed: SignedRequest, *, method: str = "POST", path: bytes = b"/x", query: bytes = b"a=1", body: bytes = BODY
) -> AsAgency:
    return await agencies.authenticate_agency(signed, method=method, path=path, query=query, body=body)


async def test_a_signed_request_is_the_agencys() -> None:
    agency = await an_agency()

    assert await enter(signed_by(agency)) == agency.principal


async def test_a_request_is_accepted_once_even_after_redis_was_emptied() -> None:
    signed = signed_by(await an_agency())
    await enter(signed)

    await cache.redis().flushdb()

    with pytest.raises(SignatureReplayed):
        await enter(signed)


async def test_of_twenty_copies_at_once_one_is_accepted() -> None:
    signed = signed_by(await an_agency())

    outcomes = await asyncio.gather(*(enter(signed) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(each, AsAgency) for each in outcomes) == 1
    assert sum(isinstance(each, SignatureReplayed) for each in outcomes) == 19


async def test_a_nonce_belongs_to_a_key_so_two_agencies_may_choose_the_same() -> None:
    for agency in (await an_agency(), await an_agency()):
        assert await enter(signed_by(agency, nonce="the-very-same-nonce"))


@pytest.mark.parametrize(
    "change",
    [{"method": "PUT"}, {"path": b"/y"}, {"query": b"a=2"}, {"body": b"{}"}],
)
async def test_a_signature_is_for_one_request_only(change: dict[str, object]) -> None:
    signed = signed_by(await an_agency())

    with pytest.raises(SignatureInvalid):
        await enter(signed, **change)  # type: ignore[arg-type]

    assert await fetch_value("SELECT count(*) FROM agency_nonces") == 0


async def test_a_key_signs_for_its_own_agency_only() -> None:
    one, other = await an_agency(), await an_agency()
    mixed = AgencyCredentials(one.id, one.department_id, one.key, other.secret)

    with pytest.raises(SignatureInvalid):
        await enter(signed_by(mixed))
    with pytest.raises(SignatureInvalid):
        await enter(signed_by(AgencyCredentials(one.id, one.department_id, "ak_nobody", one.secret)))


@pytest.mark.parametrize(("seconds", "accepted"), [(-299, True), (299, True), (-302, False), (302, False)])
async def test_a_request_is_good_for_five_minutes_either_way(seconds: int, accepted: bool) -> None:
    agency = await an_agency()
    signed = signed_by(agency, timestamp=clock.timestamp() + seconds)

    if accepted:
        assert await enter(signed)
    else:
        with pytest.raises(SignatureStale) as refused:
            await enter(signed)
        assert abs(refused.value.facts["server_time"] - clock.timestamp()) < 5


async def test_a_replay_after_the_window_is_refused_for_its_time() -> None:
    signed = signed_by(await an_agency())
    await enter(signed)

    with clock.travel(by=timedelta(seconds=700)):
        await agencies.delete_old_nonces()
        with pytest.raises(SignatureStale):
            await enter(signed)

    assert await fetch_value("SELECT count(*) FROM agency_nonces") == 0


async def test_nonces_are_kept_for_as_long_as_their_requests_could_come_again() -> None:
    agency = await an_agency()
    signed = signed_by(agency, timestamp=clock.timestamp() + 299)
    await enter(signed)

    with clock.travel(by=timedelta(seconds=598)):
        await agencies.delete_old_nonces()
        with pytest.raises(SignatureReplayed):
            await enter(signed)


async def test_keys_are_changed_over_without_a_gap() -> None:
    agency = await an_agency()
    issued = await agencies.issue_key(OPERATOR, agency.id)
    fresh = AgencyCredentials(agency.id, agency.department_id, issued.name, issued.secret)
    assert await enter(signed_by(agency))
    assert await enter(signed_by(fresh))

    await agencies.revoke_key(OPERATOR, agency.key)

    with pytest.raises(SignatureInvalid):
        await enter(signed_by(agency))
    assert await enter(signed_by(fresh))
    with pytest.raises(AgencyNotFound):
        await agencies.revoke_key(OPERATOR, agency.key)


async def test_a_key_ends_when_it_was_said_to() -> None:
    agency = await an_agency()
    issued = await agencies.issue_key(OPERATOR, agency.id, expires_at=clock.now() + timedelta(days=1))
    short = AgencyCredentials(agency.id, agency.department_id, issued.name, issued.secret)
    assert await enter(signed_by(short))

    with clock.travel(by=timedelta(days=2)), pytest.raises(SignatureInvalid):
        await enter(signed_by(short))


async def test_an_agency_that_is_closed_is_out_at_once() -> None:
    agency = await an_agency()

    await agencies.disable_agency(OPERATOR, agency.id)

    with pytest.raises(SignatureInvalid):
        await enter(signed_by(agency))


async def test_an_agency_may_keep_its_private_key_to_itself() -> None:
    private = Ed25519PrivateKey.generate()
    public = b64encode(private.public_key().public_bytes_raw()).decode()
    agency = await an_agency()
    issued = await agencies.issue_key(OPERATOR, agency.id, public_key=public)
    assert issued.secret == ""

    secret = b64encode(private.private_bytes_raw()).decode()
    with_ed25519 = AgencyCredentials(agency.id, agency.department_id, issued.name, secret)

    assert await enter(signed_by(with_ed25519, algorithm="ed25519")) == agency.principal
    with pytest.raises(SignatureInvalid):
        await enter(signed_by(AgencyCredentials(agency.id, agency.department_id, issued.name, public)))


@pytest.mark.parametrize("public_key", ["", "not base64!", b64encode(b"short").decode()])
async def test_a_public_key_is_thirty_two_bytes(public_key: str) -> None:
    agency = await an_agency()

    with pytest.raises(Invalid):
        await agencies.issue_key(OPERATOR, agency.id, public_key=public_key)


async def test_shared_secrets_are_kept_sealed() -> None:
    agency = await an_agency()

    kept = await fetch_value("SELECT secret FROM agency_keys WHERE name = $1", agency.key)

    assert kept.startswith("v1.")
    assert agency.secret not in kept


async def test_only_the_system_officer_manages_agencies() -> None:
    officer, other = await a_staff(duties=["agencies.manage"]), await a_staff(duties=["cases.handle"])
    department_id = await a_department_id()
    agency_id = await agencies.enrol_agency(officer, name="某系统", department_id=department_id)

    assert await agencies.issue_key(officer, agency_id)
    with pytest.raises(DutyMissing):
        await agencies.issue_key(other, agency_id)
    with pytest.raises(DutyMissing):
        await agencies.enrol_agency(other, name="某系统", department_id=department_id)
    with pytest.raises(Invalid):
        await agencies.enrol_agency(officer, name="某系统", department_id=uuid4())
    for operation in (agencies.issue_key, agencies.disable_agency):
        with pytest.raises(AgencyNotFound):
            await operation(officer, uuid4())
    assert await EventRecord.filter(name="agency.key-issued").count() == 1
