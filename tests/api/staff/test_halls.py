"""A hall's staff over HTTP: from an empty hall to a day that is closed, and no other caller gets in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backend import clock
from backend.appointments import strikes
from backend.database import transaction
from backend.identity import AsStaff
from models.appointments import Appointment, ServiceLine, Slot, Strike, WaitingEntry
from models.appointments import AppointmentState as S
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, an_appointment, an_item, somebody
from tests.factories.calendar import known_years
from tests.factories.identity import a_resident, a_staff, headers_of, staff_headers_of
from tests.factories.regions import a_hall

RULES = {"code": "A", "name": "综合业务", "slot_minutes": 60, "release_days": 60}
MORNING = {"opens": "09:00", "closes": "12:00", "capacity": 4, "walk_ins": 1}


async def staff_of(hall: Hall) -> AsStaff:
    return await a_staff(duties=[f"hall:{hall.code}"])


async def at_home(line: ServiceLine) -> tuple[Hall, dict[str, str]]:
    """The line's hall, and the headers of a member of staff who runs it."""
    hall: Hall = await line.hall
    return hall, staff_headers_of(await staff_of(hall))


async def test_a_hall_is_set_up_opened_watched_and_closed(client: httpx.AsyncClient):
    await known_years()
    hall, item = await a_hall(), await an_item()
    headers = staff_headers_of(await staff_of(hall))
    at, today = f"/v1/staff/halls/{hall.id}", clock.today()

    own = await client.get("/v1/staff/halls", headers=headers)
    line = (await client.post(f"{at}/lines", json=RULES, headers=headers)).json()
    at_line = f"/v1/staff/lines/{line['id']}"
    items = await client.put(f"{at_line}/items", json={"item_codes": [item.code]}, headers=headers)
    hours = {"hours": [{"weekday": weekday, **MORNING} for weekday in range(8)]}
    template = await client.put(f"{at_line}/hours", json=hours, headers=headers)
    window = await client.put(f"{at}/windows/3", json={"line_ids": [line["id"]]}, headers=headers)
    days = {"first": str(today), "last": str(today + timedelta(days=7))}
    made = await client.post(f"{at_line}/slots", json=days, headers=headers)
    again = await client.post(f"{at_line}/slots", json=days, headers=headers)
    slot = await Slot.filter(line_id=line["id"], starts_at__gt=clock.now() + timedelta(hours=1)).order_by("-id").first()
    assert slot is not None
    visit = await an_appointment(slot)
    figures = await client.get(f"{at}/slots", params={"day": str(slot.day)}, headers=headers)
    people = await client.get(f"{at}/appointments", params={"day": str(slot.day)}, headers=headers)
    more = await client.put(f"/v1/staff/slots/{slot.id}/capacity", json={"capacity": 6}, headers=headers)
    closed = await client.post(f"/v1/staff/slots/{slot.id}/close", json={"because": "停电"}, headers=headers)
    reopened = await client.post(f"/v1/staff/slots/{slot.id}/reopen", headers=headers)
    day = {"day": str(slot.day), "because": "停电"}
    all_closed = await client.post(f"{at}/closures", json=day, headers=headers)
    all_open = await client.post(f"{at}/reopenings", json={"day": str(slot.day)}, headers=headers)

    assert [each["code"] for each in own.json()] == [hall.code]
    assert items.json()["item_codes"] == [item.code]
    assert template.json() == hours
    assert (window.status_code, window.json()["open"]) == (200, True)
    assert (made.status_code, again.json()["slots"]) == (200, 0)
    assert made.json()["slots"] >= 12
    assert slot.id.hex in {each["id"].replace("-", "") for each in figures.json()}
    assert {each["walk_in_quota"] for each in figures.json()} == {1}
    assert [(each["number"], each["state"]) for each in people.json()["items"]] == [(visit.number, "booked")]
    assert (more.json()["capacity"], more.json()["taken"]) == (6, 1)
    assert (closed.status_code, closed.json()["cancelled"], closed.json()["offered"]) == (200, 1, 1)
    assert reopened.status_code == 204
    assert all_closed.json()["slots"] == all_open.json()["slots"] >= 1
    assert (await client.get(f"{at}/lines", headers=headers)).json()[0]["rules"]["slot_minutes"] == 60
    assert (await client.get(f"{at}/windows", headers=headers)).json() == [window.json()]
    assert (await client.get(f"{at_line}/hours", headers=headers)).json() == hours
    assert await WaitingEntry.filter(state__in=["offered", "waiting"]).count() == 1


