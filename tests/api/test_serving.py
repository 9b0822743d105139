"""Processes that answer: they drain at a signal, finish what is in flight, and die whole."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import psutil

from backend.settings import environment

START = """
import sys
from api import serving
sys.exit(serving.serve(sys.argv[1], listening=lambda address: print(address, flush=True)))
"""


@dataclass
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def get(self, path: str) -> httpx.Response:
        """One request over a connection of its own."""
        return httpx.get(f"{self.address}{path}", timeout=10)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process only."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit status."""
        return await asyncio.to_thread(self.process.wait, 20)

    def listens(self) -> bool:
        """Whether anybody takes connections at the address."""
        host, port = self.address.removeprefix("http://").split(":")
        with socket.socket() as each:
            each.settimeout(1)
            return each.connect_ex((host, int(port))) == 0


@asynccontextmanager
async def serving(app: str = "application", **values: str) -> AsyncIterator[Served]:
    """Serve the slow application; processes that are left at the end are killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, f"tests.api.slow_app:{app}"],
        env=environment(**{"PORT": "0", "HOST": "127.0.0.1", "DRAIN_SECONDS": "0.5", "SHUTDOWN_SECONDS": "3"} | values),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        served = Served(process, (await asyncio.to_thread(process.stdout.readline)).strip())
        if app == "application":
            assert (await asyncio.to_thread(served.get, "/readyz")).status_code == 200
        yield served
    finally:
        for each in _group(process.pid):
            each.kill()
        process.wait()
        process.stdout.close()


def _group(leader: int) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        try:
            if os.getpgid(each.pid) == leader and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


async def becomes(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether the condition becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if await asyncio.to_thread(condition):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_readiness_turns_before_the_listener_closes():
    async with serving(DRAIN_SECONDS="3") as served, httpx.AsyncClient(base_url=served.address) as client:
        served.send_signal(signal.SIGTERM)
        answers: list[int] = []
        began = time.monotonic()
        while time.monotonic() - began < 0.4:
            answers.append((await client.get("/readyz")).status_code)
            await asyncio.sleep(0.02)

        assert answers[-1] == 503
        assert answers == sorted(answers)
        assert (await client.get("/")).status_code == 200
        assert await served.ended() == 0
        assert not served.listens()


async def test_nothing_in_flight_is_lost_while_draining_under_load():
    async with serving() as served, httpx.AsyncClient(base_url=served.address, timeout=10) as client:
        slow = [asyncio.create_task(client.get("/slow")) for _ in range(40)]
        await asyncio.sleep(0.4)
        served.send_signal(signal.SIGTERM)

        answers = await asyncio.gather(*slow)

        assert [each.status_code for each in answers] == [200] * 40
        assert await served.ended() == 0


async def test_a_request_that_never_ends_does_not_keep_the_process():
    async with serving() as served, httpx.AsyncClient(base_url=served.address, timeout=30) as client:
        hanging = asyncio.create_task(client.get("/hang"))
        await asyncio.sleep(0.3)
        served.send_signal(signal.SIGTERM)
        began = time.monotonic()

        assert await served.ended() == 0
        assert time.monotonic() - began < 5.0
        assert isinstance((await asyncio.gather(hanging, return_exceptions=True))[0], httpx.HTTPError | httpx.Response)


async def test_a_second_order_ends_it_at_once():
    async with serving() as served, httpx.AsyncClient(base_url=served.address, timeout=30) as client:
        hanging = asyncio.create_task(client.get("/hang"))
        await asyncio.sleep(0.3)
        served.send_signal(signal.SIGINT)
        await asyncio.sleep(1.2)
        served.send_signal(signal.SIGINT)
        began = time.monotonic()

        assert await served.ended() == 0
        assert time.monotonic() - began < 1.5
        await asyncio.gather(hanging, return_exceptions=True)


async def test_several_processes_share_one_port_and_end_together():
    async with serving(WORKERS="3") as served:
        pids = {served.get("/pid").text for _ in range(60)}
        assert len(pids) > 1
        assert str(served.process.pid) not in pids

        served.send_signal(signal.SIGTERM)

        assert await served.ended() == 0
        assert _group(served.process.pid) == []
        assert not served.listens()


async def test_several_processes_lose_nothing_when_the_whole_group_gets_the_signal():
    async with (
        serving(WORKERS="2") as served,
        httpx.AsyncClient(base_url=served.address, timeout=10) as client,
    ):
        slow = [asyncio.create_task(client.get("/slow")) for _ in range(20)]
        await asyncio.sleep(0.4)
        os.killpg(served.process.pid, signal.SIGTERM)

        assert [each.status_code for each in await asyncio.gather(*slow)] == [200] * 20
        assert await served.ended() == 0


async def test_a_killed_parent_leaves_no_process_and_no_listener():
    async with serving(WORKERS="3") as served:
        served.send_signal(signal.SIGKILL)

        assert await becomes(lambda: not served.listens())
        assert await becomes(lambda: _group(served.process.pid) == [])


async def test_a_killed_child_is_replaced():
    async with serving(WORKERS="1") as alone:
        assert alone.get("/pid").text == str(alone.process.pid)
    async with serving(WORKERS="2") as served:
        assert await becomes(lambda: len({served.get("/pid").text for _ in range(30)}) == 2)
        victim = int(served.get("/pid").text)
        os.kill(victim, signal.SIGKILL)

        def replaced() -> bool:
            try:
                pids = {int(served.get("/pid").text) for _ in range(30)}
            except httpx.HTTPError:
                return False
            return victim not in pids and len(pids) == 2

        assert await becomes(replaced)


async def test_an_application_that_cannot_start_ends_everything_with_status_3():
    for workers in ("1", "2"):
        async with serving("broken", WORKERS=workers) as served:
            assert await served.ended() == 3
            assert _group(served.process.pid) == []


async def test_an_address_in_use_is_said_plainly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "api.cli", "serve", "--port", str(taken.getsockname()[1])],
            env=environment(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", REDIS_URL="redis://127.0.0.1:1/0"),
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "in use" in done.stderr
