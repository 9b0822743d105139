"""The phone of a resident: proved by WeChat, kept sealed, owned by the resident who proved it last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backend import identity
from backend.database import execute, fetch, fetch_row, fetch_value
from backend.identity import AsResident
from backend.identity.errors import PhoneBusy, PhoneCodeInvalid, TokenInvalid
from backend.identity.residents import normalise_number
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import PhoneNumber, Session
from models.events import EventRecord
from tests.factories.identity import OneAnswer, a_resident, an_openid


def answering(number: str, country: str = "86") -> Any:
    return OneAnswer(Session(an_openid(), "key"), PhoneNumber(number, country))


async def signed_in_as(sandbox: Sandbox, partners: Partners, name: str) -> AsResident:
    code = sandbox.world.mint("login", sandbox.world.persona(name))
    given = await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)
    return AsResident(given.resident_id, given.session_id)


async def test_a_phone_is_confirmed_through_wechat_shown_masked_and_kept_sealed(
    sandbox: Sandbox, partners: Partners
) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    number = sandbox.world.persona("R001").phone
    code = sandbox.world.mint("phone", sandbox.world.persona("R001"))

    me = await identity.confirm_phone(resident, code, wechat=partners.wechat)

    assert me.phone == f"{number[:3]}****{number[-4:]}"
    assert await identity.phone_of(resident.id) == number
    row = await fetch_row("SELECT * FROM residents WHERE id = $1", resident.id)
    assert row is not None
    assert number not in str(list(row.values()))
    event = await EventRecord.get(name="resident.phone-confirmed")
    assert event.subject_id == resident.id
    assert number not in event.payload


async def test_a_phone_code_is_good_once_and_only_for_its_owner(sandbox: Sandbox, partners: Partners) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    other = await signed_in_as(sandbox, partners, "R002")
    code = sandbox.world.mint("phone", sandbox.world.persona("R001"))

    with pytest.raises(PhoneCodeInvalid):
        await identity.confirm_phone(other, code, wechat=partners.wechat)
    with pytest.raises(PhoneCodeInvalid):
        await identity.confirm_phone(resident, code, wechat=partners.wechat)
    with pytest.raises(PhoneCodeInvalid):
        await identity.confirm_phone(resident, "made up", wechat=partners.wechat)

    assert await identity.phone_of(other.id) is None


async def test_a_code_of_wx_login_is_no_phone_code(sandbox: Sandbox, partners: Partners) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    code = sandbox.world.mint("login", sandbox.world.persona("R001"))

    with pytest.raises(PhoneCodeInvalid):
        await identity.confirm_phone(resident, code, wechat=partners.wechat)


async def test_when_wechat_is_busy_the_phone_may_be_tried_again(sandbox: Sandbox, partners: Partners) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    code = sandbox.world.mint("phone", sandbox.world.persona("R001"))
    sandbox.world.faults.add("/wxa/business/getuserphonenumber", "errcode", times=20, number=-1)
    with pytest.raises(PhoneBusy):
        await identity.confirm_phone(resident, code, wechat=partners.wechat)
    sandbox.world.faults.clear()

    assert (await identity.confirm_phone(resident, code, wechat=partners.wechat)).phone


async def test_the_number_goes_to_the_resident_who_proved_it_last_and_the_former_owner_is_notified() -> None:
    before, after = await a_resident(phone="13800000001"), await a_resident()

    me = await identity.confirm_phone(after, "code", wechat=answering("13800000001"))

    assert me.phone == "138****0001"
    assert await identity.phone_of(before.id) is None
    assert await identity.phone_of(after.id) == "13800000001"
    told = await EventRecord.get(name="resident.phone-moved-away")
    assert told.subject_id == before.id
    assert str(after.id) not in told.payload


async def test_proving_ones_own_number_again_moves_nothing() -> None:
    resident = await a_resident(phone="13800000001")

    await identity.confirm_phone(resident, "code", wechat=answering("13800000001"))

    assert await EventRecord.filter(name="resident.phone-moved-away").count() == 0
    assert await identity.phone_of(resident.id) == "13800000001"


async def test_many_who_prove_one_number_at_once_leave_it_with_exactly_one_of_them() -> None:
    crowd = [await a_resident() for _ in range(8)]

    await asyncio.gather(
        *(identity.confirm_phone(each, f"code-{each.id}", wechat=answering("13800000002")) for each in crowd)
    )

    owners = await fetch("SELECT id FROM residents WHERE phone_fingerprint IS NOT NULL")
    assert len(owners) == 1
    assert await EventRecord.filter(name="resident.phone-confirmed").count() == 8
    assert await EventRecord.filter(name="resident.phone-moved-away").count() == 7


async def test_two_who_swap_their_numbers_at_once_do_not_block_each_other() -> None:
    one, two = await a_resident(phone="13800000001"), await a_resident(phone="13800000002")

    for round_ in range(5):
        first, second = ("13800000002", "13800000001") if round_ % 2 == 0 else ("13800000001", "13800000002")
        await asyncio.gather(
            identity.confirm_phone(one, f"a{round_}", wechat=answering(first)),
            identity.confirm_phone(two, f"b{round_}", wechat=answering(second)),
        )

    assert await fetch_value("SELECT count(DISTINCT phone_fingerprint) FROM residents") == 2


async def test_a_phone_can_be_taken_away_again() -> None:
    resident = await a_resident(phone="13800000001")

    await identity.remove_phone(resident)
    await identity.remove_phone(resident)

    assert await identity.phone_of(resident.id) is None
    assert (await identity.get_own_account(resident)).phone is None
    assert await EventRecord.filter(name="resident.phone-removed").count() == 1


@pytest.mark.parametrize(
    ("number", "country", "spelling"),
    [
        ("13812345678", "86", "13812345678"),
        ("138-1234 5678", "+86", "13812345678"),
        ("13812345678", "", "13812345678"),
        ("91234567", "852", "+85291234567"),
        ("5551234", "+1", "+15551234"),
    ],
)
def test_a_number_has_one_spelling(number: str, country: str, spelling: str) -> None:
    assert normalise_number(PhoneNumber(number, country)) == spelling


async def test_an_account_that_is_gone_is_nobodys() -> None:
    resident = await a_resident()
    await execute("DELETE FROM sessions")
    await execute("DELETE FROM wechat_accounts")
    await execute("DELETE FROM residents")

    with pytest.raises(TokenInvalid):
        await identity.get_own_account(resident)
