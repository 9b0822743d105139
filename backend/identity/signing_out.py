"""The resident's own sessions: which there are, and ending one, all others, or all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from backend.database import fetch, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import session_watch, timing
from backend.identity.devices import NAMES
from backend.identity.errors import SessionNotFound
from backend.identity.events import SessionsEnded
from backend.identity.principals import AsResident
from backend.settings import settings

_ALIVE = "ended_at IS NULL AND expires_at > $2 AND last_used_at > $3"
_LIST = f"""
SELECT id, device, created_at, last_used_at, expires_at FROM sessions
WHERE resident_id = $1 AND {_ALIVE} ORDER BY last_used_at DESC, id DESC
"""
_END = """
UPDATE sessions SET ended_at = $2, end_reason = $3
WHERE resident_id = $1 AND ended_at IS NULL AND id = ANY($4) RETURNING id
"""
_END_OTHERS = """
UPDATE sessions SET ended_at = $2, end_reason = $3
WHERE resident_id = $1 AND ended_at IS NULL AND id <> $4 RETURNING id
"""


class SessionSummary(NamedTuple):
    """A session as its owner sees it."""

    id: UUID
    device: str
    device_name: str
    signed_in_at: datetime
    last_used_at: datetime
    """When it was last refreshed: at most one access token's life ago if it is in use."""
    expires_at: datetime
    is_current: bool


async def list_own_sessions(resident: AsResident) -> list[SessionSummary]:
    """The resident's living sessions, the one used last first."""
    now = await timing.database_now()
    idle_since = now - timedelta(seconds=settings().refresh_token_seconds)
    return [_seen(row, resident) for row in await fetch(_LIST, resident.id, now, idle_since)]


async def sign_out_resident(resident: AsResident) -> None:
    """End the session in which this was asked. Ending it twice is the same as once."""
    await _end(_END, resident, [resident.session_id], "signed-out")


@raises(SessionNotFound)
async def end_session(resident: AsResident, session_id: UUID) -> None:
    """End one of the resident's sessions. Raises SessionNotFound when it is not theirs or was ended before."""
    if not await _end(_END, resident, [session_id], "ended-elsewhere"):
        raise SessionNotFound


async def end_other_sessions(resident: AsResident) -> int:
    """End every session of the resident but the one in which this was asked; how many."""
    return len(await _end(_END_OTHERS, resident, resident.session_id, "ended-elsewhere"))


async def _end(sql: str, resident: AsResident, which: Any, reason: str) -> list[UUID]:
    now = await timing.database_now()
    async with transaction() as connection:
        ended = [row["id"] for row in await connection.fetch(sql, resident.id, now, reason, which)]
        if ended:
            await record(SessionsEnded(resident_id=resident.id, session_ids=tuple(ended), reason=reason))
    await session_watch.announce_ended(ended)
    return ended


def _seen(row: Any, resident: AsResident) -> SessionSummary:
    return SessionSummary(
        id=row["id"],
        device=row["device"],
        device_name=NAMES.get(row["device"], NAMES["other"]),
        signed_in_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        is_current=row["id"] == resident.session_id,
    )
