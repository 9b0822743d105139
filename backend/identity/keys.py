"""The keys that sign access tokens: made here, sealed at rest, published before use, kept until their tokens die.

A new key stands in the key set for `signing_key_lead_seconds` before it signs, so that every process and every
outside reader knows it by then. The old one is accepted until the last token that it signed has expired; then
its private half is erased.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import ECAlgorithm
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.crypto import open_sealed, seal
from backend.database import transaction
from backend.errors import Unavailable
from backend.events import record
from backend.identity import timing
from backend.identity.events import SigningKeyRotated
from backend.settings import settings

ALGORITHM = "ES256"
LEEWAY = 5.0
"""Seconds by which two processes may disagree about the time."""
JITTER = 0.1
"""Share of its life by which a token's end is scattered, so that tokens of one minute do not expire in one."""

_SEALED = "signing_keys.private_key"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('identity.signing-keys', 0))"
_LIVE = (
    "SELECT id, private_key, public_key, signs_from, ends_at FROM signing_keys "
    "WHERE ends_at IS NULL OR ends_at > $1 ORDER BY signs_from"
)
_WAITING = "SELECT id FROM signing_keys WHERE signs_from > $1 AND ends_at IS NULL"
_ANY = "SELECT id FROM signing_keys WHERE ends_at IS NULL OR ends_at > $1 LIMIT 1"
_INSERT = "INSERT INTO signing_keys (id, created_at, private_key, public_key, signs_from) VALUES ($1, $2, $3, $4, $5)"


class NoSigningKey(Unavailable):
    """The key ring was not loaded yet."""


class SigningKey(Struct, frozen=True):
    """A key pair and when it may be used. Instants are seconds since 1970."""

    kid: str
    private: ec.EllipticCurvePrivateKey
    public: ec.EllipticCurvePublicKey
    signs_from: float
    ends_at: float | None


def longest_life(scope: str = "") -> float:
    """Seconds after which no access token of this scope (or of any) that is signed now can be valid any more."""
    resident = settings().access_token_seconds * (1 + JITTER)
    staff = float(settings().staff_session_seconds)
    return {"resident": resident, "staff": staff}.get(scope, max(resident, staff)) + LEEWAY


# -- the ring that every process keeps ---------------------------------------------------------------

_ring: dict[str, SigningKey] = {}


def get_verification_key(kid: str) -> SigningKey | None:
    """The key with this id, if tokens signed with it are accepted now."""
    key = _ring.get(kid)
    if key is None or (key.ends_at is not None and key.ends_at <= timing.seconds()):
        return None
    return key


def get_signing_key() -> SigningKey:
    """The key that signs now. Raises NoSigningKey when the ring was never loaded."""
    now = timing.seconds()
    live = [key for key in _ring.values() if key.ends_at is None or key.ends_at > now]
    if not live:
        raise NoSigningKey(retry_after=1)
    # With only a key whose time has not come (the clock was set back), that one is better than none.
    return max(live, key=lambda key: (key.signs_from <= now, key.signs_from))


def get_key_set() -> dict[str, Any]:
    """The public halves as a JWK set (RFC 7517), for services that verify our tokens."""
    facts = {"use": "sig", "alg": ALGORITHM}
    return {
        "keys": [
            {**ECAlgorithm.to_jwk(key.public, as_dict=True), **facts, "kid": kid}
            for kid, key in _ring.items()
            if get_verification_key(kid)
        ]
    }


async def load_keys() -> bool:
    """Take over the ring from the database, making the very first key if there is none.

    Returns whether a key that was accepted before is gone: tokens already checked must be checked again.
    """
    now = timing.now()
    async with transaction() as connection:
        rows = await connection.fetch(_LIVE, now)
        if not any(row["signs_from"] <= now for row in rows):
            await _make_the_first(now)
            rows = await connection.fetch(_LIVE, now)
    fresh = {_kid(row["id"]): _opened(row) for row in rows}
    lost = not _ring.keys() <= fresh.keys()
    _ring.clear()
    _ring.update(fresh)
    return lost


def clear_keys() -> None:
    """Empty the ring of this process."""
    _ring.clear()


# -- changing it -------------------------------------------------------------------------------------


async def rotate_keys(*, at_once: bool = False) -> str:
    """Make a new signing key; its id.

    It signs after `signing_key_lead_seconds`, and the old one is accepted until its last token has expired. With
    `at_once` (the old key was stolen) it signs now and everything signed before is refused: all must refresh.
    Running it again while a new key waits for its turn changes nothing.
    """
    now = await timing.database_now()
    async with transaction() as connection:
        await connection.execute(_LOCK)
        waiting = await connection.fetchval(_WAITING, now)
        if waiting is not None and not at_once:
            return _kid(waiting)
        signs_from = now if at_once else now + timedelta(seconds=settings().signing_key_lead_seconds)
        ends_at = now if at_once else signs_from + timedelta(seconds=longest_life())
        await connection.execute("UPDATE signing_keys SET ends_at = $1 WHERE ends_at IS NULL OR ends_at > $1", ends_at)
        identity = await _make(now, signs_from)
        await record(SigningKeyRotated(key_id=identity, at_once=at_once))
    return _kid(identity)


async def erase_ended_keys() -> int:
    """Erase the private halves of keys that are not accepted any more; how many."""
    async with transaction() as connection:
        tag = await connection.execute(
            "UPDATE signing_keys SET private_key = '' WHERE ends_at < $1 AND private_key <> ''", timing.now()
        )
    return int(tag.rsplit(" ", 1)[-1])


async def _make_the_first(now: datetime) -> None:
    async with transaction() as connection:
        await connection.execute(_LOCK)
        if await connection.fetchval(_ANY, now) is None:
            await _make(now, now)


async def _make(now: datetime, signs_from: datetime) -> UUID:
    identity = uuid7()
    private = ec.generate_private_key(ec.SECP256R1())
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with transaction() as connection:
        await connection.execute(_INSERT, identity, now, seal(secret, where=_SEALED, row=identity), public, signs_from)
    return identity


def _kid(identity: UUID) -> str:
    return identity.hex


def _opened(row: Any) -> SigningKey:
    secret = open_sealed(row["private_key"], where=_SEALED, row=row["id"])
    private = load_pem_private_key(secret.encode(), password=None)
    public = load_pem_public_key(row["public_key"].encode())
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("a signing key is not of the curve that we sign with")
    ends_at = row["ends_at"]
    return SigningKey(
        _kid(row["id"]), private, public, row["signs_from"].timestamp(), ends_at.timestamp() if ends_at else None
    )
