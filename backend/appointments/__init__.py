"""Appointments: lines and slots of halls, places that are never sold twice, and the day in the hall.

Every activity is a module, and reads with it as a sentence: `slots.generate(staff, …)`, `closing.close_day(staff, …)`.
Importing the room registers its jobs.
"""

from __future__ import annotations

from backend.appointments import (
    attending,
    board,
    calling,
    check_in_codes,
    closing,
    estimating,
    hours,
    lines,
    missing,
    posters,
    reminding,
    resting,
    slots,
    staff_views,
    strikes,
    windows,
)

__all__ = [
    "attending",
    "board",
    "calling",
    "check_in_codes",
    "closing",
    "estimating",
    "hours",
    "lines",
    "missing",
    "posters",
    "reminding",
    "resting",
    "slots",
    "staff_views",
    "strikes",
    "windows",
]
