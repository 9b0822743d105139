"""The limit: the same work with nothing around it.

One coroutine, no router, no framework, no port: the form, MD5 over the raw parameter, JSON, and the statements with
which the service stores a push, in one transaction on a pool without resets, with no more requests inside than there
are connections. What cannot be left out without doing less (sealing what is kept) is the same function that the service
calls; of the nodes only what the service keeps is made.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from uuid_utils.compat import uuid7

from backend.crypto import seal
from backend.deliveries.callbacks import _STORE, SEALED
from backend.events import _INSERT
from backend.sql import named
from benchmarks.bare import Bare, body_of, respond

SALT = os.environ["KUAIDI100_SALT"].encode()
SHARDS = 16
CHINA = "+08:00"
OK = '{"result":true,"returnCode":"200","message":"成功"}'.encode()


class Push(Bare):
    """The whole program."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = await body_of(receive)
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        param = fields.get("param", "").encode()
        if hashlib.md5(param + SALT).hexdigest().upper() != fields.get("sign"):  # noqa: S324 - their choice
            await respond(send, 401, b"{}")
            return
        said = msgspec.json.decode(param)
        async with self.gate:
            connection = await self.pool.acquire()
            try:
                await store(connection, said, param.decode())
            finally:
                await self.pool.release(connection)
        await respond(send, 200, OK)


async def store(connection: Any, said: dict[str, Any], param: str) -> None:
    """Keep the push once, with its fact and its job."""
    last, message, event, now = said["lastResult"], uuid7(), uuid7(), datetime.now(UTC)
    nodes = [
        {"event_at": each["ftime"].replace(" ", "T") + CHINA, "code": each["statusCode"], "raw_text": each["context"],
         "area_code": each.get("areaCode"), "area_name": each.get("areaName")}
        for each in last["data"]
    ]  # fmt: skip
    track = {"waybill": last["nu"], "company": last["com"], "nodes": nodes}
    sealed = seal(
        msgspec.json.encode({"signed": True, "tracks": [track], "plaintext": param}).decode(), where=SEALED, row=message
    )
    async with connection.transaction():
        identity = hashlib.sha256(param.encode()).hexdigest()
        if await connection.fetchval(_STORE, message, now, "kuaidi100", identity, sealed) is None:
            return
        job = ([0], ["events.dispatch"], [b'{"event_id":"%s"}' % str(event).encode()], [timedelta(0)], [None], ["null"])
        values = {
            "id": event, "shard": zlib.crc32(message.bytes) % SHARDS, "at": now, "name": "courier.pushed",
            "subject_kind": "courier", "subject_id": message, "actor_kind": "partner", "actor_id": "kuaidi100",
            "request_id": "-",
            "payload": f'{{"event":"courier.pushed","message_id":"{message}","tracks":1,"partner":"kuaidi100"}}',
        }  # fmt: skip
        await connection.execute(*named(_INSERT, values, *job))


def application() -> Push:
    """What the server runs."""
    return Push()
