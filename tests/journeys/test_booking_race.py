"""Sixty-four people book and cancel on seven places over HTTP while the API is killed twice and Redis is emptied."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backend import cache, clock
from backend.database import fetch, fetch_row, fetch_value
from backend.identity import AsResident
from backend.invariants import check
from tests.apis import Apis, apis
from tests.factories.appointments import a_line, a_slot, item_of
from tests.factories.identity import a_resident, headers_of

SECONDS = 30.0
PLACES, PEOPLE = 7, 64
BASE = "/v1/resident/appointments"
LOST = (httpx.TransportError,)
"""No answer: the process was killed before it, in it or after it; whether the work was done is unknown."""


@dataclass
class Snapshot:
    """What the crowd was answered."""

    statuses: Counter[str] = field(default_factory=Counter)
    booked: dict[str, str] = field(default_factory=dict)
    """Appointment → the Idempotency-Key under which it was acknowledged."""
    cancelled: set[str] = field(default_factory=set)
    certain: set[str] = field(default_factory=set)
    """Acknowledged as booked, and not about to be cancelled."""
    most: int = 0
    lost: int = 0
    replayed: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Somebody:
    """One of the crowd."""

    who: AsResident
    http: httpx.AsyncClient
    body: dict[str, Any]
    seen: Snapshot

    async def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """The answer, however often the request has to be repeated; a creating one always under the same key."""
        while True:
            headers = headers_of(self.who) | ({"Idempotency-Key": key} if key else {})
            try:
                answer = await self.http.request(method, path, headers=headers, **more)
            except LOST:
                self.seen.lost += 1
                await asyncio.sleep(0.1)
                continue
            if answer.status_code >= 500:
                self.seen.wrong.append(f"{method} {path}: {answer.status_code} {answer.text}")
            if answer.status_code == 409 and answer.json()["code"] == "idempotency-key-in-flight":
                await asyncio.sleep(0.05)
                continue
            self.seen.replayed += "idempotency-replayed" in answer.headers
            return answer

    async def comes_and_goes(self, until: float) -> None:
        seen = self.seen
        while clock.monotonic() < until:
            key = uuid4().hex
            answer = await self.ask("POST", BASE, key, json=self.body)
            seen.statuses[f"{answer.status_code} {answer.json().get('code', answer.json().get('state'))}"] += 1
            if answer.status_code != 201:
                await asyncio.sleep(0.05)
                continue
            appointment = answer.json()["id"]
            if appointment in seen.booked:
                seen.wrong.append(f"two keys were answered with {appointment}")
            seen.booked[appointment] = key
            seen.certain.add(appointment)
            seen.most = max(seen.most, len(seen.certain))
            shown = await self.ask("GET", f"{BASE}/{appointment}")
            if shown.status_code != 200 or shown.json()["state"] != "booked":
                seen.wrong.append(f"acknowledged and not readable: {shown.status_code} {shown.text}")
            seen.certain.discard(appointment)
            gone = await self.ask("POST", f"{BASE}/{appointment}/cancellation", uuid4().hex)
            if gone.status_code != 201 or gone.json()["state"] != "cancelled":
                seen.wrong.append(f"not cancelled: {gone.status_code} {gone.text}")
            seen.cancelled.add(appointment)


# One statement sees one moment: what the counters say and what there is, as of the last commit.
_MOMENT = """
SELECT s.capacity, s.held, s.booked, count(a.id) FILTER (WHERE a.state = 'held') AS are_held,
       count(a.id) FILTER (WHERE a.state = 'booked') AS are_booked
FROM slots s LEFT JOIN appointments a ON a.slot_id = s.id WHERE s.id = $1 GROUP BY s.id
"""


async def watch(slot_id: Any, seen: Snapshot, until: float) -> int:
    """Look at the slot again and again; how often."""
    looked = 0
    while clock.monotonic() < until:
        row = await fetch_row(_MOMENT, slot_id)
        assert row is not None
        if row["held"] + row["booked"] > row["capacity"]:
            seen.wrong.append(f"oversold: {dict(row)}")
        if (row["held"], row["booked"]) != (row["are_held"], row["are_booked"]):
            seen.wrong.append(f"miscounted: {dict(row)}")
        looked += 1
        await asyncio.sleep(0.05)
    return looked


async def accidents(running: Apis) -> None:
    """The API dies twice in the middle of everything, and Redis forgets everything once."""
    await asyncio.sleep(SECONDS * 0.2)
    running.kill("api")
    await running.start("api")
    await asyncio.sleep(SECONDS * 0.2)
    await cache.redis().flushdb()
    await asyncio.sleep(SECONDS * 0.15)
    running.kill("api")
    await running.start("api")


@pytest.mark.timeout(240)
async def test_sixty_four_people_and_seven_places_while_the_api_is_killed_twice_and_redis_flushed(tmp_path: Path):
    line = await a_line(person_limit=50)
    slot, item = await a_slot(PLACES, line), await item_of(line)
    seen, body = Snapshot(), {"slot_id": str(slot.id), "item_code": item}
    people = [await a_resident() for _ in range(PEOPLE)]
    values = {
        "FREE_PLACES_SECONDS": "0.1",
        "BOOKING_TAPS_PER_MINUTE": "100000",
        "FREED_PLACE_MIN_SECONDS": "0",
        "FREED_PLACE_MAX_SECONDS": "0",
    }
    async with apis(tmp_path, **values) as running:
        address = await running.start("api")
        limits = httpx.Limits(max_connections=PEOPLE)
        async with httpx.AsyncClient(base_url=address, timeout=20, limits=limits) as http:
            until = clock.monotonic() + SECONDS
            crowd = [Somebody(who, http, body, seen) for who in people]
            looked, *_ = await asyncio.gather(
                watch(slot.id, seen, until), accidents(running), *(each.comes_and_goes(until) for each in crowd)
            )

    assert seen.wrong == []
    assert seen.most <= PLACES
    assert looked > 50
    # It was a race: many were booked, many were refused, and the kills cost answers.
    assert len(seen.booked) > 30, seen.statuses  # as many as a busy machine lets through
    assert seen.statuses["409 slot-full"] > 100, seen.statuses
    assert seen.lost > 0
    assert {status.split()[0] for status in seen.statuses} <= {"201", "409", "429"}, seen.statuses
    # Every key that was answered made one appointment, and there is none without an answer.
    there = {str(row["id"]): row["state"] for row in await fetch("SELECT id, state FROM appointments")}
    assert there.keys() == seen.booked.keys() == seen.cancelled
    assert set(there.values()) == {"cancelled"}
    assert len(set(seen.booked.values())) == len(seen.booked)
    assert await fetch_value("SELECT held + booked FROM slots WHERE id = $1", slot.id) == 0
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.booked'") == len(there)
    assert next(each.status for each in await check() if each.id == "I-5") == "holds"
