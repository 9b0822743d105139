"""Lines, slots and people with a place in them, straight into the tables: a test needs the state, not the way to it."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.database import execute, transaction
from backend.identity.principals import AsResident
from models.appointments import Appointment, AppointmentState, LineItem, ServiceLine, Slot, Window
from models.catalogue import ItemKind, ServiceItem
from models.identity import Resident
from models.regions import Department, Hall
from tests.factories.regions import a_department, a_hall

_numbers = itertools.count(1)
TAKES_A_PLACE = {
    AppointmentState.HELD: "held",
    AppointmentState.BOOKED: "booked",
    AppointmentState.CHECKED_IN: "booked",
    AppointmentState.SERVED: "booked",
}
"""The column of the slot in which an appointment in this state is counted."""


def _letters(number: int) -> str:
    return chr(65 + number // 26 % 26) + chr(65 + number % 26)


async def somebody() -> AsResident:
    """A resident without a session: for use cases, not for requests."""
    resident_id = uuid7()
    await Resident.create(id=resident_id)
    return AsResident(resident_id, uuid7())


async def many_people(number: int) -> list[AsResident]:
    """As many residents, in one statement."""
    ids = [uuid7() for _ in range(number)]
    await execute("INSERT INTO residents (id, created_at) SELECT id, now() FROM unnest($1::uuid[]) AS t(id)", ids)
    return [AsResident(each, uuid7()) for each in ids]


async def an_item(department: Department | None = None) -> ServiceItem:
    """An item without any version: enough to be booked for."""
    number = next(_numbers)
    return await ServiceItem.create(
        code=f"T{number:030d}",
        department=department or await a_department(),
        kind=ItemKind.PAYMENT,
        level="4",
        basic_code=f"{number:012d}",
    )


async def a_line(*, hall: Hall | None = None, items: int | Iterable[ServiceItem] = 1, **changes: Any) -> ServiceLine:
    """A line of its own hall, unless one is given, that handles new items; `await item_of(line)` names the first."""
    hall = hall or await a_hall()
    values: dict[str, Any] = {
        "code": _letters(next(_numbers)),
        "name": "综合业务",
        "release_time": time(8),
        **changes,
    }
    line = await ServiceLine.create(hall=hall, **values)
    if isinstance(items, int):
        department = await a_department() if items else None
        items = [await an_item(department) for _ in range(items)]
    for item in items:
        await LineItem.create(line=line, hall_id=hall.id, item=item)
    return line


async def items_of(line: ServiceLine) -> list[str]:
    """Codes of the items that the line handles, oldest first."""
    found = await LineItem.filter(line_id=line.id).order_by("id").prefetch_related("item")
    return [each.item.code for each in found]


async def item_of(line: ServiceLine) -> str:
    """The code of the first item that the line handles."""
    return (await items_of(line))[0]


async def a_slot(
    capacity: int = 3,
    line: ServiceLine | None = None,
    starts_in: timedelta = timedelta(days=1),
    **changes: Any,
) -> Slot:
    """A slot that begins so long from now, already released."""
    line = line or await a_line()
    starts_at = clock.now() + starts_in
    values: dict[str, Any] = {
        "hall_id": line.hall_id,  # type: ignore[attr-defined]
        "day": starts_at.astimezone(clock.SHANGHAI).date(),
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=line.slot_minutes),
        "release_at": clock.now() - timedelta(minutes=1),
        "capacity": capacity,
        **changes,
    }
    return await Slot.create(line=line, **values)


async def a_window(line: ServiceLine, number: str | None = None, **changes: Any) -> Window:
    """A window that serves the line."""
    values: dict[str, Any] = {"line_ids": [line.id], **changes}
    hall_id: UUID = line.hall_id  # type: ignore[attr-defined]
    return await Window.create(hall_id=hall_id, number=number or str(next(_numbers)), **values)


async def an_appointment(
    slot: Slot | None = None,
    resident: AsResident | None = None,
    state: AppointmentState = AppointmentState.BOOKED,
    *,
    item: ServiceItem | None = None,
    hold_until: datetime | None = None,
    **changes: Any,
) -> Appointment:
    """An appointment in this state; the slot counts their place if the state takes one."""
    slot = slot or await a_slot()
    resident = resident or await somebody()
    line_id: UUID = slot.line_id  # type: ignore[attr-defined]
    item = item or (await LineItem.filter(line_id=line_id).order_by("id").prefetch_related("item"))[0].item
    if state is AppointmentState.HELD and hold_until is None:
        hold_until = clock.now() + timedelta(minutes=3)
    values: dict[str, Any] = {
        "number": f"{slot.day:%y%m%d}-{secrets.token_hex(5).upper()}",
        "person_id": resident.id,
        "line_id": line_id,
        "day": slot.day,
        "hold_until": hold_until,
        **changes,
    }
    async with transaction():
        if column := TAKES_A_PLACE.get(state):
            await execute(f"UPDATE slots SET {column} = {column} + 1 WHERE id = $1", slot.id)
        return await Appointment.create(slot=slot, resident_id=resident.id, item=item, state=state, **values)


async def places(slot_id: UUID) -> tuple[int, int, int]:
    """Capacity, held and booked, as the database has them now."""
    found = await Slot.get(id=slot_id)
    return found.capacity, found.held, found.booked
