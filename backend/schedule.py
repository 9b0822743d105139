"""What happens by the clock: the whole table. Cron times are UTC."""

from __future__ import annotations

from typing import Any

from backend import jobs
from backend.idempotency import forget_expired
from backend.jobs import Timetable


@jobs.job("idempotency.forget-expired")
async def _forget_expired(_: dict[str, Any]) -> None:
    await forget_expired()


CRON: list[tuple[str, str]] = [
    ("17 * * * *", "idempotency.forget-expired"),
]


def timetable() -> Timetable:
    """The table as a worker takes it."""
    return Timetable(cron=tuple(CRON))
