"""Departments' systems: their keys, and whether a request is really theirs."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from backend import logs
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch_row, transaction
from backend.errors import Fault, Invalid
from backend.events import record
from backend.identity import timing
from backend.identity.errors import AgencyNotFound, SignatureInvalid, SignatureReplayed, SignatureStale
from backend.identity.events import AgencyEnrolled, AgencyKeyIssued, AgencyKeyRevoked
from backend.identity.principals import AsAgency, AsOperator, AsStaff
from backend.identity.signatures import SignedRequest, canonical, verify
from backend.settings import settings

_SECRET = "agency_keys.secret"  # noqa: S105 - the name of a column
_PUBLIC_KEY_BYTES = 32

_ADD = "INSERT INTO agencies (id, created_at, name, department_id) VALUES ($1, $2, $3, $4)"
_ADD_KEY = """
INSERT INTO agency_keys (id, created_at, agency_id, name, algorithm, secret, expires_at)
SELECT $1, $2, id, $4, $5, $6, $7 FROM agencies WHERE id = $3 RETURNING id
"""
_REVOKE = "UPDATE agency_keys SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING agency_id"
_DISABLE = "UPDATE agencies SET disabled_at = coalesce(disabled_at, $2) WHERE id = $1 RETURNING id"
_KEY = """
SELECT k.id, k.algorithm, k.secret, a.id AS agency_id, a.department_id
FROM agency_keys k JOIN agencies a ON a.id = k.agency_id
WHERE k.name = $1 AND k.revoked_at IS NULL AND a.disabled_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
"""
_TAKE_NONCE = """
INSERT INTO agency_nonces (key_id, nonce, at) VALUES ($1, $2, $3) ON CONFLICT (key_id, nonce) DO NOTHING RETURNING id
"""


class IssuedKey(NamedTuple):
    """A key of an agency. The secret is shown this once; it is empty when the agency keeps its own private key."""

    name: str
    secret: str
    algorithm: str


async def enrol_agency(by: AsStaff | AsOperator, *, name: str, department_id: UUID) -> UUID:
    """Let a department's system call us, once it has a key. Raises DutyMissing without `agencies.manage`, Invalid."""
    by.require("agencies.manage")
    identity = uuid7()
    try:
        async with transaction() as connection:
            await connection.execute(_ADD, identity, await timing.database_now(), name, department_id)
            await record(AgencyEnrolled(agency_id=identity, department_id=department_id))
    except asyncpg.ForeignKeyViolationError as error:
        raise Invalid(fields=[Fault("/department_id", "没有这个部门")]) from error
    return identity


async def issue_key(
    by: AsStaff | AsOperator,
    agency_id: UUID,
    *,
    public_key: str | None = None,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Give an agency one more key; those it has stay valid, so that it can change over without a gap.

    With `public_key` (base64 of 32 bytes, Ed25519) the agency keeps its private key to itself; without, a shared
    secret is made. Raises DutyMissing without `agencies.manage`, AgencyNotFound, Invalid.
    """
    by.require("agencies.manage")
    algorithm = "hmac-sha256" if public_key is None else "ed25519"
    secret = b64encode(secrets.token_bytes(32)).decode() if public_key is None else _checked(public_key)
    identity, name = uuid7(), f"ak_{secrets.token_hex(8)}"
    sealed = seal(secret, where=_SECRET, row=identity)
    async with transaction() as connection:
        now = await timing.database_now()
        row = (identity, now, agency_id, name, algorithm, sealed, expires_at)
        if await connection.fetchval(_ADD_KEY, *row) is None:
            raise AgencyNotFound
        await record(AgencyKeyIssued(agency_id=agency_id, key_name=name))
    return IssuedKey(name, secret if public_key is None else "", algorithm)


async def revoke_key(by: AsStaff | AsOperator, name: str) -> None:
    """Accept nothing more that is signed with this key. Raises DutyMissing, AgencyNotFound."""
    by.require("agencies.manage")
    async with transaction() as connection:
        agency_id = await connection.fetchval(_REVOKE, name, await timing.database_now())
        if agency_id is None:
            raise AgencyNotFound
        await record(AgencyKeyRevoked(agency_id=agency_id, key_name=name))


async def disable_agency(by: AsStaff | AsOperator, agency_id: UUID) -> None:
    """Accept nothing more from this agency. Raises DutyMissing, AgencyNotFound."""
    by.require("agencies.manage")
    async with transaction() as connection:
        if await connection.fetchval(_DISABLE, agency_id, await timing.database_now()) is None:
            raise AgencyNotFound
        await record(AgencyKeyRevoked(agency_id=agency_id, key_name="*"))


async def authenticate_agency(
    signed: SignedRequest, *, method: str, path: bytes, query: bytes, body: bytes
) -> AsAgency:
    """The agency that signed exactly this request, now, for the first time.

    Raises SignatureStale when the clocks differ too much, SignatureInvalid for an unknown key or a wrong signature,
    SignatureReplayed when the request came before.
    """
    now = await timing.database_now()
    if abs(now.timestamp() - signed.timestamp) > settings().agency_clock_skew_seconds:
        _log_refusal(signed.key, "stale")
        raise SignatureStale(server_time=int(now.timestamp()))
    row = await fetch_row(_KEY, signed.key, now)
    if row is None or not _is_theirs(row, signed, canonical(method, path, query, signed.timestamp, signed.nonce, body)):
        _log_refusal(signed.key, "invalid")
        raise SignatureInvalid
    # Only a request that is really theirs uses up a nonce, so that strangers cannot fill the table.
    if await _take(row["id"], signed.nonce, now) is None:
        _log_refusal(signed.key, "replayed")
        raise SignatureReplayed
    return AsAgency(row["agency_id"], row["department_id"])


async def delete_old_nonces() -> int:
    """Delete nonces of requests that would be refused for their time anyway; how many."""
    kept = timedelta(seconds=2 * settings().agency_clock_skew_seconds + 60)
    return await execute("DELETE FROM agency_nonces WHERE at < $1", timing.now() - kept)


def _log_refusal(key: str, reason: str) -> None:
    facts = {"event": "agency-signature.refused", "key": key, "reason": reason}
    logs.security.warning("agency signature refused", extra=facts)


async def _take(key_id: UUID, nonce: str, now: datetime) -> Any:
    async with transaction() as connection:
        return await connection.fetchval(_TAKE_NONCE, key_id, nonce, now)


def _is_theirs(row: Any, signed: SignedRequest, content: bytes) -> bool:
    secret = open_sealed(row["secret"], where=_SECRET, row=row["id"])
    return verify(content, signed.signature, secret, row["algorithm"])


def _checked(public_key: str) -> str:
    try:
        raw = b64decode(public_key, validate=True)
    except (Base64Error, ValueError):
        raw = b""
    if len(raw) != _PUBLIC_KEY_BYTES:
        raise Invalid(fields=[Fault("/public_key", "公钥应为 32 字节 Ed25519 公钥的 base64")])
    return b64encode(raw).decode()
