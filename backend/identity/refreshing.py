"""Refreshing: one refresh token gives one successor, however often and however concurrently it comes.

The session row is locked while it is decided, so twenty requests with one token stand in a queue: the first one
moves the session on, the others come within the grace time and are given the same successor. An older
token means that there is a copy, of it or of the newer one: it cannot be known whose, so the session ends for both
(RFC 9700 §4.14).
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from backend import logs
from backend.database import transaction
from backend.errors import raises
from backend.events import act_as, record
from backend.identity import refresh_tokens, session_watch, timing, tokens
from backend.identity.errors import RefreshElsewhere, RefreshInvalid, RefreshReused
from backend.identity.events import RefreshReuseFound
from backend.settings import settings

Verdict = Literal["rotate", "repeat", "reused", "elsewhere", "invalid"]

_LOCKED = """
SELECT s.id, s.resident_id, s.device, s.last_used_at, s.expires_at, s.generation, s.refresh_digest,
       s.previous_digest, s.successor, s.ended_at, r.disabled_at
FROM sessions s JOIN residents r ON r.id = s.resident_id WHERE s.id = $1 FOR UPDATE OF s
"""
_ROTATE = """
UPDATE sessions SET generation = generation + 1, previous_digest = refresh_digest, refresh_digest = $2,
                    successor = $3, last_used_at = $4
WHERE id = $1
"""
_END = "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id = $1"


class Tokens(NamedTuple):
    """What a client keeps after signing in or refreshing."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: UUID
    resident_id: UUID


def judge_token(session: Any, presented: refresh_tokens.PresentedToken, device: str, now: datetime) -> Verdict:
    """What to do with a token of ours that names this session. Pure: the whole rule is here."""
    idle = timedelta(seconds=settings().refresh_token_seconds)
    if session["ended_at"] is not None or session["disabled_at"] is not None:
        return "invalid"
    if now >= session["expires_at"] or now >= session["last_used_at"] + idle:
        return "invalid"
    if presented.generation < session["generation"]:
        recent = now < session["last_used_at"] + timedelta(seconds=settings().refresh_grace_seconds)
        previous = session["previous_digest"] or ""
        if not (recent and hmac.compare_digest(presented.digest, previous)):
            return "reused"
    elif not hmac.compare_digest(presented.digest, session["refresh_digest"]):
        return "invalid"
    if device != session["device"]:
        return "elsewhere"
    return "rotate" if presented.generation == session["generation"] else "repeat"


@raises(RefreshInvalid, RefreshReused, RefreshElsewhere)
async def refresh_session(token: str, *, device: str) -> Tokens:
    """Give the successor of a refresh token and a new access token.

    Raises RefreshInvalid when it is not ours or its time is over; RefreshReused and RefreshElsewhere when a thief
    has a copy, after ending the session.
    """
    presented = refresh_tokens.parse_token(token)
    await session_watch.ensure_fresh()
    now = await timing.database_now()
    async with transaction() as connection:
        session = await connection.fetchrow(_LOCKED, presented.session_id)
        if session is None:
            raise RefreshInvalid
        act_as("resident", session["resident_id"])
        decided = judge_token(session, presented, device, now)
        if decided == "rotate":
            successor = refresh_tokens.create_token(session["id"], session["generation"] + 1)
            hidden = refresh_tokens.seal_successor(successor, under=token)
            await connection.execute(_ROTATE, session["id"], refresh_tokens.digest_of(successor), hidden, now)
        elif decided == "repeat":
            successor = refresh_tokens.open_successor(session["successor"], under=token)
        elif decided != "invalid":
            await _end(session, decided, now)
    if decided == "invalid":
        raise RefreshInvalid
    if decided in ("reused", "elsewhere"):
        await session_watch.announce_ended([session["id"]])
        raise RefreshReused if decided == "reused" else RefreshElsewhere
    return create_tokens(session["resident_id"], session["id"], successor, session["expires_at"], now)


async def _end(session: Any, reason: str, now: datetime) -> None:
    async with transaction() as connection:
        await connection.execute(_END, session["id"], now, reason)
        await record(RefreshReuseFound(session_id=session["id"], resident_id=session["resident_id"], reason=reason))
    facts = {"session_id": str(session["id"]), "reason": reason}
    logs.security.warning("refresh token reused", extra={"event": "session.refresh-reused", **facts})


def create_tokens(
    resident_id: UUID, session_id: UUID, refresh_token: str, expires_at: datetime, now: datetime
) -> Tokens:
    """An access token beside this refresh token. The refresh token ends with the session, or when it is not used."""
    left = max(1, min(settings().refresh_token_seconds, int((expires_at - now).total_seconds())))
    access = tokens.issue_token(resident_id, session_id, "resident", seconds=min(settings().access_token_seconds, left))
    return Tokens(access.token, access.expires_in, refresh_token, left, session_id, resident_id)
