"""The partner of the dispatch benchmark logs truly what it was sent, and the check reads its log rightly."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from benchmarks.dispatch import report
from benchmarks.dispatch.partner import Connection, Partner
from benchmarks.dispatch.sending import check
from benchmarks.dispatch.stage import Waiting


async def asked(port: int, path: str, body: bytes = b"") -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    reported: dict[str, Any] = json.loads(await reader.readexactly(length))
    writer.close()
    return reported


async def test_the_partner_takes_its_time_and_writes_down_who_was_sent_what_and_who_two_at_once():
    partner, messages = Partner(0.05), [str(uuid4()) for _ in range(3)]
    server = await asyncio.get_running_loop().create_server(lambda: Connection(partner), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    pairs = list(zip("aab", messages, strict=True))

    def sent(openid: str, message: str) -> bytes:
        return json.dumps({"touser": openid, "page": f"p?message={message}"}, separators=(",", ":")).encode()

    async with server:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(asked(port, "/cgi-bin/message/subscribe/send", sent(who, what)) for who, what in pairs))
        took = asyncio.get_running_loop().time() - began
        log, emptied = await asked(port, "/log"), await asked(port, "/log")

    assert took >= 0.05
    assert sorted((who, what) for _, who, what in log["sent"]) == sorted(pairs)
    assert (log["overlaps"], emptied["sent"]) == (1, [])


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("a1 b1 a2", {}),
        ("a2 a1 b1", {"out_of_order": 1}),
        ("a1 a1 a2 b1", {"twice": 1}),
        ("a1 b1", {"lost": 1, "out_of_order": 1}),
        ("a1 a2 b1 c1", {"foreign": 1}),
    ],
)
def test_every_fault_of_a_log_is_found(sent: str, found: dict[str, int]):
    ids: dict[str, Any] = {name: uuid4() for name in ("a1", "a2", "b1", "c1")}
    made = [Waiting(ids[name], name[0]) for name in ("a1", "b1", "a2")]
    log = {"sent": [[0.0, name[0], str(ids[name])] for name in sent.split()], "overlaps": 0}

    reported = check(log, made, {"waiting": 0, "not_sent": 0, "uncertain": 0})

    assert {name: count for name, count in reported.items() if count} == found
    kept = report.goals({"ratios": {"ours/bare": 0.6}, "backlog": reported})
    assert all(goal.kept for goal in kept) is (not found)
