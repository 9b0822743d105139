"""Refresh tokens: one successor each, and a copy ends the session (T-8, B-09, B-10, B-11)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from backend import clock, identity
from backend.database import execute, fetch_row, fetch_value
from backend.identity import refresh_tokens, session_watch, tokens
from backend.identity.errors import RefreshElsewhere, RefreshInvalid, RefreshReused
from backend.settings import using
from models.events import EventRecord
from tests.factories.identity import a_resident, signed_in


async def test_refreshing_gives_new_tokens_of_the_same_session() -> None:
    first = await signed_in()

    second = await identity.refresh_session(first.refresh_token, device="ios")

    assert second.session_id == first.session_id
    assert second.resident_id == first.resident_id
    assert second.refresh_token != first.refresh_token
    assert tokens.check_token(second.access_token, "resident").session_id == first.session_id


async def test_the_same_token_repeated_within_the_grace_time_gives_the_same_successor() -> None:
    first = await signed_in()
    second = await identity.refresh_session(first.refresh_token, device="ios")

    with clock.travel(by=timedelta(seconds=9)):
        again = await identity.refresh_session(first.refresh_token, device="ios")

    assert again.refresh_token == second.refresh_token


async def test_twenty_refreshes_at_once_give_one_successor_and_lock_none_out() -> None:
    first = await signed_in()

    crowd = await asyncio.gather(*(identity.refresh_session(first.refresh_token, device="ios") for _ in range(20)))

    assert len({each.refresh_token for each in crowd}) == 1
    assert await fetch_value("SELECT generation FROM sessions WHERE id = $1", first.session_id) == 1
    assert await identity.refresh_session(crowd[0].refresh_token, device="ios")


async def test_a_token_that_comes_again_after_the_grace_time_ends_the_whole_family() -> None:
    first = await signed_in()
    second = await identity.refresh_session(first.refresh_token, device="ios")

    with clock.travel(by=timedelta(seconds=11)):
        with pytest.raises(RefreshReused):
            await identity.refresh_session(first.refresh_token, device="ios")
        with pytest.raises(RefreshInvalid):
            await identity.refresh_session(second.refresh_token, device="ios")

    assert not session_watch.is_live(first.session_id)
    event = await EventRecord.get(name="session.refresh-reused")
    assert event.subject_id == first.session_id
    assert str(first.resident_id) in event.payload


async def test_a_grandparent_ends_the_family_even_within_the_grace_time() -> None:
    first = await signed_in()
    second = await identity.refresh_session(first.refresh_token, device="ios")
    third = await identity.refresh_session(second.refresh_token, device="ios")

    with pytest.raises(RefreshReused):
        await identity.refresh_session(first.refresh_token, device="ios")
    with pytest.raises(RefreshInvalid):
        await identity.refresh_session(third.refresh_token, device="ios")


async def test_reuse_ends_one_family_and_no_other() -> None:
    openid = "o-the-same-person-on-two-phones"
    stolen, other = await signed_in(openid=openid), await signed_in(openid=openid, device="android")
    await identity.refresh_session(stolen.refresh_token, device="ios")

    with clock.travel(by=timedelta(seconds=11)):
        with pytest.raises(RefreshReused):
            await identity.refresh_session(stolen.refresh_token, device="ios")
        still = await identity.refresh_session(other.refresh_token, device="android")

    assert still.session_id == other.session_id


async def test_a_token_from_another_class_of_device_ends_the_session() -> None:
    first = await signed_in(device="ios")

    with pytest.raises(RefreshElsewhere):
        await identity.refresh_session(first.refresh_token, device="other")

    with pytest.raises(RefreshInvalid):
        await identity.refresh_session(first.refresh_token, device="ios")
    assert '"reason":"elsewhere"' in (await EventRecord.get(name="session.refresh-reused")).payload


@pytest.mark.parametrize(("days", "lives"), [(29, True), (31, False)])
async def test_a_session_that_is_not_used_dies_after_the_idle_time(days: int, lives: bool) -> None:
    first = await signed_in()

    with clock.travel(by=timedelta(days=days)):
        if lives:
            assert await identity.refresh_session(first.refresh_token, device="ios")
        else:
            with pytest.raises(RefreshInvalid):
                await identity.refresh_session(first.refresh_token, device="ios")


async def test_a_session_dies_in_the_end_however_busy_it_is() -> None:
    given = await signed_in()
    for day in range(20, 181, 20):
        with clock.travel(by=timedelta(days=day)):
            if day < 180:
                given = await identity.refresh_session(given.refresh_token, device="ios")
                assert given.refresh_expires_in <= (180 - day) * 86_400
            else:
                with pytest.raises(RefreshInvalid):
                    await identity.refresh_session(given.refresh_token, device="ios")


async def test_the_session_knows_no_token_in_clear_and_its_successor_only_under_its_predecessor() -> None:
    first = await signed_in()
    second = await identity.refresh_session(first.refresh_token, device="ios")

    row = await fetch_row("SELECT * FROM sessions WHERE id = $1", first.session_id)

    assert row is not None
    kept = " ".join(str(value) for value in row.values())
    assert first.refresh_token not in kept
    assert second.refresh_token not in kept
    assert refresh_tokens.open_successor(row["successor"], under=first.refresh_token) == second.refresh_token
    with pytest.raises(RefreshInvalid):
        refresh_tokens.open_successor(row["successor"], under=second.refresh_token)


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda t: "",
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: ("A" if t[0] != "A" else "B") + t[1:],
        lambda t: t[:79] + "!",
        lambda t: "é" * 80,
        lambda t: "A" * 80,
    ],
)
async def test_garbage_under_a_session_is_refused_and_ends_nothing(spoiled: Any) -> None:
    first = await signed_in()

    with pytest.raises(RefreshInvalid):
        await identity.refresh_session(spoiled(first.refresh_token), device="ios")

    assert await identity.refresh_session(first.refresh_token, device="ios")


async def test_a_token_made_with_another_secret_is_not_ours() -> None:
    resident = await a_resident()
    with using(token_secret="of another installation"):
        foreign = refresh_tokens.create_token(resident.session_id, 0)

    with pytest.raises(RefreshInvalid):
        await identity.refresh_session(foreign, device="ios")


async def test_a_token_of_ours_that_was_never_given_out_opens_nothing() -> None:
    first = await signed_in()

    for generation in (0, 1, 7):
        with pytest.raises(RefreshInvalid):
            await identity.refresh_session(refresh_tokens.create_token(first.session_id, generation), device="ios")

    assert await identity.refresh_session(first.refresh_token, device="ios")


async def test_a_closed_account_does_not_refresh() -> None:
    first = await signed_in()
    await execute("UPDATE residents SET disabled_at = now() WHERE id = $1", first.resident_id)

    with pytest.raises(RefreshInvalid):
        await identity.refresh_session(first.refresh_token, device="ios")


async def test_signing_out_while_refreshing_ends_the_session_in_either_order() -> None:
    for _ in range(5):
        first = await signed_in()
        resident = identity.AsResident(first.resident_id, first.session_id)

        outcomes = await asyncio.gather(
            identity.refresh_session(first.refresh_token, device="ios"),
            identity.sign_out_resident(resident),
            return_exceptions=True,
        )

        latest = outcomes[0].refresh_token if isinstance(outcomes[0], identity.Tokens) else first.refresh_token
        with pytest.raises(RefreshInvalid):
            await identity.refresh_session(latest, device="ios")


async def test_the_times_of_a_session_are_the_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose clock is two minutes off gives and takes the same tokens as the others."""
    first = await signed_in()
    right = clock.now

    for wrong in (timedelta(minutes=2), timedelta(minutes=-2)):
        monkeypatch.setattr(clock, "now", lambda wrong=wrong: right() + wrong)
        again = await identity.refresh_session(first.refresh_token, device="ios")
        assert tokens.check_token(again.access_token, "resident").subject == first.resident_id
        monkeypatch.setattr(clock, "now", right)
        assert tokens.check_token(again.access_token, "resident").subject == first.resident_id
