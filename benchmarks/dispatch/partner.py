"""A WeChat that does nothing but take its time: every call is answered after so many milliseconds, and written down.

It runs as a process of its own (`python -m benchmarks.dispatch.partner PORT MILLISECONDS`) and parses just enough of
HTTP, so that it is never what is measured. `GET /log` gives what was sent since the last request.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import uvloop

HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TO = re.compile(rb'"touser":"([^"]+)"')
_MESSAGE = re.compile(rb"message=([0-9a-f-]{36})")
TOKEN = json.dumps({"access_token": "bench-token", "expires_in": 7200}).encode()


class Partner:
    """What every connection shares: the delay, the log and who is being sent to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.log: list[tuple[float, str, str]] = []
        self.busy: dict[str, int] = {}
        self.overlaps = 0
        self.number = 0

    def take_log(self) -> bytes:
        """The log so far; the next one begins empty."""
        log = json.dumps({"sent": self.log, "overlaps": self.overlaps, "cpu": time.process_time()}).encode()
        self.log, self.overlaps = [], 0
        return log


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, the pause, the answer."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.transport: Any = None
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(HEAD_END)
        if end < 0:
            return
        found = _LENGTH.search(self.buffer, 0, end)
        whole = end + len(HEAD_END) + (int(found.group(1)) if found else 0)
        if len(self.buffer) < whole:
            return
        head, body, self.buffer = self.buffer[:end], self.buffer[end + len(HEAD_END) : whole], self.buffer[whole:]
        target = head.split(b" ", 2)[1]
        if target == b"/log":
            self.answer(self.partner.take_log())
        elif b"stable_token" in target:
            self.answer(TOKEN)
        else:
            self.receive(body)

    def receive(self, body: bytes) -> None:
        """A message: who gets it, which one it is, and whether that person is being sent another just now."""
        partner = self.partner
        to, which = _TO.search(body), _MESSAGE.search(body)
        openid = to.group(1).decode() if to else ""
        partner.log.append((time.perf_counter(), openid, which.group(1).decode() if which else ""))
        partner.overlaps += partner.busy.get(openid, 0) > 0
        partner.busy[openid] = partner.busy.get(openid, 0) + 1
        partner.number += 1
        said = b'{"errcode":0,"errmsg":"ok","msgid":%d}' % partner.number
        asyncio.get_running_loop().call_later(partner.seconds, self.done, openid, said)

    def done(self, openid: str, said: bytes) -> None:
        """The pause is over."""
        self.partner.busy[openid] -= 1
        self.answer(said)

    def answer(self, body: bytes) -> None:
        """200 with JSON."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def serve(port: int, seconds: float) -> None:
    """Answer until the process is ended."""
    partner = Partner(seconds)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(partner), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
