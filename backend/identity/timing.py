"""What time it is for tokens, sessions and signatures: the database's time, which all processes share.

A server whose clock is two minutes off must not refuse fresh tokens, nor accept old ones. Every process learns
the database's time with the statements that it sends anyway (`watching.refresh`) and counts on from there with a
clock that cannot be set. Before the first answer it has only its own.
"""

from __future__ import annotations

from datetime import UTC, datetime

from backend import clock
from backend.database import fetch_value

_anchor: float | None = None
"""Database time minus the monotonic clock, in seconds."""


def seconds() -> float:
    """Seconds since 1970 by the database's clock, without asking it."""
    if _anchor is None:
        return clock.now().timestamp()
    return _anchor + clock.monotonic() + clock.shift()


def now() -> datetime:
    """The same as an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds(), UTC)


async def database_now() -> datetime:
    """Ask the database what time it is, and count on from its answer."""
    return record_database_time(await fetch_value("SELECT clock_timestamp()"))


def record_database_time(moment: datetime) -> datetime:
    """Take over what the database said (`clock_timestamp()`); the same moment on a clock that a test may travel."""
    global _anchor
    _anchor = moment.timestamp() - clock.monotonic()
    return now()


def clear_offset() -> None:
    """Trust our own clock again until the database has been asked."""
    global _anchor
    _anchor = None
