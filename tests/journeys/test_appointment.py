"""A visit from the free place to the window, as the resident, the kiosk and the clerk live it, with its messages."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from backend import auditing, clock, invariants, jobs
from backend.appointments import reminding, resident_views
from backend.database import execute, fetch
from backend.identity.duties import hall_duty, kiosk_duty
from models.regions import Hall
from notifications import delivering
from tests.factories.appointments import a_line, a_slot, a_window, item_of
from tests.factories.identity import a_resident, a_staff, headers_of, staff_headers_of


@pytest.fixture(autouse=True)
def _inbox_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: object) -> None:
        return None

    monkeypatch.setattr(delivering, "deliver", nothing)


def with_key(headers: dict[str, str], key: str) -> dict[str, str]:
    return {**headers, "Idempotency-Key": key}


async def test_a_visit_from_the_free_place_to_the_window(client: httpx.AsyncClient):
    resident_views.clear_availability()
    line = await a_line()
    window = await a_window(line, "5")
    slot = await a_slot(1, line, timedelta(days=2))
    hall = await Hall.get(id=slot.hall_id)
    item = await item_of(line)
    resident, late = headers_of(await a_resident()), headers_of(await a_resident())
    kiosk = staff_headers_of(await a_staff(duties={kiosk_duty(hall.code)}))
    clerk = staff_headers_of(await a_staff(duties={hall_duty(hall.code)}))

    # The resident finds the place and books it; later requests are refused.
    free = await client.get(f"/v1/public/halls/{hall.id}/free-places", params={"item": item, "day": str(slot.day)})
    wanted = {"slot_id": free.json()["slots"][0]["id"], "item_code": item}
    booked = await client.post("/v1/resident/appointments", headers=with_key(resident, "booking-0001"), json=wanted)
    full = await client.post("/v1/resident/appointments", headers=with_key(late, "booking-0002"), json=wanted)
    assert (booked.status_code, full.status_code) == (201, 409)
    mine = f"/v1/resident/appointments/{booked.json()['id']}"

    # Too early to check in; then time passes: the day before, two hours before, the hour itself.
    scan = f"/v1/staff/halls/{hall.id}/kiosk/scans"
    code = (await client.get(f"{mine}/check-in-code", headers=resident)).json()["code"]
    early = await client.post(scan, headers=kiosk, json={"code": code})
    assert (early.status_code, early.json()["code"]) == (409, "too-early-to-check-in")
    await execute("UPDATE appointments SET changed_at = now() - interval '7 days'")
    moved = "UPDATE slots SET starts_at = now() + $1, ends_at = now() + $1 + interval '30 minutes'"
    for ahead in (timedelta(hours=23), timedelta(hours=1, minutes=50)):
        await execute(moved, ahead)
        await reminding.record_visit_reminders()
    await execute(moved, timedelta(seconds=1))
    await execute("UPDATE slots SET day = $1", clock.today())
    await execute("UPDATE appointments SET day = $1", clock.today())

    # The kiosk scans the code, the clerk calls, the board shows it, the visit ends.
    code = (await client.get(f"{mine}/check-in-code", headers=resident)).json()["code"]
    ticket = (await client.post(scan, headers=kiosk, json={"code": code})).json()
    called = await client.post(f"/v1/staff/windows/{window.id}/call", headers=clerk)
    place = (await client.get(f"{mine}/queue", headers=resident)).json()
    board = (await client.get(f"/v1/public/halls/{hall.id}/board")).json()
    await client.post(f"/v1/staff/tickets/{ticket['id']}/serve", headers=clerk)
    end = (await client.get(mine, headers=resident)).json()

    assert called.json()["id"] == ticket["id"]
    assert (place["state"], place["window"]) == ("called", "5")
    assert [each["label"] for each in board["called"]] == [ticket["label"]]
    assert end["state"] == "served"

    # The resident's messages, and what the ledger knows.
    await jobs.drain()
    await auditing.seal_all()
    told = [row["name"] for row in await fetch("SELECT name FROM messages ORDER BY event_id")]
    names = [
        row["name"] for row in await fetch("SELECT name FROM events WHERE subject_kind = 'appointment' ORDER BY id")
    ]
    assert told == ["appointment_booked", "appointment_tomorrow", "appointment_today"]
    assert names == [
        "appointment.booked", "appointment.due", "appointment.due", "appointment.checked-in", "appointment.served",
    ]  # fmt: skip
    found = {each.id: each for each in await invariants.check()}
    assert {name: each.findings for name, each in found.items() if each.status == "violated"} == {}
    assert found["I-5"].status == "holds"
