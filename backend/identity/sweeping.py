"""What is thrown away by the clock: codes, attempts and nonces that guard nothing any more, sessions long over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backend.database import execute
from backend.identity import agencies, attempts, keys, spent_codes, timing
from backend.jobs import job
from backend.settings import settings

KEPT = timedelta(days=180)
"""How long an ended session stays: logs are kept for at least six months (网络安全法)."""

_RESIDENTS = "DELETE FROM sessions WHERE coalesce(ended_at, least(expires_at, last_used_at + $2)) < $1"
_STAFF = "DELETE FROM staff_sessions WHERE coalesce(ended_at, least(expires_at, last_used_at + $2)) < $1"


@job("identity.sweep")
async def sweep_identity(_: dict[str, Any]) -> None:
    """Throw all of it away; running it twice does no harm."""
    await timing.database_now()
    await spent_codes.delete_old_codes()
    await attempts.delete_old_attempts()
    await agencies.delete_old_nonces()
    await keys.erase_ended_keys()
    before = timing.now() - KEPT
    await execute(_RESIDENTS, before, timedelta(seconds=settings().refresh_token_seconds))
    await execute(_STAFF, before, timedelta(seconds=settings().staff_idle_seconds))