async def test_conflicts_are_distinguished(client: httpx.AsyncClient):
    line = await a_line(code="A")
    hall, headers = await at_home(line)
    slot = await a_slot(3, line)
    await an_appointment(slot)
    closed = await a_slot(3, line, timedelta(days=2), closed_at=clock.now())
    past = await a_slot(3, line, timedelta(hours=-3))
    unknown_year = {"first": "2029-12-30", "last": "2030-01-02"}

    answers = [
        await client.post(f"/v1/staff/halls/{hall.id}/lines", json=RULES, headers=headers),
        await client.put(f"/v1/staff/slots/{slot.id}/capacity", json={"capacity": 0}, headers=headers),
        await client.post(f"/v1/staff/slots/{closed.id}/close", json={"because": "停电"}, headers=headers),
        await client.post(f"/v1/staff/slots/{slot.id}/reopen", headers=headers),
        await client.post(f"/v1/staff/slots/{past.id}/close", json={"because": "停电"}, headers=headers),
        await client.post(f"/v1/staff/lines/{line.id}/slots", json=unknown_year, headers=headers),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (409, "line-exists"),
        (409, "capacity-taken"),
        (409, "slot-closed"),
        (409, "slot-open"),
        (409, "slot-expired"),
        (409, "calendar-year-not-covered"),
    ]
    assert answers[1].json()["taken"] == 1


HALL_ROUTES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/halls/{hall}/lines", None),
    ("POST", "/halls/{hall}/lines", RULES),
    ("GET", "/halls/{hall}/windows", None),
    ("PUT", "/halls/{hall}/windows/3", {"line_ids": []}),
    ("GET", "/halls/{hall}/slots?day=2026-03-02", None),
    ("GET", "/halls/{hall}/appointments?day=2026-03-02", None),
    ("GET", "/halls/{hall}/appeals", None),
    ("POST", "/halls/{hall}/closures", {"day": "2026-03-02", "because": "x"}),
    ("POST", "/halls/{hall}/reopenings", {"day": "2026-03-02"}),
    ("GET", "/lines/{line}", None),
    ("PUT", "/lines/{line}", RULES),
    ("PUT", "/lines/{line}/items", {"item_codes": []}),
    ("GET", "/lines/{line}/hours", None),
    ("PUT", "/lines/{line}/hours", {"hours": []}),
    ("POST", "/lines/{line}/slots", {"first": "2026-03-02", "last": "2026-03-02"}),
    ("PUT", "/slots/{slot}/capacity", {"capacity": 1}),
    ("POST", "/slots/{slot}/close", {"because": "x"}),
    ("POST", "/slots/{slot}/reopen", None),
    ("POST", "/strikes/{strike}/decision", {"waive": True}),
]


async def a_strike(line: ServiceLine, resident: Any = None) -> Any:
    visit = await an_appointment(await a_slot(1, line), resident or await somebody(), S.MISSED)
    async with transaction():
        return await strikes.give_strike(visit.id, "no-show")


@pytest.mark.parametrize(("method", "path", "body"), HALL_ROUTES)
async def test_another_hall_answers_like_one_that_never_was(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
):
    line = await a_line()
    slot, strike = await a_slot(1, line), await a_strike(line)
    there = path.format(hall=line.hall_id, line=line.id, slot=slot.id, strike=strike)  # type: ignore[attr-defined]
    nowhere = path.format(hall=uuid4(), line=uuid4(), slot=uuid4(), strike=uuid4())
    elsewhere = staff_headers_of(await staff_of(await a_hall()))
    without_duty = staff_headers_of(await a_staff(duties=["cases.handle"]))

    foreign = await client.request(method, f"/v1/staff{there}", json=body, headers=elsewhere)
    missing = await client.request(method, f"/v1/staff{nowhere}", json=body, headers=elsewhere)
    dutiless = await client.request(method, f"/v1/staff{there}", json=body, headers=without_duty)

    assert (foreign.status_code, missing.status_code, dutiless.status_code) == (404, 404, 404)
    assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
    assert await Slot.filter(id=slot.id, closed_at=None, capacity=1).exists()
    assert await ServiceLine.filter(hall_id=line.hall_id).count() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("method", "path", "body"), [("GET", "/halls", None), *HALL_ROUTES])
