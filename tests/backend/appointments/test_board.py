"""The board: what it shows, and that it is followed over real HTTP, by many, through a Redis that comes and goes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from litestar import Litestar
from redis.exceptions import ConnectionError as RedisGone
from uuid_utils.compat import uuid7

from api.edge import Edge
from api.serving import Server, listen
from backend import cache, clock
from backend.appointments import attending, board, calling
from backend.appointments.errors import BoardFull
from backend.database import execute, transaction
from backend.identity.principals import AsOperator
from backend.regions.errors import HallNotFound
from backend.settings import using
from models.appointments import ServiceLine, Window
from tests.backend.appointments.test_calling import in_queue
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment, many_people

STAFF = AsOperator()


async def a_hall_at_work(waiting: int = 3) -> tuple[ServiceLine, Window, UUID]:
    """A line with a window and people who wait."""
    line = await a_line()
    window = await a_window(line, "7")
    for _ in range(waiting):
        await in_queue(line)
    return line, window, line.hall_id  # type: ignore[attr-defined]


# -- what it shows ---------------------------------------------------------------------------------------


async def test_the_board_shows_who_is_called_where_and_how_many_wait():
    line, window, hall_id = await a_hall_at_work()
    shut = await a_line(hall=await line.hall)

    first = await calling.call_next(STAFF, window.id)
    await calling.call_ticket_again(STAFF, first.id)
    found = await board.get_board(hall_id)

    assert [(each.label, each.window, each.calls) for each in found.called] == [(first.label, "7", 2)]
    assert [(each.code, each.waiting, each.windows) for each in found.lines] == sorted(
        [(line.code, 2, 1), (shut.code, 0, 0)]
    )
    mine = next(each for each in found.lines if each.code == line.code)
    other = next(each for each in found.lines if each.code == shut.code)
    assert mine.next == [f"{line.code}002", f"{line.code}003"]
    assert (mine.minutes, other.minutes) == (16, None)


async def test_the_board_names_no_person():
    line = await a_line()
    slot = await a_slot(5, line, timedelta(seconds=1), day=clock.today())
    people = await many_people(2)
    visits = [await an_appointment(slot, each) for each in people]
    for each in visits:
        await attending.check_in(STAFF, each.id)

    shown = (await board.get_frame(slot.hall_id)).body.decode()

    for secret in (*(each.number for each in visits), *(str(each.id) for each in (*visits, *people))):
        assert secret not in shown


async def test_yesterday_is_not_on_the_board():
    _, window, hall_id = await a_hall_at_work()
    await calling.call_next(STAFF, window.id)
    await execute("UPDATE tickets SET day = day - 1")

    found = await board.get_board(hall_id)

    assert found.called == []
    assert [each.waiting for each in found.lines] == [0]


async def test_a_hall_that_does_not_exist_has_no_board():
    with pytest.raises(HallNotFound):
        await board.get_board(uuid7())
    with pytest.raises(HallNotFound):
        await board.stream_board(uuid7())


# -- following it over real HTTP -------------------------------------------------------------------------


@pytest.fixture
async def address(app: Litestar) -> AsyncIterator[str]:
    """The application behind a real socket."""
    socket = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        Edge(app),  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[socket]))
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    board.end_board_streams()
    server.should_exit = True
    await serving
    board.begin_streams()


class Follower:
    """A client of the stream: what came, and when."""

    def __init__(self) -> None:
        self.boards: list[tuple[float, dict[str, Any]]] = []
        self.comments = 0
        self.status = 0
        self.more = asyncio.Event()

    async def run(self, address: str, hall_id: UUID) -> None:
        """Read until the stream ends."""
        async with (
            httpx.AsyncClient(timeout=None) as client,
            client.stream("GET", f"{address}/v1/public/halls/{hall_id}/board/stream") as answer,
        ):
            self.status = answer.status_code
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.boards.append((time.monotonic(), json.loads(line.removeprefix("data: "))))
                elif line.startswith(":"):
                    self.comments += 1
                self.more.set()

    async def until(self, count: int, seconds: float = 5.0) -> dict[str, Any]:
        """The newest board once so many came."""
        async with asyncio.timeout(seconds):
            while len(self.boards) < count:
                self.more.clear()
                await self.more.wait()
        return self.boards[-1][1]


async def until(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until it is so. Raises TimeoutError."""
    end = time.monotonic() + seconds
    for _ in iter(happened, True):
        if time.monotonic() > end:
            raise TimeoutError(happened)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def following(address: str, hall_id: UUID, number: int) -> AsyncIterator[list[Follower]]:
    """So many clients that have the first snapshot."""
    clients = [Follower() for _ in range(number)]
    tasks = [asyncio.create_task(each.run(address, hall_id)) for each in clients]
    try:
        await asyncio.gather(*(each.until(1) for each in clients))
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_two_clients_see_the_same_call_within_a_second(address: str):
    _, window, hall_id = await a_hall_at_work()

    async with following(address, hall_id, 2) as clients:
        began = time.monotonic()
        called = await calling.call_next(STAFF, window.id)
        seen = await asyncio.gather(*(each.until(2) for each in clients))

    assert seen[0] == seen[1]
    assert [each["label"] for each in seen[0]["called"]] == [called.label]
    assert all(each.boards[1][0] - began < 1.0 for each in clients)


async def test_a_client_that_comes_back_gets_the_snapshot_first(address: str):
    _, window, hall_id = await a_hall_at_work()
    async with following(address, hall_id, 1):
        pass
    called = await calling.call_next(STAFF, window.id)

    async with following(address, hall_id, 1) as [client]:
        first = client.boards[0][1]

    assert [each["label"] for each in first["called"]] == [called.label]


