"""A wire between the service and a server that can be cut, silenced or slowed down while it is in use."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

Weather = Literal["fine", "down", "silent", "slow"]


class FaultProxy:
    """Listens on a port of 127.0.0.1 and passes bytes on to a Unix socket or to (host, port).

    `down` refuses and ends connections, `silent` accepts and answers nothing, `slow` takes `delay` seconds longer
    each way.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self.target = target
        self.weather: Weather = "fine"
        self.delay = 0.0
        self.port = 0
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._wires: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Begin to listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and end what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in list(self._wires):
            wire.transport.abort()
        await asyncio.sleep(0)

    async def turn(self, weather: Weather, delay: float = 0.0) -> None:
        """Change the weather, for open connections too."""
        self.weather, self.delay = weather, delay
        if weather == "down":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            if isinstance(self.target, str):
                far_reader, far_writer = await asyncio.open_unix_connection(self.target)
            else:
                far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._wires |= {writer, far_writer}
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        finally:
            self._wires -= {writer, far_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.weather == "slow":
                    await asyncio.sleep(self.delay)
                # Silence is packets that vanish: they do not arrive when the weather is fine again.
                if self.weather != "silent":
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()
