"""Where everything meets: importing the rooms registers their jobs; the tables say who listens to what."""

from __future__ import annotations

from backend import reactions, schedule
from backend.jobs import Timetable


def wire() -> Timetable:
    """Connect listeners to events; what a worker does by the clock. Safe to call again."""
    reactions.wire()
    return schedule.timetable()
