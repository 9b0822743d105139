"""`once(...)`: the first statement of a use case that must not happen twice.

The key and the effect live or die together: both are rows of one transaction. A second request with the same
key while the first is running is refused; afterwards it gets the first one's answer. Answers name people (an address, a
phone), so they are kept sealed, and of the request only a keyed digest: it could be guessed from a plain one.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from backend.crypto import fingerprint, fingerprints, open_sealed, seal
from backend.database import transaction
from backend.errors import Conflict, Invalid, Malformed
from backend.settings import settings

LONGEST_KEY = 255
SEALED = "idempotency_keys.body"


class IdempotencyKeyMissing(Malformed):
    """A creating request came without Idempotency-Key."""

    title = "请求缺少防重复标识"


class IdempotencyKeyInFlight(Conflict):
    """The same key is being worked on right now."""

    title = "您的请求正在处理，请勿重复提交"
    retryable = True


class IdempotencyKeyReused(Invalid):
    """The same key came with other content."""

    title = "该请求标识已用于其他内容"


class Answer(NamedTuple):
    """What was answered: status, body bytes and their type."""

    status: int
    body: bytes
    media_type: str


async def once(key: str | None, *, scope: str, content: bytes) -> Answer | None:
    """The answer that this key was given before, or None when it is new. Call inside transaction(), first.

    `scope` names the caller and the route, so that two callers with one key never see each other's answer.

    Raises IdempotencyKeyMissing without a usable key, IdempotencyKeyInFlight when another request holds it now,
    IdempotencyKeyReused when it was used with other content.
    """
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise IdempotencyKeyMissing
    async with transaction() as connection:
        # The lock ends with the transaction. Waiting on the unique index instead would hold a connection.
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7))", f"{scope}|{key}"):
            raise IdempotencyKeyInFlight(retry_after=1)
        row = await connection.fetchrow(
            "SELECT fingerprint, status, body, media_type FROM idempotency_keys "
            "WHERE scope = $1 AND key = $2 AND expires_at > now()",
            scope,
            key,
        )
    if row is None:
        return None
    if row["fingerprint"] not in fingerprints(_digest(content), "idempotency"):
        raise IdempotencyKeyReused
    body = open_sealed(row["body"].decode(), where=SEALED, row=f"{scope}|{key}")
    return Answer(row["status"], body.encode(), row["media_type"])


async def remember(key: str, answer: Answer, *, scope: str, content: bytes) -> None:
    """Keep the answer for as long as `idempotency_hours` says, in the transaction of the effect."""
    async with transaction() as connection:
        await connection.execute(
            "INSERT INTO idempotency_keys (scope, key, fingerprint, status, body, media_type, expires_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(hours => $7)) "
            "ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status, "
            "body = excluded.body, media_type = excluded.media_type, expires_at = excluded.expires_at",
            scope,
            key,
            fingerprint(_digest(content), "idempotency"),
            answer.status,
            seal(answer.body.decode(), where=SEALED, row=f"{scope}|{key}").encode(),
            answer.media_type,
            settings().idempotency_hours,
        )


async def forget_expired() -> int:
    """Delete keys whose time is over; how many."""
    async with transaction() as connection:
        tag = await connection.execute("DELETE FROM idempotency_keys WHERE expires_at < now()")
    return int(tag.rsplit(" ", 1)[-1])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
