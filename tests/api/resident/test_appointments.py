"""Booking over HTTP: one tap, two taps, a lost answer, another resident's appointment, a full slot."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from backend import clock
from backend.appointments import admission, cancelling, drawing, resident_views
from backend.database import execute
from backend.identity import AsResident
from backend.settings import using
from models.appointments import AppointmentState
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment, item_of, places, somebody
from tests.factories.identity import a_resident, headers_of
from tests.factories.regions import a_hall

BASE = "/v1/resident/appointments"


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    admission.clear()
    resident_views.clear_availability()
    yield
    admission.clear()
    resident_views.clear_availability()


def keyed(resident: AsResident, key: str | None = None) -> dict[str, str]:
    return {**headers_of(resident), "Idempotency-Key": key or uuid4().hex}


async def a_place(capacity: int = 1, **line: Any) -> tuple[Any, Any, dict[str, str]]:
    """A line, its slot, and the body that books it."""
    made = await a_line(**line)
    slot = await a_slot(capacity, made)
    return made, slot, {"slot_id": str(slot.id), "item_code": await item_of(made)}


async def test_a_visit_is_booked_seen_moved_and_cancelled(client: httpx.AsyncClient):
    hall = await a_hall(name="滨海新区政务服务中心", directions="地铁B1口")
    line, slot, body = await a_place(hall=hall)
    await a_window(line, "12")
    await a_window(line, "3")
    other = await a_slot(1, line, starts_in=timedelta(days=2))
    me = await a_resident()
    visitor = {"name": "田秀英", "id_last_four": "002x", "phone": "13800138000"}

    booked = await client.post(BASE, json={**body, "visitor": visitor}, headers=keyed(me))
    assert booked.status_code == 201, booked.text
    address = f"{BASE}/{booked.json()['id']}"
    seen = (await client.get(address, headers=headers_of(me))).json()
    moved = await client.post(f"{address}/move", json={"slot_id": str(other.id)}, headers=keyed(me))
    cancelled = await client.post(f"{address}/cancellation", headers=keyed(me))

    assert seen["number"] == booked.json()["number"]
    assert (seen["state_name"], seen["hall_name"]) == ("已预约", "滨海新区政务服务中心")
    assert seen["way"]["windows"] == ["3", "12"]
    assert (seen["way"]["directions"], seen["way"]["latitude"]) == ("地铁B1口", "35.100000")
    assert moved.status_code == 201, moved.text
    assert moved.json()["slot_id"] == str(other.id)
    assert cancelled.json()["state_name"] == "已取消"
    assert (await places(slot.id), await places(other.id)) == ((1, 0, 0), (1, 0, 0))


async def test_a_double_tap_and_a_lost_answer_are_one_booking_with_one_answer(client: httpx.AsyncClient):
    _, slot, body = await a_place()
    me, key = await a_resident(), uuid4().hex

    first = await client.post(BASE, json=body, headers=keyed(me, key))
    await execute("UPDATE slots SET closed_at = now() WHERE id = $1", slot.id)
    await asyncio.sleep(0.9)  # the count before the database has been made anew: closed
    second = await client.post(BASE, json=body, headers=keyed(me, key))
    other = await client.post(BASE, json={**body, "item_code": "x"}, headers=keyed(me, key))

    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await places(slot.id) == (1, 0, 1)


async def test_ten_taps_with_one_key_at_once_are_one_booking(client: httpx.AsyncClient):
    _, slot, body = await a_place(5)
    me, key = await a_resident(), uuid4().hex

    answers = await asyncio.gather(*(client.post(BASE, json=body, headers=keyed(me, key)) for _ in range(10)))

    assert {each.status_code for each in answers} <= {201, 409}
    assert {each.json()["id"] for each in answers if each.status_code == 201} != set()
    assert len({each.json()["id"] for each in answers if each.status_code == 201}) == 1
    assert {each.json()["code"] for each in answers if each.status_code == 409} <= {"idempotency-key-in-flight"}
    assert await places(slot.id) == (5, 0, 1)


async def test_a_full_slot_is_409_and_without_a_key_nothing_happens(client: httpx.AsyncClient):
    _, slot, body = await a_place()
    await an_appointment(slot)

    full = await client.post(BASE, json=body, headers=keyed(await a_resident()))
    keyless = await client.post(BASE, json=body, headers=headers_of(await a_resident()))

    assert (full.status_code, full.json()["code"], full.json()["title"]) == (409, "slot-full", "该时段已约满")
    assert keyless.status_code in (400, 409)
    assert await places(slot.id) == (1, 0, 1)


async def test_too_many_at_once_are_429_with_a_time_to_come_back(client: httpx.AsyncClient):
    _, slot, body = await a_place(50)
    crowd = [await a_resident() for _ in range(12)]

    with using(booking_concurrency=1, booking_queue=2):
        answers = await asyncio.gather(*(client.post(BASE, json=body, headers=keyed(each)) for each in crowd))

    seen = Counter(each.status_code for each in answers)
    assert set(seen) == {201, 429}
    refused = next(each for each in answers if each.status_code == 429)
    assert refused.json()["code"] == "booking-rush-limit-exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert (await places(slot.id))[2] == seen[201]


async def test_one_resident_taps_so_often_and_no_more(client: httpx.AsyncClient):
    _, slot, body = await a_place()
    await an_appointment(slot)
    me = await a_resident()

    with using(booking_taps_per_minute=3):
        answers = [(await client.post(BASE, json=body, headers=keyed(me))).status_code for _ in range(5)]

    assert answers == [409, 409, 409, 429, 429]


async def test_a_hold_is_confirmed_and_one_that_ran_out_is_not(client: httpx.AsyncClient):
    _, slot, body = await a_place(2)
    me, late = await a_resident(), await a_resident()
    held = (await client.post(f"{BASE}/holds", json=body, headers=keyed(me))).json()
    other = (await client.post(f"{BASE}/holds", json=body, headers=keyed(late))).json()
    assert (held["state"], await places(slot.id)) == ("held", (2, 2, 0))
    await execute("UPDATE appointments SET hold_until = now() WHERE id = $1", UUID(other["id"]))

    confirmed = await client.post(f"{BASE}/{held['id']}/confirmation", json={}, headers=keyed(me))
    over = await client.post(f"{BASE}/{other['id']}/confirmation", json={}, headers=keyed(late))

    assert (confirmed.status_code, confirmed.json()["state"]) == (201, "booked")
    assert (over.status_code, over.json()["code"]) == (409, "hold-expired")
    assert await cancelling.expire_holds() == 1
    assert await places(slot.id) == (2, 0, 1)


async def test_a_strangers_appointment_is_answered_like_one_that_does_not_exist(client: httpx.AsyncClient):
    slot = await a_slot()
    theirs, me = await an_appointment(slot), await a_resident()
    headers = {**headers_of(me), "x-request-id": "same-request-id"}
    asks = [("GET", "", None), ("POST", "/confirmation", {}), ("POST", "/cancellation", None)]
    asks.append(("POST", "/move", {"slot_id": str(slot.id)}))

    for method, path, body in asks:
        answers = []
        for each in (theirs.id, uuid4()):
            keys = {**headers, "Idempotency-Key": uuid4().hex}
            answers.append(await client.request(method, f"{BASE}/{each}{path}", json=body, headers=keys))
        assert [each.status_code for each in answers] == [404, 404], path
        assert answers[0].content == answers[1].content

    assert await places(slot.id) == (3, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"slot_id": "no-uuid"},
        {"item_code": ""},
        {"item_code": 7},
        {"surprise": True},
        {"person_id": "me"},
        {"visitor": {"name": "", "id_last_four": "002x", "phone": "13800138000"}},
        {"visitor": {"name": "田", "id_last_four": "x", "phone": "13800138000"}},
    ],
)
async def test_a_malformed_request_is_refused_and_takes_nothing(client: httpx.AsyncClient, change: dict[str, Any]):
    _, slot, body = await a_place()

    answer = await client.post(BASE, json={**body, **change}, headers=keyed(await a_resident()))

    assert answer.status_code in (400, 422), answer.text
    assert await places(slot.id) == (1, 0, 0)


async def test_past_slots_other_halls_items_and_other_people_are_clear_problems(client: httpx.AsyncClient):
    line, _, body = await a_place()
    past = await a_slot(1, line, starts_in=timedelta(minutes=-1))
    other = await item_of(await a_line())
    me = await a_resident()
    wanted = {
        "slot-expired": {**body, "slot_id": str(past.id)},
        "item-not-handled": {**body, "item_code": other},
        "slot-not-found": {**body, "slot_id": str(uuid4())},
        "person-not-found": {**body, "person_id": str((await somebody()).id)},
    }

    codes = {code: await client.post(BASE, json=each, headers=keyed(me)) for code, each in wanted.items()}

    assert {code: answer.json()["code"] for code, answer in codes.items()} == {code: code for code in wanted}
    assert [answer.status_code for answer in codes.values()] == [409, 422, 404, 404]


async def test_my_appointments_come_in_pages_by_state_and_only_mine(client: httpx.AsyncClient):
    line, me = await a_line(), await a_resident()
    for n in range(5):
        slot = await a_slot(2, line, starts_in=timedelta(days=n + 1))
        await an_appointment(slot, me, AppointmentState.CANCELLED if n == 2 else AppointmentState.BOOKED)
        await an_appointment(slot)

    first = (await client.get(BASE, params={"limit": 3}, headers=headers_of(me))).json()
    then = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await client.get(BASE, params=then, headers=headers_of(me))).json()
    booked = (await client.get(BASE, params={"state": "booked"}, headers=headers_of(me))).json()
    forged = await client.get(BASE, params={"cursor": "AAAA"}, headers=headers_of(me))

    days = [each["day"] for each in first["items"] + second["items"]]
    assert days == sorted(days, reverse=True)
    assert (len(days), second["next_cursor"], len(booked["items"])) == (5, None, 4)
    assert forged.status_code == 422


# -- what everybody sees ------------------------------------------------------------------------------------------


async def test_free_places_are_at_most_a_second_old_and_not_sent_twice(client: httpx.AsyncClient):
    line, slot, body = await a_place(3)
    address = f"/v1/public/halls/{slot.hall_id}/free-places"
    query = {"item": body["item_code"], "day": slot.day.isoformat()}
    first = await client.get(address, params=query)
    assert [each["free"] for each in first.json()["slots"]] == [3]
    assert first.json()["line_id"] == str(line.id)

    same = await client.get(address, params=query, headers={"if-none-match": first.headers["etag"]})
    await client.post(BASE, json=body, headers=keyed(await a_resident()))
    await asyncio.sleep(0.85)
    later = await client.get(address, params=query, headers={"if-none-match": first.headers["etag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert [each["free"] for each in later.json()["slots"]] == [2]


async def test_free_places_say_why_there_are_none(client: httpx.AsyncClient):
    line = await a_line()
    first = await a_slot(2, line, starts_in=timedelta(days=2))
    soon = clock.now() + timedelta(hours=1)
    for n, changes in enumerate([{"closed_at": clock.now()}, {"release_at": soon}, {"capacity": 0}]):
        await a_slot(line=line, starts_in=timedelta(days=2, minutes=n + 1), day=first.day, **{"capacity": 2, **changes})
    query = {"item": await item_of(line), "day": first.day.isoformat()}

    answer = (await client.get(f"/v1/public/halls/{first.hall_id}/free-places", params=query)).json()

    assert [(each["free"], each["state"]) for each in answer["slots"]] == [
        (2, "open"),
        (0, "closed"),
        (0, "early"),
        (0, "full"),
    ]


async def test_a_hall_that_does_not_handle_the_item_and_no_hall_at_all_are_404(client: httpx.AsyncClient):
    _, slot, body = await a_place()

    for hall, item in ((slot.hall_id, "nonsense"), (uuid4(), body["item_code"])):
        answer = await client.get(f"/v1/public/halls/{hall}/free-places", params={"item": item, "day": "2026-11-30"})
        assert (answer.status_code, answer.json()["code"]) == (404, "service-line-not-found")


async def test_a_thousand_who_look_at_once_are_one_statement(monkeypatch: pytest.MonkeyPatch):
    _, slot, body = await a_place(3)
    reads: list[date] = []
    real = resident_views._read

    async def counted(key: Any) -> Any:
        reads.append(key[2])
        return await real(key)

    monkeypatch.setattr(resident_views, "_read", counted)

    seen = await asyncio.gather(
        *(resident_views.get_availability(slot.hall_id, body["item_code"], slot.day) for _ in range(1000))
    )

    assert len(reads) == 1
    assert len({id(each) for each in seen}) == 1


# -- the waiting list and the draw --------------------------------------------------------------------------------


async def test_waiting_is_joined_offered_accepted_and_left(client: httpx.AsyncClient):
    line, slot, body = await a_place()
    owner, first, second = [await a_resident() for _ in range(3)]
    made = (await client.post(BASE, json=body, headers=keyed(owner))).json()
    wanted = {"line_id": str(line.id), "day": slot.day.isoformat(), "item_code": body["item_code"]}
    entries = "/v1/resident/waiting-entries"
    joined = await client.post(entries, json=wanted, headers=keyed(first))
    assert joined.status_code == 201, joined.text
    other = (await client.post(entries, json=wanted, headers=keyed(second))).json()

    await client.post(f"{BASE}/{made['id']}/cancellation", headers=keyed(owner))
    (offer,) = (await client.get(entries, headers=headers_of(first))).json()
    taken = await client.post(f"{BASE}/{offer['appointment_id']}/confirmation", json={}, headers=keyed(first))
    foreign = await client.delete(f"{entries}/{other['id']}", headers=headers_of(first))
    left = await client.delete(f"{entries}/{other['id']}", headers=headers_of(second))

    assert (offer["state"], taken.json()["state"]) == ("offered", "booked")
    assert (foreign.status_code, left.status_code) == (404, 204)
    assert (await client.get(entries, headers=headers_of(second))).json() == []
    assert await places(slot.id) == (1, 0, 1)


async def test_a_draw_is_entered_held_and_proven_to_everybody(client: httpx.AsyncClient):
    line, slot, body = await a_place(1, admission="draw")
    await drawing.prepare_draws()
    me = await a_resident()
    wanted = {"line_id": str(line.id), "day": slot.day.isoformat(), "item_code": body["item_code"]}
    address = f"/v1/public/lines/{line.id}/draws/{slot.day}"

    booked = await client.post(BASE, json=body, headers=keyed(me))
    entered = await client.post(
        "/v1/resident/draw-entries", json={**wanted, "slot_ids": [str(slot.id)]}, headers=keyed(me)
    )
    before = (await client.get(address)).json()
    await execute("UPDATE draws SET closes_at = now()")
    await drawing.hold_due_draws()
    after = (await client.get(address)).json()

    assert (booked.status_code, booked.json()["code"]) == (409, "slot-allocated-by-draw")
    assert (before["seed"], before["draw"]["entries"]) == (None, 1)
    assert drawing.digest_of_seed(after["seed"]) == entered.json()["seed_digest"]
    assert [(each["id"], each["slot_id"]) for each in after["entries"]] == [(entered.json()["id"], str(slot.id))]
    assert str(me.id) not in str(after)
    assert (await client.get(f"/v1/public/lines/{uuid4()}/draws/{slot.day}")).status_code == 404
    assert (await client.get(BASE, headers=headers_of(me))).json()["items"][0]["state"] == "booked"
