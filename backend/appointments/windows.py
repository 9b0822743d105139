"""Halls say which windows they have, which of them are open, and which lines each serves."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.appointments.duty import Runner, authorize_hall
from backend.appointments.errors import ServiceLineInvalid
from backend.appointments.events import WindowChanged
from backend.database import fetch, fetch_as, fetch_value, transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.regions.errors import HallNotFound


class WindowDetail(Struct, frozen=True, kw_only=True):
    """A window: its number as the sign shows it, and the lines that it serves."""

    id: UUID
    number: str
    line_ids: list[UUID]
    open: bool


_SET = """
INSERT INTO windows (id, created_at, hall_id, number, line_ids, open) VALUES ($1, now(), $2, $3, $4, $5)
ON CONFLICT (hall_id, number) DO UPDATE SET line_ids = excluded.line_ids, open = excluded.open RETURNING id
"""


@raises(HallNotFound)
async def list_windows(staff: Runner, hall_id: UUID) -> list[WindowDetail]:
    """The windows of the hall, in the order of their numbers."""
    await authorize_hall(staff, hall_id)
    return await fetch_as(
        WindowDetail,
        "SELECT id, number, line_ids, open FROM windows WHERE hall_id = $1 ORDER BY length(number), number",
        hall_id,
    )


@raises(HallNotFound, ServiceLineInvalid)
async def set_window(
    staff: Runner, hall_id: UUID, number: str, *, line_ids: list[UUID], open: bool, window_id: UUID | None = None
) -> WindowDetail:
    """Make or change the window with this number; seeds give a new one an id of their own.

    A window that is shut calls no numbers; it is never deleted, because queue numbers of the past name it.

    Raises ServiceLineInvalid for a line that is not one of this hall's.
    """
    await authorize_hall(staff, hall_id)
    wanted = list(dict.fromkeys(line_ids))
    async with transaction():
        rows = await fetch(
            "SELECT id FROM service_lines WHERE hall_id = $1 AND id = ANY($2) FOR SHARE", hall_id, wanted
        )
        own = {row["id"] for row in rows}
        if strange := [place for place, line_id in enumerate(line_ids) if line_id not in own]:
            raise ServiceLineInvalid(
                fields=[Fault(f"/line_ids/{place}", "本大厅没有这个业务类别") for place in strange]
            )
        known: UUID = await fetch_value(_SET, window_id or uuid7(), hall_id, number, wanted, open)
        await record(WindowChanged(window_id=known, hall_id=hall_id, line_ids=tuple(wanted), open=open))
    return WindowDetail(id=known, number=number, line_ids=wanted, open=open)
