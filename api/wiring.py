"""Where everything meets: importing the packages registers their jobs; the tables connect subscribers to events."""

from __future__ import annotations

from dataclasses import replace

from backend import reactions, schedule
from backend.jobs import Timetable
from notifications import delivering, invariants, rules, templates


def wire() -> Timetable:
    """Connect subscribers to events; what a worker does by the clock. Safe to call again."""
    reactions.wire()
    rules.wire()
    invariants.wire()
    templates.check_all()
    timetable = schedule.timetable()
    return replace(timetable, cron=(*timetable.cron, *delivering.CRON), all_along=(delivering.dispatch,))