async def test_what_another_process_announces_is_seen_within_a_second(address: str):
    line, _, hall_id = await a_hall_at_work()

    async with following(address, hall_id, 2) as clients:
        await asyncio.sleep(0.5)  # let the subscription stand
        began = time.monotonic()
        async with transaction():
            await in_queue(line)
        await cache.redis().publish(f"{board.CHANNEL}{hall_id.hex}", b"1")
        seen = await asyncio.gather(*(each.until(2) for each in clients))

    assert all(each["lines"][0]["waiting"] == 4 for each in seen)
    assert all(each.boards[1][0] - began < 1.0 for each in clients)


async def test_without_redis_the_board_is_looked_at_every_few_seconds(address: str, monkeypatch: pytest.MonkeyPatch):
    line, _, hall_id = await a_hall_at_work()

    def gone() -> None:
        raise RedisGone("no Redis")

    monkeypatch.setattr(cache, "redis", gone)
    async with following(address, hall_id, 2) as clients:
        await in_queue(line)
        began = time.monotonic()
        seen = await asyncio.gather(*(each.until(2, board.LOOK_AGAIN_DEAF + 3) for each in clients))

    assert all(each["lines"][0]["waiting"] == 4 for each in seen)
    assert all(each.boards[1][0] - began < board.LOOK_AGAIN_DEAF + 1 for each in clients)


async def test_many_listeners_cost_one_look_per_change(address: str, monkeypatch: pytest.MonkeyPatch):
    _, window, hall_id = await a_hall_at_work()
    looks = 0
    real = board.get_board

    async def counted(hall: UUID) -> board.Board:
        nonlocal looks
        looks += 1
        return await real(hall)

    async with following(address, hall_id, 30) as clients:
        await asyncio.sleep(0.5)
        monkeypatch.setattr(board, "get_board", counted)
        await calling.call_next(STAFF, window.id)
        await asyncio.gather(*(each.until(2) for each in clients))
        await asyncio.sleep(0.3)

    assert 1 <= looks <= 3


async def test_a_burst_of_changes_ends_with_the_last_one_on_every_screen(address: str):
    line, window, hall_id = await a_hall_at_work(0)
    tickets = [await in_queue(line) for _ in range(12)]

    async with following(address, hall_id, 3) as clients:
        for _ in tickets:
            await calling.serve_ticket(STAFF, (await calling.call_next(STAFF, window.id)).id)
        await until(lambda: not any(each.boards[-1][1]["lines"][0]["waiting"] for each in clients))

    assert all(len(each.boards) <= 26 for each in clients)


async def test_streams_outlive_the_time_that_a_request_may_take_and_hearts_beat(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    _, window, hall_id = await a_hall_at_work()
    monkeypatch.setattr(board, "HEARTBEAT", 0.2)

    with using(request_timeout=0.5):
        async with following(address, hall_id, 1) as [client]:
            await asyncio.sleep(1.2)
            called = await calling.call_next(STAFF, window.id)
            seen = await client.until(2)

    assert [each["label"] for each in seen["called"]] == [called.label]
    assert client.comments >= 3


async def test_a_stream_ends_after_its_time_and_its_place_is_free_again(address: str, monkeypatch: pytest.MonkeyPatch):
    _, _, hall_id = await a_hall_at_work()
    monkeypatch.setattr(board, "LONGEST", 0.3)
    monkeypatch.setattr(board, "HEARTBEAT", 0.1)
    client = Follower()

    async with asyncio.timeout(5):
        await client.run(address, hall_id)

    assert client.status == 200
    assert len(client.boards) == 1
    assert hall_id not in board._halls


async def test_one_client_more_than_may_follow_is_refused_with_a_retry_time(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    _, _, hall_id = await a_hall_at_work()
    monkeypatch.setattr(board, "STREAMS", 2)

    async with following(address, hall_id, 2), httpx.AsyncClient() as client:
        refused = await client.get(f"{address}/v1/public/halls/{hall_id}/board/stream")
        shown = await client.get(f"{address}/v1/public/halls/{hall_id}/board")

    assert (refused.status_code, refused.json()["code"]) == (503, "board-full")
    assert int(refused.headers["retry-after"]) > 0
    assert shown.status_code == 200


async def test_streams_that_end_are_forgotten(address: str):
    _, _, hall_id = await a_hall_at_work()

    async with following(address, hall_id, 3):
        assert board._halls[hall_id].subscribers == 3
    await until(lambda: hall_id not in board._halls)

    assert board._subscription.task is None


async def test_a_client_that_does_not_read_is_dropped(address: str, monkeypatch: pytest.MonkeyPatch):
    _, _, hall_id = await a_hall_at_work()
    big = board.Frame("1", b'"' + b"x" * 20_000_000 + b'"')

    async def heavy(_: UUID) -> board.Frame:
        return big

    monkeypatch.setattr(board, "get_frame", heavy)
    monkeypatch.setattr(board, "HEARTBEAT", 0.1)
    host, port = address.removeprefix("http://").split(":")
    with using(request_timeout=0.4):
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /v1/public/halls/{hall_id}/board/stream HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: hall_id in board._halls)
        await until(lambda: hall_id not in board._halls)
    writer.close()

    assert reader is not None


async def test_a_process_that_stops_ends_its_streams_at_once(address: str):
    _, _, hall_id = await a_hall_at_work()
    client = Follower()
    running = asyncio.create_task(client.run(address, hall_id))
    await client.until(1)

    board.end_board_streams()
    async with asyncio.timeout(2):
        await running

    with pytest.raises(BoardFull):
        await board.stream_board(hall_id)
