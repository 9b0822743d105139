"""The only place that asks what time it is.

Instants are aware and in UTC; days are those of Asia/Shanghai, where the halls are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

_shift = timedelta(0)


def now() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC) + _shift


def today() -> date:
    """The day it is in Asia/Shanghai."""
    return day_of(now())


def day_of(moment: datetime) -> date:
    """The day in Asia/Shanghai on which the instant falls."""
    return moment.astimezone(SHANGHAI).date()


def timestamp() -> int:
    """Whole seconds since 1970, as the partners' protocols count them."""
    return int(now().timestamp())


def monotonic() -> float:
    """Seconds that only ever grow, for measuring how long something took."""
    return time.monotonic()


def shift() -> float:
    """Seconds by which `travel` has moved `now()`; zero outside of tests and the demo."""
    return _shift.total_seconds()


@contextmanager
def travel(*, to: datetime | None = None, by: timedelta | None = None) -> Iterator[None]:
    """Another time inside the block: `to` an instant or `by` a distance. The clock goes on from there."""
    global _shift
    before = _shift
    _shift = (to - datetime.now(UTC)) if to is not None else before + (by or timedelta(0))
    try:
        yield
    finally:
        _shift = before
