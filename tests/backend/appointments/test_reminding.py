"""Reminders: the day before and two hours before, each once, and none that says nothing new."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from backend import jobs
from backend.appointments import reminding, rescheduling
from backend.appointments.events import AppointmentCancelled, TicketSoon
from backend.database import execute, fetch, transaction
from backend.events import record
from models.appointments import Appointment, AppointmentState
from notifications import delivering
from tests.factories.appointments import a_line, a_slot, an_appointment, many_people, somebody

DAY, HOURS = reminding.AHEAD["day"], reminding.AHEAD["hours"]


async def booked_long_ago(starts_in: timedelta, **changes: object) -> Appointment:
    """A visit that begins so long from now and was booked a week ago."""
    visit = await an_appointment(await a_slot(starts_in=starts_in), **changes)  # type: ignore[arg-type]
    await execute("UPDATE appointments SET changed_at = now() - interval '7 days' WHERE id = $1", visit.id)
    return visit


async def due() -> list[tuple[UUID, str]]:
    """Which visits were reminded of, and how."""
    rows = await fetch(
        "SELECT subject_id, payload::jsonb ->> 'ahead' AS ahead FROM events WHERE name = 'appointment.due' ORDER BY id"
    )
    return [(row["subject_id"], row["ahead"]) for row in rows]


@pytest.mark.parametrize(
    ("starts_in", "expected"),
    [
        (DAY + timedelta(minutes=1), []),
        (DAY - timedelta(minutes=1), ["day"]),
        (HOURS + timedelta(minutes=1), ["day"]),
        (HOURS - timedelta(minutes=1), ["hours"]),
        (timedelta(seconds=-1), []),
    ],
)
async def test_a_reminder_is_due_at_its_time_and_not_any_more_when_the_next_one_is(
    starts_in: timedelta, expected: list[str]
):
    visit = await booked_long_ago(starts_in)

    await reminding.record_visit_reminders()

    assert await due() == [(visit.id, ahead) for ahead in expected]


async def test_each_reminder_is_written_once_however_many_workers_look():
    visit = await booked_long_ago(DAY - timedelta(minutes=1))
    others = [await booked_long_ago(DAY - timedelta(minutes=2)) for _ in range(10)]

    await asyncio.gather(*(reminding.record_visit_reminders() for _ in range(8)))
    await reminding.record_visit_reminders()

    assert sorted(await due()) == sorted((each.id, "day") for each in (visit, *others))


async def test_both_reminders_come_one_after_the_other():
    visit = await booked_long_ago(DAY - timedelta(minutes=1))
    await reminding.record_visit_reminders()
    for table in ("appointment_reminders", "slots"):
        await execute(f"UPDATE {table} SET starts_at = starts_at - interval '22 hours'")

    await reminding.record_visit_reminders()

    assert await due() == [(visit.id, "day"), (visit.id, "hours")]


async def test_a_resident_who_booked_a_moment_ago_is_not_reminded_of_it():
    await an_appointment(await a_slot(starts_in=DAY - timedelta(minutes=1)))

    assert await reminding.record_visit_reminders() == 0


@pytest.mark.parametrize("state", [each for each in AppointmentState if each is not AppointmentState.BOOKED])
async def test_no_resident_is_reminded_of_a_visit_that_is_not_to_come(state: AppointmentState):
    await booked_long_ago(DAY - timedelta(minutes=1), state=state)

    assert await reminding.record_visit_reminders() == 0


async def test_a_closed_slot_reminds_no_resident():
    await booked_long_ago(DAY - timedelta(minutes=1))
    await execute("UPDATE slots SET closed_at = now()")

    assert await reminding.record_visit_reminders() == 0


async def test_a_visit_that_was_moved_is_reminded_of_for_its_new_time():
    line = await a_line()
    resident = await somebody()
    visit = await an_appointment(await a_slot(line=line, starts_in=DAY - timedelta(minutes=1)), resident)
    later = await a_slot(line=line, starts_in=DAY + timedelta(days=2))
    await execute("UPDATE appointments SET changed_at = now() - interval '7 days'")
    await reminding.record_visit_reminders()
    await rescheduling.reschedule_appointment(resident, visit.id, later.id)
    await execute("UPDATE appointments SET changed_at = now() - interval '7 days'")
    await execute("UPDATE slots SET starts_at = now() + interval '23 hours' WHERE id = $1", later.id)

    await reminding.record_visit_reminders()

    rows = await fetch(
        "SELECT payload::jsonb ->> 'starts_at' AS at FROM events WHERE name = 'appointment.due' ORDER BY id"
    )
    assert len({datetime.fromisoformat(row["at"]) for row in rows}) == 2


async def test_more_than_a_batch_is_reminded_in_one_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reminding, "BATCH", 3)
    slot = await a_slot(20, starts_in=DAY - timedelta(minutes=1))
    for each in await many_people(7):
        await an_appointment(slot, each)
    await execute("UPDATE appointments SET changed_at = now() - interval '7 days'")

    assert await reminding.record_visit_reminders() == 7


async def test_residents_read_when_and_where_and_nothing_of_themselves(monkeypatch: pytest.MonkeyPatch):
    async def nothing(_: object) -> None:
        return None

    monkeypatch.setattr(delivering, "deliver", nothing)
    visit = await booked_long_ago(HOURS - timedelta(minutes=1))
    await reminding.record_visit_reminders()
    async with transaction():
        for by in ("resident", "hall"):
            await record(
                AppointmentCancelled(
                    appointment_id=visit.id,
                    resident_id=visit.resident_id,
                    slot_id=visit.slot_id,
                    by=by,
                    because="停电",  # type: ignore[attr-defined]
                )
            )

    await jobs.drain()

    rows = await fetch("SELECT name, title, body FROM messages ORDER BY event_id")
    assert [row["name"] for row in rows] == ["appointment_today", "appointment_cancelled", "appointment_closed"]
    assert all("测试政务大厅" in row["body"] and visit.number in row["body"] for row in rows)
    assert not any("停电" in row["body"] for row in rows)


async def test_a_number_that_was_called_meanwhile_is_not_asked_to_come_near(monkeypatch: pytest.MonkeyPatch):
    async def nothing(_: object) -> None:
        return None

    monkeypatch.setattr(delivering, "deliver", nothing)
    resident = await somebody()
    async with transaction():
        await record(TicketSoon(ticket_id=resident.session_id, resident_id=resident.id, ahead=0))

    await jobs.drain()

    assert await fetch("SELECT 1 FROM messages") == []