async def test_no_other_caller_gets_through_the_door(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
):
    address = "/v1/staff" + path.format(hall=uuid4(), line=uuid4(), slot=uuid4(), strike=uuid4())

    nobody = await client.request(method, address, json=body)
    resident = await client.request(method, address, json=body, headers=headers_of(await a_resident()))

    assert (nobody.status_code, resident.status_code) == (401, 401)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "/halls/{hall}/lines", {**RULES, "code": "a"}, "/code"),
        ("POST", "/halls/{hall}/lines", {**RULES, "release_time": "25:00"}, "/release_time"),
        ("POST", "/halls/{hall}/lines", {**RULES, "slot_minutes": 0}, "/slot_minutes"),
        ("POST", "/halls/{hall}/lines", {**RULES, "strikes": 1}, "/strikes"),
        ("PUT", "/lines/{line}/hours", {"hours": [{"weekday": 8, **MORNING}]}, "/hours/0/weekday"),
        ("PUT", "/lines/{line}/hours", {"hours": [{"weekday": 1, **MORNING, "closes": "08:00"}]}, "/hours/0/closes"),
        ("PUT", "/lines/{line}/items", {"item_codes": ["nonsense"]}, "/item_codes/0"),
        ("PUT", "/halls/{hall}/windows/3", {"line_ids": [str(uuid4())]}, "/line_ids/0"),
        ("POST", "/lines/{line}/slots", {"first": "2026-03-02", "last": "2026-03-01"}, "/last"),
        ("POST", "/lines/{line}/slots", {"first": "2026-03-02", "last": "soon"}, "/last"),
        ("POST", "/lines/{line}/slots", {"first": "0001-01-01", "last": "9999-12-31"}, "/last"),
        ("PUT", "/slots/{slot}/capacity", {"capacity": -1}, "/capacity"),
        ("PUT", "/slots/{slot}/capacity", {"capacity": 10**12}, "/capacity"),
        ("POST", "/slots/{slot}/close", {"because": ""}, "/because"),
        ("POST", "/halls/{hall}/closures", {"day": "2026-03-02"}, "/because"),
    ],
)
async def test_a_body_that_cannot_be_is_pointed_to(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], pointer: str
):
    line = await a_line()
    hall, headers = await at_home(line)
    address = "/v1/staff" + path.format(hall=hall.id, line=line.id, slot=(await a_slot(1, line)).id)

    answer = await client.request(method, address, json=body, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "query",
    ["", "?day=tomorrow", "?day=2026-02-30", "?day=2026-03-02&line_id=x", "?day=2026-03-02&limit=0"],
)
async def test_a_question_that_cannot_be_is_refused(client: httpx.AsyncClient, query: str):
    hall, headers = await at_home(await a_line())

    answer = await client.get(f"/v1/staff/halls/{hall.id}/appointments{query}", headers=headers)

    assert answer.status_code in (400, 422)


async def test_a_strike_is_appealed_by_its_resident_and_waived_by_the_hall(client: httpx.AsyncClient):
    line, resident = await a_line(strikes_allowed=0), await a_resident()
    strike = await a_strike(line, resident)
    hall, staff = await at_home(line)
    mine = headers_of(resident)

    before = (await client.get("/v1/resident/strikes", headers=mine)).json()["items"]
    appealed = await client.post(f"/v1/resident/strikes/{strike}/appeal", json={"words": "当天住院"}, headers=mine)
    twice = await client.post(f"/v1/resident/strikes/{strike}/appeal", json={"words": "再说"}, headers=mine)
    heard = (await client.get(f"/v1/staff/halls/{hall.id}/appeals", headers=staff)).json()["items"]
    decided = await client.post(f"/v1/staff/strikes/{strike}/decision", json={"waive": True}, headers=staff)
    again = await client.post(f"/v1/staff/strikes/{strike}/decision", json={"waive": False}, headers=staff)
    after = (await client.get("/v1/resident/strikes", headers=mine)).json()["items"]

    assert [(each["standing"], each["kind"]) for each in before] == [("counting", "no-show")]
    assert datetime.fromisoformat(before[0]["blocked_until"]) > datetime.now(UTC)
    assert (appealed.status_code, twice.status_code, twice.json()["code"]) == (204, 409, "strike-already-appealed")
    assert [(each["id"], each["appeal"]) for each in heard] == [(str(strike), "当天住院")]
    assert (decided.status_code, again.status_code) == (204, 409)
    assert [(each["standing"], each["blocked_until"]) for each in after] == [("waived", None)]


async def test_staff_who_marked_the_visit_as_missed_are_refused_the_decision(client: httpx.AsyncClient):
    line = await a_line()
    hall: Hall = await line.hall
    member = await staff_of(hall)
    strike = await a_strike(line)
    await Strike.filter(id=strike).update(given_by=member.id)

    answer = await client.post(
        f"/v1/staff/strikes/{strike}/decision", json={"waive": True}, headers=staff_headers_of(member)
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "own-strike-decision-refused")


@pytest.mark.parametrize("words", ["", "长" * 301])
async def test_an_appeal_says_something_and_not_too_much(client: httpx.AsyncClient, words: str):
    resident = await a_resident()
    strike = await a_strike(await a_line(), resident)

    answer = await client.post(
        f"/v1/resident/strikes/{strike}/appeal", json={"words": words}, headers=headers_of(resident)
    )

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/words")


async def test_another_residents_strike_does_not_exist(client: httpx.AsyncClient):
    strike = await a_strike(await a_line(), await a_resident())
    headers = headers_of(await a_resident())

    foreign = await client.post(f"/v1/resident/strikes/{strike}/appeal", json={"words": "x"}, headers=headers)
    listed = await client.get("/v1/resident/strikes", headers=headers)

    assert (foreign.status_code, foreign.json()["code"]) == (404, "strike-not-found")
    assert listed.json() == {"items": [], "next_cursor": None}
    assert await Appointment.all().count() == 1
