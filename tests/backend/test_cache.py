"""Counters that no caller slips past, locks that are released, and a dead Redis that no request waits for."""

from __future__ import annotations

import asyncio

import pytest

from backend import cache, clock
from backend.cache import CacheDown, count_within, lock
from backend.settings import using


async def test_of_two_hundred_at_once_exactly_the_limit_passes():
    verdicts = await asyncio.gather(*(count_within("crowd", 10, 60) for _ in range(200)))

    assert sum(verdict.allowed for verdict in verdicts) == 10
    assert {verdict.remaining for verdict in verdicts if verdict.allowed} == set(range(10))
    assert all(1 <= verdict.retry_after <= 60 for verdict in verdicts)


async def test_when_the_window_is_over_counting_begins_anew():
    assert (await count_within("window", 1, 0.1)).allowed
    assert not (await count_within("window", 1, 0.1)).allowed

    await asyncio.sleep(0.15)

    assert (await count_within("window", 1, 0.1)).allowed


async def test_a_counter_that_lost_its_end_gets_one():
    await cache.ask(lambda r: r.set("limit:endless", 3))

    await count_within("endless", 10, 5)

    assert 0 < await cache.ask(lambda r: r.pttl("limit:endless")) <= 5000


async def test_only_one_holds_a_lock_and_its_end_frees_it():
    async with lock("x", 5) as first, lock("x", 5) as second:
        assert (first, second) == (True, False)

    async with lock("x", 5) as third:
        assert third


async def test_a_lock_that_ran_out_is_not_taken_from_its_new_holder():
    first, second = lock("y", 0.05), lock("y", 5)
    assert await first.__aenter__()
    await asyncio.sleep(0.1)
    assert await second.__aenter__()

    await first.__aexit__(None, None, None)

    assert await cache.ask(lambda r: r.exists("lock:y")) == 1
    await second.__aexit__(None, None, None)
    async with lock("y", 5) as third:
        assert third


async def test_locks_that_ran_out_are_no_failures_of_redis():
    for _ in range(cache.OPENS_AFTER):
        async with lock("w", 0.01) as held:
            assert held
            await asyncio.sleep(0.02)

    assert (await count_within("after", 1, 1)).allowed


async def test_a_lock_is_not_waited_for_longer_than_asked():
    async with lock("v", 5):
        before = clock.monotonic()
        async with lock("v", 5, wait=0.1) as held:
            assert not held
        assert clock.monotonic() - before < 1


async def test_a_listener_gets_every_message_of_its_pattern_and_no_other():
    messages: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
    task = asyncio.create_task(cache.listen("news:*", lambda *message: messages.put_nowait(message)))
    await _subscribed()
    for channel in ("news:a", "other", "news:b"):
        await cache.ask(lambda r, channel=channel: r.publish(channel, channel.upper()))

    assert [await messages.get(), await messages.get()] == [(b"news:a", b"NEWS:A"), (b"news:b", b"NEWS:B")]
    task.cancel()


async def test_a_listener_reports_a_lost_subscription_and_subscribes_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "LISTEN_AGAIN", 0.01)
    states: asyncio.Queue[bool] = asyncio.Queue()
    task = asyncio.create_task(cache.listen("lost:*", lambda *_: None, connected=states.put_nowait))
    await _subscribed()
    await cache.ask(lambda r: r.client_kill_filter(_type="pubsub"))

    assert [await states.get() for _ in range(3)] == [True, False, True]
    task.cancel()


async def _subscribed() -> None:
    """Wait until Redis knows of a subscription to a pattern."""
    async with asyncio.timeout(5):
        while not await cache.ask(lambda r: r.pubsub_numpat()):  # noqa: ASYNC110 - another process knows
            await asyncio.sleep(0.01)


async def test_a_lock_is_waited_for_as_long_as_asked():
    async def holder() -> None:
        async with lock("z", 5):
            await asyncio.sleep(0.1)

    task = asyncio.create_task(holder())
    await asyncio.sleep(0.02)
    async with lock("z", 5, wait=1.0) as held:
        assert held
    await task


async def test_no_request_waits_for_a_dead_redis_after_the_third_failure(monkeypatch: pytest.MonkeyPatch):
    asked: list[None] = []
    client = cache.redis
    await cache.close()
    with using(redis_url="redis://127.0.0.1:9/0"):
        await cache.connect()
        for _ in range(cache.OPENS_AFTER):
            with pytest.raises(CacheDown):
                await count_within("a", 1, 1)
        monkeypatch.setattr(cache, "redis", lambda: asked.append(None) or client())
        for _ in range(100):
            with pytest.raises(CacheDown):
                await count_within("a", 1, 1)
        assert asked == []
        monkeypatch.undo()
        await cache.close()
    await cache.connect()
    assert (await count_within("a", 1, 1)).allowed
