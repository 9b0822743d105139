"""A resident lets another act for them: with their own consent, in what they named, for as long as they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backend import clock, data_subjects, jobs
from backend.database import execute, fetch, fetch_value
from backend.identity import AsResident, delegating, disable_resident
from backend.identity.errors import (
    DelegationLimitExceeded,
    DelegationNotFound,
    DelegationPeriodInvalid,
    InvitationInvalid,
    OwnInvitation,
)
from backend.settings import using
from tests.factories.identity import a_delegation, a_resident
from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture(autouse=True)
async def _wechat(_clean: None) -> AsyncIterator[None]:
    """Messages go out through the sandbox."""
    async with partners_in_the_sandbox():
        yield


async def an_invitation(principal: AsResident) -> str:
    until = clock.today() + timedelta(days=10)
    offered = await delegating.offer_delegation(principal, name="田秀英", matters=["cases"], until=until)
    return (await delegating.create_invitation(principal, offered.id)).code


async def messages_of(resident: AsResident) -> list[str]:
    await jobs.drain()
    rows = await fetch("SELECT name FROM messages WHERE resident_id = $1 ORDER BY created_at", resident.id)
    return [row["name"] for row in rows]


async def test_who_accepted_may_act_in_what_was_named_and_both_see_it():
    principal, delegate = await a_resident(phone="13800138000"), await a_resident(phone="13900139000")

    identity = await a_delegation(principal, delegate, matters=["appointments", "cases"])

    assert await delegating.may_act(delegate.id, principal.id, "appointments")
    assert await delegating.may_act(delegate.id, principal.id, "cases")
    assert not await delegating.may_act(delegate.id, principal.id, "payments")
    assert not await delegating.may_act(principal.id, delegate.id, "appointments")
    [given], [held] = await delegating.list_own_delegations(principal), await delegating.list_own_delegations(delegate)
    assert (given.id, given.role, given.name, given.phone) == (identity, "principal", "王小红", "139****9000")
    assert (held.id, held.role, held.name, held.phone) == (identity, "delegate", "田秀英", "138****8000")
    assert given.state == held.state == "active"
    assert held.person_id == principal.id
    assert await messages_of(principal) == ["delegation_began"]


async def test_all_matters_are_every_matter():
    principal, delegate = await a_resident(), await a_resident()

    await a_delegation(principal, delegate, matters=["cases", "all"])

    assert await delegating.may_act(delegate.id, principal.id, "deliveries")
    assert (await delegating.list_own_delegations(principal))[0].matters == ["all"]


async def test_before_accepting_one_sees_what_is_asked_and_no_one_may_act_yet():
    principal, delegate = await a_resident(phone="13800138000"), await a_resident()

    asked = await delegating.read_invitation(delegate, await an_invitation(principal))

    assert (asked.name, asked.phone, asked.matters) == ("田秀英", "138****8000", ["cases"])
    assert asked.until == clock.today() + timedelta(days=10)
    assert not await delegating.may_act(delegate.id, principal.id, "cases")
    assert await delegating.list_own_delegations(delegate) == []


@pytest.mark.parametrize("ends", ["principal", "delegate"])
async def test_either_ends_it_at_once_and_both_are_notified(ends: str):
    principal, delegate = await a_resident(), await a_resident()
    identity = await a_delegation(principal, delegate)

    await delegating.end_delegation(principal if ends == "principal" else delegate, identity)
    await delegating.end_delegation(principal, identity)

    assert not await delegating.may_act(delegate.id, principal.id, "appointments")
    seen = await delegating.get_own_delegation(principal, identity)
    assert (seen.state, seen.end_reason) == ("ended", "revoked" if ends == "principal" else "renounced")
    assert await messages_of(principal) == ["delegation_began", "delegation_ended"]
    assert await messages_of(delegate) == ["delegation_ended"]


async def test_time_ends_it_before_it_is_recorded_and_the_clock_notifies_both():
    principal, delegate = await a_resident(), await a_resident()
    identity = await a_delegation(principal, delegate)
    await execute("UPDATE delegations SET ends_at = now() WHERE id = $1", identity)

    assert not await delegating.may_act(delegate.id, principal.id, "appointments")
    assert (await delegating.get_own_delegation(delegate, identity)).state == "ended"

    assert await delegating.end_expired_delegations() == 1
    assert await delegating.end_expired_delegations() == 0
    assert (await delegating.get_own_delegation(delegate, identity)).end_reason == "over"
    assert (await messages_of(principal))[-1] == "delegation_ended"
    assert await messages_of(delegate) == ["delegation_ended"]


async def test_an_offer_that_was_not_accepted_lapses_silently():
    principal, other = await a_resident(), await a_resident()
    code = await an_invitation(principal)
    await execute("UPDATE delegations SET invitation_until = now()")

    with pytest.raises(InvitationInvalid):
        await delegating.accept_invitation(other, code, name="王小红")

    assert await delegating.end_expired_delegations() == 1
    assert (await delegating.list_own_delegations(principal))[0].end_reason == "lapsed"
    assert await messages_of(principal) == []


async def test_a_withdrawn_offer_cannot_be_accepted():
    principal, other = await a_resident(), await a_resident()
    code = await an_invitation(principal)
    [offered] = await delegating.list_own_delegations(principal)

    await delegating.end_delegation(principal, offered.id)

    with pytest.raises(InvitationInvalid):
        await delegating.accept_invitation(other, code, name="王小红")
    with pytest.raises(InvitationInvalid):
        await delegating.create_invitation(principal, offered.id)
    assert (await delegating.list_own_delegations(principal))[0].end_reason == "withdrawn"


async def test_of_many_who_take_one_invitation_at_once_one_gets_it():
    principal = await a_resident()
    code, crowd = await an_invitation(principal), [await a_resident() for _ in range(6)]

    outcomes = await asyncio.gather(
        *(delegating.accept_invitation(each, code, name="王小红") for each in crowd), return_exceptions=True
    )

    assert sum(isinstance(each, delegating.DelegationDetail) for each in outcomes) == 1
    assert sum(isinstance(each, InvitationInvalid) for each in outcomes) == 5
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delegation.began'") == 1


async def test_no_code_but_ours_opens_an_offer_and_no_resident_accepts_their_own():
    principal, other = await a_resident(), await a_resident()
    code = await an_invitation(principal)
    swapped = code[:-1] + ("A" if code[-1] != "A" else "B")
    elsewhere = (await an_invitation(await a_resident()))[:30] + code[30:]

    for forged in (swapped, elsewhere, code[:-3], "ZD1.", "", "ZD1.邀请", "ZB1." + code[4:]):
        with pytest.raises(InvitationInvalid):
            await delegating.read_invitation(other, forged)
    with pytest.raises(OwnInvitation):
        await delegating.accept_invitation(principal, code, name="王小红")
    assert (await delegating.accept_invitation(other, f" {code.lower()} ", name="王小红")).state == "active"


async def test_codes_stay_good_while_fingerprint_keys_change():
    principal, other = await a_resident(), await a_resident()
    with using(fingerprint_keys=f"a1:{'11' * 32}"):
        code = await an_invitation(principal)

    with using(fingerprint_keys=f"b2:{'22' * 32},a1:{'11' * 32}"):
        assert (await delegating.accept_invitation(other, code, name="王小红")).state == "active"


async def test_one_gives_and_holds_so_many_at_a_time_also_when_all_come_at_once():
    principal = await a_resident()
    with using(delegations_given=2, delegations_held=1):
        offers = await asyncio.gather(*(an_invitation(principal) for _ in range(5)), return_exceptions=True)
        codes = [each for each in offers if isinstance(each, str)]
        assert len(codes) == 2
        assert all(isinstance(each, DelegationLimitExceeded) for each in offers if not isinstance(each, str))
        delegate = await a_resident()
        taken = await asyncio.gather(
            *(delegating.accept_invitation(delegate, each, name="王小红") for each in codes), return_exceptions=True
        )

    assert sorted(type(each).__name__ for each in taken) == ["DelegationDetail", "DelegationLimitExceeded"]


@pytest.mark.parametrize("days", [-1, 367])
async def test_a_delegation_ends_neither_in_the_past_nor_too_late(days: int):
    with pytest.raises(DelegationPeriodInvalid):
        until = clock.today() + timedelta(days=days)
        await delegating.offer_delegation(await a_resident(), name="田秀英", matters=["all"], until=until)


async def test_to_everybody_else_it_does_not_exist_and_the_delegate_gets_no_code():
    principal, delegate, stranger = await a_resident(), await a_resident(), await a_resident()
    identity = await a_delegation(principal, delegate)

    for who, asks in (
        (stranger, delegating.get_own_delegation),
        (stranger, delegating.end_delegation),
        (stranger, delegating.create_invitation),
        (delegate, delegating.create_invitation),
    ):
        with pytest.raises(DelegationNotFound):
            await asks(who, identity)


async def test_for_a_closed_account_no_delegate_acts():
    principal, delegate = await a_resident(), await a_resident()
    await a_delegation(principal, delegate)

    await disable_resident(principal.id)

    assert not await delegating.may_act(delegate.id, principal.id, "appointments")


async def test_forgetting_one_ends_it_and_leaves_the_others_name():
    principal, delegate = await a_resident(), await a_resident()
    identity = await a_delegation(principal, delegate)
    await jobs.drain()
    copy = await data_subjects.export(principal.id)
    [copied] = copy["delegations"]
    assert (copied["principal_name"], copied["delegate_name"]) == ("田秀英", None)

    erased = await data_subjects.erase(principal.id)

    assert erased["delegations"] == 1
    seen = await delegating.get_own_delegation(delegate, identity)
    assert (seen.end_reason, seen.name) == ("erased", None)
    assert await fetch_value("SELECT delegate_name IS NOT NULL FROM delegations WHERE id = $1", identity)
    assert await messages_of(principal) == []
    assert await messages_of(delegate) == ["delegation_ended"]
    assert await data_subjects.erase(principal.id) == {}
