"""HTTP: one process, or several children sharing one listening socket.

After a stop signal a process first answers 503 on /readyz for `drain_seconds`, so that the load balancer goes
elsewhere; then it closes the subscriber, finishes what is in flight within `shutdown_seconds` and ends. Children
hold a lifeline to their parent: when it dies, even by SIGKILL, they close the subscriber at once and follow.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from api.health import Draining
from api.loading import uncollected
from backend import appointments, logs, shutdown
from backend.settings import environment, settings

log = logging.getLogger(__name__)

APPLICATION = "api.app:application"
"""Module and function that makes the ASGI application."""
LAST_SECONDS = 1.5
"""On top of draining and shutting down: what closing the pools may take before the process is ended by force."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: `shutdown.Orders` has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """The listening socket; port 0 takes a free one. Raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def serve(
    app: str = APPLICATION, *, lifeline: int | None = None, listening: Callable[[str], Any] = lambda _: None
) -> int:
    """Answer requests until a signal stops it; the exit status of the process.

    `listening` is called with the address as soon as connections are accepted, `lifeline` is watched when given.
    """
    values = settings()
    subscriber = listen(values.host, values.port)
    listening(_address(subscriber))
    if values.workers <= 1:
        return answer(app, subscriber, lifeline)
    return asyncio.run(_Parent(app, subscriber, values.workers).run(lifeline))


def answer(app: str, subscriber: socket.socket, lifeline: int | None) -> int:
    """Answer on this socket in this process."""
    config = uvicorn.Config(
        app,
        factory=True,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who the client is, is decided in api/limits.py from TRUSTED_PROXIES
        timeout_keep_alive=75,  # longer than nginx keeps an idle connection, so that it is nginx who closes it
        timeout_graceful_shutdown=max(1, int(settings().shutdown_seconds)),
    )
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_until_signalled(Server(config), subscriber, lifeline))
    except SystemExit as failed:  # uvicorn's word for an application that does not start
        return int(failed.code or 0)
    return 0


async def _until_signalled(server: Server, subscriber: socket.socket, lifeline: int | None) -> None:
    orders = _orders(_begin_draining)
    if lifeline is not None:
        orders.watch(lifeline)
    with uncollected():
        server.config.load()
    serving = asyncio.create_task(server.serve(sockets=[subscriber]))
    stopped = asyncio.create_task(orders.stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if stopped.done() and not orders.orphaned:
        await _first(orders.hurry.wait(), settings().drain_seconds)
    server.should_exit = True
    in_a_hurry = asyncio.create_task(orders.hurry.wait())
    await asyncio.wait({serving, in_a_hurry}, return_when=asyncio.FIRST_COMPLETED)
    server.force_exit = in_a_hurry.done()
    await serving
    stopped.cancel()
    in_a_hurry.cancel()


def _begin_draining() -> None:
    Draining.begun = True
    appointments.end_board_streams()


def _orders(on_stop: Callable[[], None]) -> shutdown.Orders:
    values = settings()
    return shutdown.Orders(values.drain_seconds + values.shutdown_seconds + LAST_SECONDS, on_stop)


async def _first(waited: Any, seconds: float) -> None:
    try:
        await asyncio.wait_for(waited, seconds)
    except TimeoutError:
        return


class _Parent:
    """Keeps the wanted number of children alive; answers nothing itself."""

    def __init__(self, app: str, subscriber: socket.socket, count: int) -> None:
        self.app, self.subscriber, self.count = app, subscriber, count
        self.children: set[Process] = set()
        self.failed = False

    async def run(self, lifeline: int | None) -> int:
        orders = _orders(self._pass_on)
        if lifeline is not None:
            orders.watch(lifeline)
        with shutdown.lifeline() as ours:
            keeping = [asyncio.create_task(self._keep_one(orders, ours)) for _ in range(self.count)]
            await orders.stop.wait()
            # While the children drain, they alone hold the subscriber: what we held open would look alive.
            self.subscriber.close()
            values = settings()
            _, late = await asyncio.wait(keeping, timeout=values.drain_seconds + values.shutdown_seconds + 1)
            for child in self.children if late else ():
                child.kill()
            await asyncio.gather(*keeping)
        return STARTUP_FAILURE if self.failed else 0

    async def _keep_one(self, orders: shutdown.Orders, lifeline: int) -> None:
        while not orders.stop.is_set():
            child = await self._start(lifeline)
            self.children.add(child)
            if orders.stop.is_set():
                child.terminate()
            status = await child.wait()
            self.children.discard(child)
            if status == STARTUP_FAILURE:
                self.failed = True
                if not orders.stop.is_set():
                    orders.give()
            elif not orders.stop.is_set():
                log.error(
                    "serving process died, starting another",
                    extra={"event": "serve.process-died", "exit_status": status},
                )
                await _first(orders.stop.wait(), 1.0)

    async def _start(self, lifeline: int) -> Process:
        descriptors = (self.subscriber.fileno(), lifeline)
        values = settings()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "api.serving",
            self.app,
            *map(str, descriptors),
            pass_fds=descriptors,
            env=environment(DATABASE_URL=values.database_url, REDIS_URL=values.redis_url),
        )

    def _pass_on(self) -> None:
        for child in self.children:
            child.terminate()


def _address(subscriber: socket.socket) -> str:
    host, port = subscriber.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _main() -> None:
    app, subscriber, lifeline = sys.argv[1:4]
    logs.configure(settings().log_level)
    sys.exit(answer(app, socket.socket(fileno=int(subscriber)), int(lifeline)))


if __name__ == "__main__":
    _main()
