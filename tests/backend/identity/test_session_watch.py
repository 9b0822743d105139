"""An ended session is refused everywhere within seconds, without a query per request (B-07, A-21)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from backend import cache, clock, database, identity
from backend.database import execute, transaction
from backend.identity import session_watch, timing
from backend.identity.errors import SessionStoreUnavailable
from tests.factories.identity import a_resident


async def end_elsewhere(session_id: object) -> None:
    """What another process does to the row."""
    await execute("UPDATE sessions SET ended_at = clock_timestamp(), end_reason = 'x' WHERE id = $1", session_id)


async def test_the_process_that_ends_a_session_refuses_it_at_once() -> None:
    resident = await a_resident()
    assert session_watch.is_live(resident.session_id)

    await identity.sign_out_resident(resident)

    assert not session_watch.is_live(resident.session_id)


async def test_a_session_ended_by_another_process_is_refused_after_the_next_question() -> None:
    resident = await a_resident()
    await end_elsewhere(resident.session_id)
    assert session_watch.is_live(resident.session_id)

    await session_watch.refresh_watch()

    assert not session_watch.is_live(resident.session_id)


async def test_a_process_that_starts_later_knows_what_was_ended_before() -> None:
    resident = await a_resident()
    await identity.sign_out_resident(resident)
    identity.clear_watch()

    await session_watch.ensure_fresh()

    assert not session_watch.is_live(resident.session_id)


async def test_a_mark_that_is_committed_late_is_not_missed() -> None:
    """The row says when it was marked, not when that was committed: each question reaches back far enough."""
    resident = await a_resident()
    await session_watch.refresh_watch()
    marked, committed = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with transaction():
            await end_elsewhere(resident.session_id)
            marked.set()
            await committed.wait()

    other = asyncio.create_task(slowly())
    await marked.wait()
    await session_watch.refresh_watch()
    assert session_watch.is_live(resident.session_id)
    committed.set()
    await other
    await session_watch.refresh_watch()

    assert not session_watch.is_live(resident.session_id)


async def test_emptying_redis_revives_no_session() -> None:
    resident = await a_resident()
    await identity.sign_out_resident(resident)

    await cache.redis().flushdb()
    identity.clear_watch()
    await session_watch.ensure_fresh()

    assert not session_watch.is_live(resident.session_id)


async def test_without_redis_signing_out_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(_: object) -> None:
        raise cache.CacheDown

    resident = await a_resident()
    monkeypatch.setattr(cache, "ask", dead)

    await identity.sign_out_resident(resident)

    assert not session_watch.is_live(resident.session_id)


async def test_the_others_learn_of_it_through_redis_before_they_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "POLL", 60.0)
    resident = await a_resident()
    async with identity.watch_sessions():
        session_watch._ended.clear()
        await publish_until_it_is_received(resident.session_id)

    assert not session_watch.is_live(resident.session_id)


async def test_nonsense_on_the_channel_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "POLL", 60.0)
    resident = await a_resident()
    async with identity.watch_sessions():
        await publish_until_it_is_received(resident.session_id, b"\xff\xfe", b"not-an-id", b"")

    assert not session_watch.is_live(resident.session_id)


async def publish_until_it_is_received(session_id: UUID, *before: bytes) -> None:
    """Say on the channel that the session ended, more than once: the moment of our subscription cannot be seen,
    because channels belong to the whole server and other workers' tests listen too."""
    for _ in range(500):
        for each in (*before, session_id.hex):
            await cache.redis().publish(session_watch.CHANNEL, each)
        await asyncio.sleep(0.01)
        if not session_watch.is_live(session_id):
            return


async def test_watching_asks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "POLL", 0.01)
    resident = await a_resident()
    async with identity.watch_sessions():
        await end_elsewhere(resident.session_id)
        for _ in range(500):
            if not session_watch.is_live(resident.session_id):
                break
            await asyncio.sleep(0.01)

    assert not session_watch.is_live(resident.session_id)


async def test_a_process_that_cannot_poll_for_too_long_accepts_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    await session_watch.ensure_fresh()
    moment = clock.monotonic()

    async def dead(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(session_watch, "fetch", dead)
    monkeypatch.setattr(clock, "monotonic", lambda: moment + 30)
    await session_watch.ensure_fresh()
    monkeypatch.setattr(clock, "monotonic", lambda: moment + session_watch.TOO_OLD + 1)

    with pytest.raises(SessionStoreUnavailable):
        await session_watch.ensure_fresh()


async def test_a_hundred_requests_after_a_pause_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    real = database.fetch

    async def counting(*arguments: object) -> object:
        nonlocal asked
        asked += 1
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(session_watch, "fetch", counting)
    identity.clear_watch()

    await asyncio.gather(*(session_watch.ensure_fresh() for _ in range(100)))

    assert asked == 1


async def test_ended_sessions_are_forgotten_once_all_their_tokens_are_dead() -> None:
    resident = await a_resident()
    await identity.sign_out_resident(resident)

    with clock.travel(by=timedelta(seconds=1100)):
        await session_watch.refresh_watch()

    assert session_watch.is_live(resident.session_id)


async def test_inside_a_transaction_that_may_still_be_rolled_back_nothing_is_announced() -> None:
    resident = await a_resident()
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await identity.sign_out_resident(resident)
            raise ZeroDivisionError

    assert session_watch.is_live(resident.session_id)
    await session_watch.refresh_watch()
    assert session_watch.is_live(resident.session_id)


async def test_the_time_is_the_databases_and_cannot_be_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = await timing.database_now()
    monkeypatch.setattr(clock, "now", lambda: before - timedelta(hours=1))

    assert timing.now() - before < timedelta(seconds=5)
    assert timing.now() >= before
