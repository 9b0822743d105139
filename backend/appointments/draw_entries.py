"""A resident's own entries in draws: whether the draw was held, what came of it, and where anybody can check it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from backend.database import fetch_as
from backend.identity import AsResident

SHOWN = 100
"""So many entries a list shows, the latest first."""


class DrawEntrySummary(Struct, frozen=True, kw_only=True):
    """An entry and its result. With its `id` one finds oneself in the proof, which lies at `proof` for everybody.

    `state` is "entered" until the draw is held, then "won" or "lost". `slot_id` is the slot that was won; the
    appointment may have moved or ended since.
    """

    id: UUID
    draw_id: UUID
    line_id: UUID
    line_name: str
    hall_name: str
    day: date
    item_code: str
    person_id: UUID
    slot_ids: list[UUID]
    closes_at: datetime
    drawn_at: datetime | None
    state: Literal["entered", "won", "lost"]
    rank: int | None
    slot_id: UUID | None
    appointment_id: UUID | None
    proof: str


_OWN = """
SELECT e.id, e.draw_id, d.line_id, l.name AS line_name, h.name AS hall_name, d.day, i.code AS item_code, e.person_id,
       e.slot_ids, d.closes_at, d.drawn_at, e.rank, e.slot_id, e.appointment_id,
       CASE WHEN d.drawn_at IS NULL THEN 'entered' WHEN e.appointment_id IS NULL THEN 'lost' ELSE 'won' END AS state,
       '/v1/public/lines/' || d.line_id || '/draws/' || d.day AS proof
FROM draw_entries e JOIN draws d ON d.id = e.draw_id JOIN service_lines l ON l.id = d.line_id
JOIN halls h ON h.id = l.hall_id JOIN service_items i ON i.id = e.item_id
WHERE e.person_id IN (SELECT people_of($1, 'appointments')) ORDER BY d.day DESC, e.created_at DESC, e.id LIMIT $2
"""


async def list_own_draw_entries(resident: AsResident) -> list[DrawEntrySummary]:
    """The entries of the resident and of everybody they may act for, the latest day first."""
    return await fetch_as(DrawEntrySummary, _OWN, resident.id, SHOWN)
