"""Deliveries: how what was decided reaches the resident, by post or at a counter, and where it is on the way.

Every activity is a module, and reads with it as a sentence: `choosing.choose(…)`, `dispatching.send(…)`.
The domain of a subject uses `subject_deliveries`. Importing the package registers its jobs.
"""

from __future__ import annotations

from backend.deliveries import (
    acting,
    addresses,
    anomalies,
    batching,
    callbacks,
    cancelling,
    choosing,
    dispatching,
    erasing,
    handing_over,
    numbering,
    ordering,
    pickup_points,
    polling,
    postage,
    problems,
    receiving,
    resident_views,
    returning,
    staff_views,
    subject_deliveries,
    tracing,
    tracking,
    transitions,
)

__all__ = [
    "acting",
    "addresses",
    "anomalies",
    "batching",
    "callbacks",
    "cancelling",
    "choosing",
    "dispatching",
    "erasing",
    "handing_over",
    "numbering",
    "ordering",
    "pickup_points",
    "polling",
    "postage",
    "problems",
    "receiving",
    "resident_views",
    "returning",
    "staff_views",
    "subject_deliveries",
    "tracing",
    "tracking",
    "transitions",
]
