"""A resident's own sessions: listed and ended, and no others."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from backend import clock, identity
from backend.database import fetch_value
from backend.identity import AsResident, session_watch
from backend.identity.errors import SessionNotFound
from models.events import EventRecord
from tests.factories.identity import a_resident, an_openid, signed_in


async def somebody_on(*devices: str) -> list[AsResident]:
    openid = an_openid()
    given = [await signed_in(openid=openid, device=device) for device in devices]  # type: ignore[arg-type]
    return [AsResident(each.resident_id, each.session_id) for each in given]


async def test_the_list_shows_ones_own_living_sessions_the_current_one_marked() -> None:
    phone, tablet = await somebody_on("ios", "android")
    await a_resident()

    seen = await identity.list_own_sessions(phone)

    assert [(each.id, each.device, each.device_name, each.is_current) for each in seen] == [
        (tablet.session_id, "android", "安卓手机或平板", False),
        (phone.session_id, "ios", "苹果手机或平板", True),
    ]


async def test_sessions_that_are_over_are_not_shown() -> None:
    phone, tablet = await somebody_on("ios", "android")
    await identity.end_session(phone, tablet.session_id)

    assert [each.id for each in await identity.list_own_sessions(phone)] == [phone.session_id]
    with clock.travel(by=timedelta(days=31)):
        assert await identity.list_own_sessions(phone) == []


async def test_ending_one_leaves_the_others() -> None:
    phone, tablet = await somebody_on("ios", "android")

    await identity.end_session(phone, tablet.session_id)

    assert not session_watch.is_live(tablet.session_id)
    assert session_watch.is_live(phone.session_id)
    assert await fetch_value("SELECT end_reason FROM sessions WHERE id = $1", tablet.session_id) == "ended-elsewhere"


async def test_ending_all_others_keeps_the_one_that_asks() -> None:
    phone, tablet, computer = await somebody_on("ios", "android", "windows")

    assert await identity.end_other_sessions(phone) == 2
    assert await identity.end_other_sessions(phone) == 0

    assert [session_watch.is_live(each.session_id) for each in (phone, tablet, computer)] == [True, False, False]


async def test_another_residents_session_does_not_exist() -> None:
    mine, theirs = await a_resident(), await a_resident()

    for session_id in (theirs.session_id, uuid4()):
        with pytest.raises(SessionNotFound):
            await identity.end_session(mine, session_id)

    assert await fetch_value("SELECT ended_at FROM sessions WHERE id = $1", theirs.session_id) is None


async def test_signing_out_twice_is_the_same_as_once() -> None:
    resident = await a_resident()

    await identity.sign_out_resident(resident)
    await identity.sign_out_resident(resident)

    assert await EventRecord.filter(name="resident.sessions-ended").count() == 1
