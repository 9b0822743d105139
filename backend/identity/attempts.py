"""Failed attempts to sign in as staff: counted before the password is looked at, kept in PostgreSQL.

Two limits: per login and source, which stops a guesser; and per login over all sources, which stops many
who guess together. The second one could lock out its victim, so a source from which the login was used successfully
of late is only under the first one. Logins that do not exist are counted like those that do.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from backend import logs
from backend.crypto import fingerprint
from backend.database import execute, fetch_value, transaction
from backend.events import record
from backend.identity import timing
from backend.identity.errors import AttemptsExhausted
from backend.identity.events import StaffSignInFailed
from backend.jobs import enqueue, job

PER_SOURCE, SOURCE_WINDOW = 5, timedelta(minutes=10)
PER_LOGIN, LOGIN_WINDOW = 50, timedelta(hours=12)
TRUSTED_FOR = timedelta(days=30)
"""How long a source counts as a good one after a successful sign-in."""
ANOMALY, ANOMALY_WINDOW = 200, timedelta(minutes=10)
"""Failures over all logins that indicate a few guesses on each of many accounts."""

FAILED = Counter("zhangban_sign_in_failures_total", "Failed attempts to sign in as staff")
ANOMALIES = Counter("zhangban_sign_in_anomalies_total", "Attempts while unusually many fail")

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sign-in ' || $1, 0))"
_COUNT = """
SELECT count(*) FILTER (WHERE source = $2 AND at > $3) AS here, count(*) AS anywhere,
       min(at) FILTER (WHERE source = $2 AND at > $3) AS first_here, min(at) AS first_anywhere
FROM sign_in_attempts WHERE subject = $1 AND at > $4
"""
_TRUSTED = """
SELECT EXISTS (SELECT 1 FROM staff_sessions s JOIN staff_members m ON m.id = s.staff_id
               WHERE m.login = $1 AND s.source = $2 AND s.created_at > $3)
"""
_ADD = "INSERT INTO sign_in_attempts (subject, source, at) VALUES ($1, $2, $3)"


def source_of(address: str) -> str:
    """A fingerprint of the network a request comes from: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        found = ip_address(address)
    except ValueError:
        return fingerprint(address or "nowhere", "source")
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64)
    return fingerprint(found.exploded, "source")


async def begin_attempt(login: str, source: str) -> None:
    """Count an attempt, as a failure for the time being. Raises AttemptsExhausted when there were too many.

    Counting before checking is what makes a hundred attempts at once no more than a hundred in a row.
    """
    now = await timing.database_now()
    subject = fingerprint(login, "login")
    async with transaction() as connection:
        await connection.execute(_LOCK, subject)
        row = await connection.fetchrow(_COUNT, subject, source, now - SOURCE_WINDOW, now - LOGIN_WINDOW)
        trusted = await connection.fetchval(_TRUSTED, login, source, now - TRUSTED_FOR)
        if row["here"] >= PER_SOURCE:
            wait = row["first_here"] + SOURCE_WINDOW - now
        elif row["anywhere"] >= PER_LOGIN and not trusted:
            wait = row["first_anywhere"] + LOGIN_WINDOW - now
        else:
            await connection.execute(_ADD, subject, source, now)
            return
    facts = {"subject": subject, "source": source}
    logs.security.warning("staff sign-in locked", extra={"event": "staff-sign-in.locked", **facts})
    raise AttemptsExhausted(retry_after=max(1, int(wait.total_seconds())))


async def record_success(login: str, source: str) -> None:
    """Forget what was counted for this login at this source; elsewhere an attacker may still be guessing."""
    await execute(
        "DELETE FROM sign_in_attempts WHERE subject = $1 AND source = $2", fingerprint(login, "login"), source
    )


async def record_failure(login: str, source: str, staff_id: UUID | None) -> None:
    """Leave the attempt counted, and raise the alarm when failures become unusual over all accounts.

    A job records it in the ledger, written whether the login exists or not: the answer takes the same time.
    """
    FAILED.inc()
    async with transaction():
        await enqueue("identity.note-failure", {"staff_id": str(staff_id) if staff_id else None})
    facts = {"subject": fingerprint(login, "login"), "source": source}
    logs.security.warning("staff sign-in failed", extra={"event": "staff-sign-in.failed", **facts})
    since = timing.now() - ANOMALY_WINDOW
    lately = await fetch_value("SELECT count(*) FROM sign_in_attempts WHERE at > $1", since)
    if lately >= ANOMALY:
        ANOMALIES.inc()
        logs.security.error(
            "unusually many staff sign-ins failed", extra={"event": "staff-sign-in.anomaly", "failures": lately}
        )


@job("identity.note-failure")
async def _note_failure(payload: dict[str, Any]) -> None:
    if payload["staff_id"] is not None:
        async with transaction():
            await record(StaffSignInFailed(staff_id=UUID(payload["staff_id"])))


async def delete_old_attempts() -> int:
    """Delete attempts that no limit looks at any more; how many."""
    return await execute("DELETE FROM sign_in_attempts WHERE at < $1", timing.now() - LOGIN_WINDOW)
