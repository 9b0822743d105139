"""Staff set working days, due dates follow, and everybody can read the calendar."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import httpx
import pytest

from backend import clock, jobs
from backend.calendar import PUBLISHED_TO
from models.cases import Case
from tests.factories.cases import a_case, reported
from tests.factories.identity import a_staff, staff_headers_of

BASE = "/v1/staff/calendar"


async def editor() -> dict[str, str]:
    return staff_headers_of(await a_staff(duties=["calendar.edit"]))


async def test_a_day_set_by_staff_moves_due_dates_and_can_be_taken_back(client: httpx.AsyncClient):
    headers, monday = await editor(), datetime(2026, 3, 2, 9, tzinfo=clock.SHANGHAI)
    with clock.travel(to=monday + timedelta(hours=1)):
        case = await a_case(received_at=monday, promised_days=5)
        await reported(case, "受理")
    path, due = f"{BASE}/days/2026-03-04", []

    for ask in (
        lambda: client.put(path, json={"working": False, "name": "台风停工"}, headers=headers),
        lambda: client.delete(path, headers=headers),
    ):
        assert (await ask()).status_code == 204
        await jobs.drain(strict=False)
        due.append((await Case.get(id=case.id)).due_on)

    assert due == [date(2026, 3, 10), date(2026, 3, 9)]


async def test_a_year_is_counted_through_once_staff_vouch_for_it(client: httpx.AsyncClient):
    headers, year = await editor(), PUBLISHED_TO + 1
    unknown = await client.get(f"/v1/public/calendar/{year}")

    await client.put(f"{BASE}/days/{year}-01-01", json={"working": False, "name": "元旦"}, headers=headers)
    answer = await client.put(f"{BASE}/years/{year}", json={"source": "国务院办公厅通知"}, headers=headers)
    known = await client.get(f"/v1/public/calendar/{year}")

    assert (unknown.status_code, unknown.json()["code"]) == (409, "calendar-year-not-covered")
    assert answer.status_code == 204
    listed = [] if date(year, 1, 1).weekday() >= 5 else [{"day": f"{year}-01-01", "working": False, "name": "元旦"}]
    assert known.json() == {"year": year, "days": listed}


async def test_only_staff_with_the_duty_may_set_days(client: httpx.AsyncClient):
    stranger = staff_headers_of(await a_staff(duties=["catalogue.edit"]))
    body = {"working": False, "name": "试"}

    assert (await client.put(f"{BASE}/days/2026-03-04", json=body)).status_code == 401
    assert (await client.put(f"{BASE}/days/2026-03-04", json=body, headers=stranger)).status_code == 403
    assert (await client.put(f"{BASE}/years/2027", json={"source": "x"}, headers=stranger)).status_code == 403


@pytest.mark.parametrize(
    "path,body,status",
    [
        ("days/2026-02-30", {"working": True, "name": "x"}, 404),
        ("days/today", {"working": True, "name": "x"}, 404),
        ("days/2026-03-04", {"working": "no", "name": "x"}, 422),
        ("days/2026-03-04", {"working": True, "name": ""}, 422),
        ("years/0", {"source": "x"}, 404),
    ],
)
async def test_days_that_are_none_are_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, object], status: int
):
    answer = await client.put(f"{BASE}/{path}", json=body, headers=await editor())

    assert answer.status_code == status


async def test_the_calendar_lists_what_weekdays_do_not_show(client: httpx.AsyncClient):
    answer = await client.get("/v1/public/calendar/2026")

    days = {each["day"]: (each["working"], each["name"]) for each in answer.json()["days"]}
    assert days["2026-10-01"] == (False, "国庆节")
    assert days["2026-10-10"] == (True, "国庆节调休上班")
    assert "2026-10-11" not in days
    assert "2026-10-12" not in days
    again = await client.get("/v1/public/calendar/2026", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
