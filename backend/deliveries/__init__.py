"""Deliveries: how what was decided reaches the resident, by post or at a counter, and where it is on the way.

Every activity is a module, and reads with it as a sentence: `choosing.choose(…)`, `dispatching.send(…)`.
Whoever stands behind a subject uses `subjects`. Importing the room registers its jobs.
"""

from __future__ import annotations

from backend.deliveries import (
    acting,
    addresses,
    anomalies,
    asking,
    batching,
    cancelling,
    choosing,
    dispatching,
    following,
    forgetting,
    handing_over,
    hearing,
    moving,
    numbering,
    ordering,
    overseeing,
    pickup_points,
    postage,
    problems,
    receiving,
    returning,
    subjects,
    tracing,
    tracking,
)

__all__ = [
    "acting",
    "addresses",
    "anomalies",
    "asking",
    "batching",
    "cancelling",
    "choosing",
    "dispatching",
    "following",
    "forgetting",
    "handing_over",
    "hearing",
    "moving",
    "numbering",
    "ordering",
    "overseeing",
    "pickup_points",
    "postage",
    "problems",
    "receiving",
    "returning",
    "subjects",
    "tracing",
    "tracking",
]
