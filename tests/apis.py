"""The service as processes of its own (`zhangban serve`) on the database and the Redis of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from api.demo.processes import Processes, free_ports
from backend.settings import environment, settings


class Apis:
    """Serving processes by name, each at an address that stays the same when it is killed and started again."""

    def __init__(self, folder: Path, **values: str) -> None:
        here = settings()
        self._processes = Processes(
            folder,
            environment(
                DATABASE_URL=here.database_url,
                REDIS_URL=here.redis_url,
                HOST="127.0.0.1",
                SANDBOX="true",
                DRAIN_SECONDS="0.1",
                SHUTDOWN_SECONDS="3",
                LOG_LEVEL="WARNING",
                **values,
            ),
            lifeline=-1,
        )
        self._ports: dict[str, int] = {}

    def address(self, name: str) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self, name: str) -> str:
        """Start it, or start it again; the address, once it is ready."""
        self._ports.setdefault(name, free_ports(1)[0])
        self._processes.start(name, "api.cli", "serve", "--port", str(self._ports[name]))
        async with aiohttp.ClientSession() as http:
            await self._processes.until_ready(name, f"{self.address(name)}/readyz", http)
        return self.address(name)

    def kill(self, name: str) -> None:
        """SIGKILL, as when a machine loses its power."""
        self._processes.kill(name)

    async def stop(self) -> None:
        """End all of them."""
        await self._processes.stop()


@asynccontextmanager
async def apis(folder: Path, **values: str) -> AsyncIterator[Apis]:
    """Every process that is started inside the block is ended after it; `values` are environment variables."""
    running = Apis(folder, **values)
    try:
        yield running
    finally:
        await running.stop()
