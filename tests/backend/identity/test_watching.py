"""An ended session is refused everywhere within seconds, without a query per request (B-07, A-21)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from backend import cache, clock, database, identity
from backend.database import execute, transaction
from backend.identity import timing, watching
from backend.identity.errors import SessionStoreUnavailable
from tests.factories.identity import a_resident


async def end_elsewhere(session_id: object) -> None:
    """What another process does to the row."""
    await execute("UPDATE sessions SET ended_at = clock_timestamp(), end_reason = 'x' WHERE id = $1", session_id)


async def test_the_process_that_ends_a_session_refuses_it_at_once() -> None:
    resident = await a_resident()
    assert watching.lives(resident.session_id)

    await identity.sign_out(resident)

    assert not watching.lives(resident.session_id)


async def test_a_session_ended_by_another_process_is_refused_after_the_next_question() -> None:
    resident = await a_resident()
    await end_elsewhere(resident.session_id)
    assert watching.lives(resident.session_id)

    await watching.refresh()

    assert not watching.lives(resident.session_id)


async def test_a_process_that_starts_later_knows_what_was_ended_before() -> None:
    resident = await a_resident()
    await identity.sign_out(resident)
    identity.forget()

    await watching.fresh()

    assert not watching.lives(resident.session_id)


async def test_a_mark_that_is_committed_late_is_not_missed() -> None:
    """The row says when it was marked, not when that was committed: each question reaches back far enough."""
    resident = await a_resident()
    await watching.refresh()
    marked, committed = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with transaction():
            await end_elsewhere(resident.session_id)
            marked.set()
            await committed.wait()

    other = asyncio.create_task(slowly())
    await marked.wait()
    await watching.refresh()
    assert watching.lives(resident.session_id)
    committed.set()
    await other
    await watching.refresh()

    assert not watching.lives(resident.session_id)


async def test_emptying_redis_frees_nobody() -> None:
    resident = await a_resident()
    await identity.sign_out(resident)

    await cache.redis().flushdb()
    identity.forget()
    await watching.fresh()

    assert not watching.lives(resident.session_id)


async def test_without_redis_signing_out_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(_: object) -> None:
        raise cache.CacheDown

    resident = await a_resident()
    monkeypatch.setattr(cache, "ask", dead)

    await identity.sign_out(resident)

    assert not watching.lives(resident.session_id)


async def test_the_others_hear_of_it_through_redis_before_they_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL", 60.0)
    resident = await a_resident()
    async with identity.watch():
        watching._ended.clear()
        await tell_until_it_is_heard(resident.session_id)

    assert not watching.lives(resident.session_id)


async def test_nonsense_on_the_channel_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL", 60.0)
    resident = await a_resident()
    async with identity.watch():
        await tell_until_it_is_heard(resident.session_id, b"\xff\xfe", b"not-an-id", b"")

    assert not watching.lives(resident.session_id)


async def tell_until_it_is_heard(session_id: UUID, *before: bytes) -> None:
    """Say on the channel that the session ended, more than once: nobody can see when we listen, because channels belong
    to the whole server and other workers' tests listen too."""
    for _ in range(500):
        for each in (*before, session_id.hex):
            await cache.redis().publish(watching.CHANNEL, each)
        await asyncio.sleep(0.01)
        if not watching.lives(session_id):
            return


async def test_watching_asks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL", 0.01)
    resident = await a_resident()
    async with identity.watch():
        await end_elsewhere(resident.session_id)
        for _ in range(500):
            if not watching.lives(resident.session_id):
                break
            await asyncio.sleep(0.01)

    assert not watching.lives(resident.session_id)


async def test_who_cannot_ask_for_too_long_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    await watching.fresh()
    moment = clock.monotonic()

    async def dead(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(watching, "fetch", dead)
    monkeypatch.setattr(clock, "monotonic", lambda: moment + 30)
    await watching.fresh()
    monkeypatch.setattr(clock, "monotonic", lambda: moment + watching.TOO_OLD + 1)

    with pytest.raises(SessionStoreUnavailable):
        await watching.fresh()


async def test_a_hundred_requests_after_a_pause_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    real = database.fetch

    async def counting(*arguments: object) -> object:
        nonlocal asked
        asked += 1
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(watching, "fetch", counting)
    identity.forget()

    await asyncio.gather(*(watching.fresh() for _ in range(100)))

    assert asked == 1


async def test_ended_sessions_are_forgotten_once_all_their_tokens_are_dead() -> None:
    resident = await a_resident()
    await identity.sign_out(resident)

    with clock.travel(by=timedelta(seconds=1100)):
        await watching.refresh()

    assert watching.lives(resident.session_id)


async def test_inside_a_transaction_that_may_still_be_rolled_back_nothing_is_announced() -> None:
    resident = await a_resident()
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await identity.sign_out(resident)
            raise ZeroDivisionError

    assert watching.lives(resident.session_id)
    await watching.refresh()
    assert watching.lives(resident.session_id)


async def test_the_time_is_the_databases_and_cannot_be_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = await timing.database_now()
    monkeypatch.setattr(clock, "now", lambda: before - timedelta(hours=1))

    assert timing.now() - before < timedelta(seconds=5)
    assert timing.now() >= before
