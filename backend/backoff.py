"""Pauses between the attempts of jobs and messages, by a schedule that a setting holds."""

from __future__ import annotations

import random
from collections.abc import Callable

JITTER = 0.2
"""The largest part by which a pause differs from its schedule, so that retries spread."""


def retry_delay(
    schedule: str, failures: int, *, chance: Callable[[float, float], float] = random.uniform
) -> float | None:
    """Seconds to wait after the n-th failure (from 1); None after the last. `schedule` is seconds, comma separated."""
    delays = [float(part) for part in schedule.split(",") if part.strip()]
    if failures > len(delays):
        return None
    return delays[failures - 1] * chance(1 - JITTER, 1 + JITTER)
