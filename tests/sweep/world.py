"""Servers, WeChat Pay's simulator in a process of its own, and a catcher of its pushes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from api.wiring import wire
from backend import cache, database, embedded, migrations
from backend.partners import Partners, equip, partners_from
from backend.settings import Settings, configure, environment, settings
from tests.sweep.dying import Operation

PATIENCE = 20.0


@dataclass
class Caught:
    """A push as it came."""

    headers: dict[str, str]
    body: bytes


@dataclass
class World:
    """Where the simulator is, and what it has pushed."""

    sandbox: str
    caught: list[Caught] = field(default_factory=list)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call a test control of WeChat Pay."""
        request = urllib.request.Request(
            f"{self.sandbox}/sandbox/pay{path}",
            data=json.dumps(body or {}).encode() if method != "GET" else None,
            method=method,
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def next_push(self) -> Caught:
        """The next thing that it pushes."""
        deadline = time.monotonic() + PATIENCE
        while not self.caught:
            if time.monotonic() > deadline:
                raise RuntimeError("WeChat Pay pushed nothing")
            time.sleep(0.005)
        return self.caught.pop(0)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Everything that runs beside the operations, for as long as the block lasts; the settings point to it."""
    with embedded.servers(folder, durable=False) as urls, _catcher() as (url, caught), _sandbox() as (base, given):
        values = Settings(database_url=urls.database_url, redis_url=urls.redis_url, sandbox=True, log_level="ERROR")
        known = {name: value for name, value in given.items() if name in Settings.__dataclass_fields__}
        configure(replace(values, public_base=url, job_retry_seconds="0,0,0", **known))
        asyncio.run(migrations.migrate())
        wire()
        yield World(base, caught)


@contextlib.contextmanager
def _sandbox() -> Iterator[tuple[str, dict[str, str]]]:
    command = [sys.executable, "-m", "backend.partners.sandbox", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(SANDBOX="true"))
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        base = next(word.rstrip(",") for word in words if word.startswith("http"))
        with urllib.request.urlopen(f"{base}/sandbox/settings", timeout=PATIENCE) as answer:
            yield base, json.loads(answer.read())
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def _catcher() -> Iterator[tuple[str, list[Caught]]]:
    caught: list[Caught] = []

    class Catcher(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            caught.append(Caught({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Catcher)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", caught
    finally:
        server.shutdown()


@contextlib.asynccontextmanager
async def living() -> AsyncIterator[Partners]:
    """What a process of the service needs."""
    await database.connect()
    await cache.connect()
    partners = partners_from(settings())
    equip(partners)
    try:
        yield partners
    finally:
        equip(None)
        await partners.close()
        await cache.close()
        await database.close()


async def live(operation: Operation) -> None:
    """Open, do, close."""
    async with living():
        await operation()
