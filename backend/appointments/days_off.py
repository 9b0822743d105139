"""Days that were declared off after their slots had been opened: what a hall still has to close, or means to keep.

The calendar says when departments work; whether a hall receives people on such a day all the same (many do, on
weekends and holidays) only the hall knows. Closing takes visits from people and cannot be undone, and one wrong date
in the calendar would do it in every hall of the country at once. So nothing is closed by itself: the hall's staff see
the day here until they close it (`closing.close_day` notifies all residents and offers another slot) or it is over.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from uuid import UUID

from msgspec import Struct

from backend import calendar
from backend.appointments.duty import Runner, authorize_hall
from backend.appointments.hours import Opening, list_template, rows_of
from backend.calendar import CalendarYearNotCovered, WorkingCalendar
from backend.database import fetch
from backend.errors import raises
from backend.regions.errors import HallNotFound


class DayOff(Struct, frozen=True, kw_only=True):
    """A line that is open on a day on which its opening hours say that it is not. `name` is the holiday's, if it has
    one; `taken` people have a place and would be notified."""

    day: date
    name: str | None
    line_id: UUID
    line_name: str
    slots: int
    taken: int


_OPEN = """
SELECT s.day, s.line_id, l.name AS line_name, count(*) AS slots,
       coalesce(sum((SELECT count(*) FROM appointments a
                     WHERE a.slot_id = s.id AND a.state IN ('held', 'booked'))), 0)::int AS taken
FROM slots s JOIN service_lines l ON l.id = s.line_id
WHERE s.hall_id = $1 AND s.closed_at IS NULL AND s.ends_at > now()
GROUP BY s.day, s.line_id, l.name, l.code ORDER BY s.day, l.code
"""


@raises(HallNotFound)
async def list_days_off(staff: Runner, hall_id: UUID) -> list[DayOff]:
    """Every line and day to come that has open slots although the calendar closes it, by day."""
    await authorize_hall(staff, hall_id)
    known, found = await calendar.load(), []
    templates: defaultdict[UUID, list[Opening]] = defaultdict(list)
    for row in await fetch(_OPEN, hall_id):
        if row["line_id"] not in templates:
            templates[row["line_id"]] = await list_template(row["line_id"])
        if _closed_by_calendar(templates[row["line_id"]], row["day"], known):
            found.append(DayOff(**dict(row), name=known.day(row["day"]).name))
    return found


def _closed_by_calendar(openings: list[Opening], day: date, known: WorkingCalendar) -> bool:
    """Whether the day is off and the template has no hours for such a day; a year without a calendar closes nothing."""
    try:
        return not known.is_working(day) and not rows_of(openings, day, known)
    except CalendarYearNotCovered:
        return False
