"""The release at 08:00, played against the service as it is deployed: `zhangban serve` and `zhangban work`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from backend import database, identity
from backend.identity import session_watch, tokens
from backend.settings import Settings, configure, environment
from benchmarks.booking.arrivals import poisson
from benchmarks.booking.stage import ITEM, Stage, add_slots
from benchmarks.databases import found
from benchmarks.processes import Process, free_port, running

Plan = list[tuple[float, str, str]]
PUSH_TOKEN = "benchmark"
TOKEN_SECONDS = 3600
STOPPED_SECONDS = 2.0


@contextmanager
def service(stage: Stage, workers: int) -> Iterator[tuple[int, int]]:
    """The service with so many processes, and a worker; the port, and the group of the serving processes."""
    port = free_port()
    given = environment(
        DATABASE_URL=stage.urls.database_url,
        REDIS_URL=stage.urls.redis_url,
        ACCESS_TOKEN_SECONDS=str(TOKEN_SECONDS),
        LOG_LEVEL="ERROR",
        PORT=str(port),
        WORKERS=str(workers),
        WECHAT_APPID="wxbenchmark0000000",
        WECHAT_SECRET="benchmark",
        WECHAT_PUSH_TOKEN=PUSH_TOKEN,
        WECHAT_PUSH_MODE="plain",
    )
    serve, work = [("-m", "api.cli", "serve")], [("-m", "api.cli", "work")]
    with running(serve, given) as [serving], running(work, given):
        _await(port, serving)
        yield port, os.getpgid(serving.pid)


def _await(port: int, process: Process, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the service did not start")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the service does not answer")


class People:
    """Residents with tokens, and what they send."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage, self.number, self.tokens = stage, number, [""]

    async def sign_in(self) -> None:
        """Tokens as if everybody had signed in today."""
        urls = self.stage.urls
        configure(Settings(database_url=urls.database_url, redis_url=urls.redis_url, log_level="WARNING"))
        rows = await found(self.stage.urls, "SELECT id FROM residents ORDER BY id DESC LIMIT $1", self.number)
        await database.connect()
        try:
            await session_watch.refresh_watch()
            identity.keys.get_key_set()
            self.tokens = [self._token(row["id"]) for row in rows]
        finally:
            await database.close()

    def _token(self, resident_id: UUID) -> str:
        return tokens.issue_token(resident_id, uuid7(), "resident", seconds=TOKEN_SECONDS, scattered=False).token

    def tap(self, person: int, slot: UUID) -> str:
        """A person wants a place in the slot."""
        body = json.dumps({"slot_id": str(slot), "item_code": ITEM})
        return _request("POST", "/v1/resident/appointments", self.tokens[person], body, f"idempotency-key: {uuid4()}")

    def read_request(self, chance: random.Random, day: str) -> str:
        """A resident reads their appointments, or what is free."""
        if chance.random() < 0.7:
            return _request("GET", "/v1/resident/appointments", chance.choice(self.tokens))
        return _request("GET", f"/v1/public/halls/{self.stage.place}/free-places?item={ITEM}&day={day}")


def push() -> str:
    """WeChat pushes an event that it has not pushed before."""
    stamp, nonce = str(int(time.time())), secrets.token_hex(8)
    signature = hashlib.sha1("".join(sorted((PUSH_TOKEN, stamp, nonce))).encode(), usedforsecurity=False).hexdigest()
    body = {"ToUserName": "gh_benchmark", "FromUserName": f"o{secrets.token_hex(13)}", "CreateTime": int(stamp)}
    query = f"signature={signature}&timestamp={stamp}&nonce={nonce}"
    text = json.dumps({**body, "MsgType": "event", "Event": "user_enter_tempsession"})
    return _request("POST", f"/v1/callbacks/wechat?{query}", "", text)


def _request(method: str, path: str, token: str = "", body: str = "", *headers: str) -> str:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "accept: application/json", *headers]
    if token:
        lines.append(f"authorization: Bearer {token}")
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", body])


def base(people: People, rate: float, seconds: float, chance: random.Random, day: str) -> Plan:
    """Two thirds reads and one third callbacks, all the time."""
    plan: Plan = []
    for at in poisson(rate, seconds, chance):
        plan.append(
            (at, "callback", push()) if chance.random() < 1 / 3 else (at, "read", people.read_request(chance, day))
        )
    return plan


def rush(people: People, rate: float, seconds: float, begins: float, slots: list[UUID], chance: random.Random) -> Plan:
    """Everybody taps for one slot or another, in a random order, again and again until the time is over."""
    crowd, plan = list(range(people.number)), []
    chance.shuffle(crowd)
    for n, at in enumerate(poisson(rate, seconds, chance, begins=begins)):
        plan.append((at, "tap", people.tap(crowd[n % len(crowd)], chance.choice(slots))))
    return plan


async def send(port: int, plan: Plan, begins_at: float, connections: int) -> dict[str, Any]:
    """Have the generator send the plan at the agreed moment; what it saw."""
    order = {
        "host": "127.0.0.1",
        "port": port,
        "plan": sorted(plan),
        "begins_at": begins_at,
        "connections": connections,
    }
    generator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.booking.arrivals", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        out, _ = await generator.communicate(json.dumps(order).encode())
    finally:
        if generator.returncode is None:
            generator.kill()
    seen: dict[str, Any] = json.loads(out)
    return seen


async def self_test(people: People, port: int, group: int, day: str) -> dict[str, Any]:
    """A server that stands still for two seconds must be seen as such, or nothing this generator says is true."""
    chance = random.Random(10)
    begins = time.time() + 3.0
    seen = asyncio.create_task(send(port, base(people, 60, 8, chance, day), begins, 50))
    await asyncio.sleep(max(0.0, begins + 3.0 - time.time()))
    os.killpg(group, signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_SECONDS)
    finally:
        os.killpg(group, signal.SIGCONT)
    return (await seen)["all"]  # type: ignore[no-any-return]


async def play(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """The generator's test, a warm-up, and the release."""
    people = People(stage, asked.people)
    await people.sign_in()
    chance = random.Random(8)
    with service(stage, asked.processes) as (port, group):
        (warm,) = await add_slots(stage, 1, 10)
        day = str((await found(stage.urls, "SELECT day FROM slots WHERE id = $1", warm))[0]["day"])
        stopped = await self_test(people, port, group, day)
        quiet, lead = 5.0, 4.0 + asked.rush_rate * asked.rush_seconds / 4000
        slots = await add_slots(stage, asked.slots, asked.places // asked.slots, released_in=lead + quiet)
        released = (await found(stage.urls, "SELECT release_at FROM slots WHERE id = $1", slots[0]))[0]["release_at"]
        begins = released.timestamp() - quiet
        plan = base(people, asked.base_rate, asked.rush_seconds + 2 * quiet, chance, day)
        plan += rush(people, asked.rush_rate, asked.rush_seconds, quiet, slots, chance)
        seen = await send(port, plan, begins, 200)
    rows = await found(
        stage.urls,
        "SELECT sum(booked)::int AS counted, (SELECT count(*) FROM appointments WHERE slot_id = ANY($1))::int AS made "
        "FROM slots WHERE id = ANY($1)",
        slots,
    )
    return {**seen, "sold": rows[0]["counted"], "appointments": rows[0]["made"], "self_test": stopped}
