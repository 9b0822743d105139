"""Access tokens: JWTs in the profile of RFC 9068, checked as strictly as RFC 8725 asks.

PyJWT checks the signature, the audience, the issuer and that claims are present; what it lets through (any `typ`,
other header fields, repeated names, times that are texts, tokens of two megabytes) is refused here first. A token
that was checked once is remembered by its hash until it expires, so that a request costs microseconds.
"""

from __future__ import annotations

import random
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import jwt
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import strict_json
from backend.identity import keys, timing
from backend.identity.errors import TokenExpired, TokenInvalid
from backend.settings import settings

Scope = Literal["resident", "staff"]

TYPE = "at+jwt"
LONGEST = 4096
"""Characters; ours have about 600."""
REMEMBERED = 50_000
"""Checked tokens that a process remembers; the oldest go first."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_HEADER = frozenset({"alg", "kid", "typ"})
_REQUIRED = ("iss", "aud", "sub", "sid", "iat", "exp", "jti", "client_id", "scope")
_CLAIMS = frozenset(_REQUIRED)
_LAST_SECOND = 2**40


class CheckedToken(Struct, frozen=True):
    """What a valid token says: who, in which session, until when (seconds since 1970)."""

    subject: UUID
    session_id: UUID
    expires: float


class IssuedToken(Struct, frozen=True):
    """A new access token and the seconds for which it is good."""

    token: str
    expires_in: int


def audience_of(scope: Scope) -> str:
    """The audience of tokens for this kind of caller; a token for another door is refused by it."""
    return f"{settings().token_issuer}/{scope}"


def issue_token(subject: UUID, session_id: UUID, scope: Scope, *, seconds: int, scattered: bool = True) -> IssuedToken:
    """Sign a token that is good for about `seconds`, a tenth less or more so that not all expire at once.

    Raises NoSigningKey when the key ring was never loaded.
    """
    key = keys.get_signing_key()
    life = round(seconds * random.uniform(1 - keys.JITTER, 1 + keys.JITTER)) if scattered else seconds  # noqa: S311
    issued_at = int(timing.seconds())
    claims = {
        "iss": settings().token_issuer,
        "aud": audience_of(scope),
        "sub": str(subject),
        "sid": str(session_id),
        "iat": issued_at,
        "exp": issued_at + max(1, life),
        "jti": uuid7().hex,
        "client_id": settings().wechat_appid or "zhangban" if scope == "resident" else "console",
        "scope": scope,
    }
    token = jwt.encode(claims, key.private, keys.ALGORITHM, headers={"typ": TYPE, "kid": key.kid})
    return IssuedToken(token, max(1, life))


def check_token(token: str, scope: Scope) -> CheckedToken:
    """What the token says, if it is one of ours for this kind of caller and its time is not over.

    Whether its session still lives is for the caller to ask. Raises TokenInvalid and TokenExpired.
    """
    if len(token) > LONGEST or not _SHAPE.fullmatch(token):
        raise TokenInvalid
    header = _object(token.partition(".")[0])
    if header.keys() != _HEADER or header["typ"] != TYPE or header["alg"] != keys.ALGORITHM:
        raise TokenInvalid
    key = keys.get_verification_key(header["kid"]) if isinstance(header["kid"], str) else None
    if key is None:
        raise TokenInvalid
    try:
        claims = jwt.decode(
            token,
            key.public,
            algorithms=[keys.ALGORITHM],
            audience=audience_of(scope),
            issuer=settings().token_issuer,
            # Times are checked below, against the clock that all processes share.
            options={
                "require": list(_REQUIRED),
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidTokenError as error:
        raise TokenInvalid from error
    _object(token.split(".")[1])
    return _read(claims, scope)


def _read(claims: dict[str, Any], scope: Scope) -> CheckedToken:
    issued_at, expires = claims["iat"], claims["exp"]
    if claims.keys() != _CLAIMS or claims["scope"] != scope or not (_is_time(issued_at) and _is_time(expires)):
        raise TokenInvalid
    now = timing.seconds()
    if issued_at > now + keys.LEEWAY or expires - issued_at > keys.longest_life(scope):
        raise TokenInvalid
    if expires <= now - keys.LEEWAY:
        raise TokenExpired
    try:
        return CheckedToken(UUID(claims["sub"]), UUID(claims["sid"]), float(expires))
    except (ValueError, AttributeError, TypeError) as error:
        raise TokenInvalid from error


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 < value < _LAST_SECOND


def _object(part: str) -> dict[str, Any]:
    """The JSON object in a part of a token. Raises TokenInvalid when a name comes twice in it."""
    try:
        found = strict_json.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise TokenInvalid from error
    if not isinstance(found, dict):
        raise TokenInvalid
    return found


# -- tokens that this process has checked already ------------------------------------------------------

_known: dict[bytes, tuple[float, UUID, Any]] = {}


def get_remembered(token: str, lives: Callable[[UUID], bool]) -> Any:
    """The principal that this very token was remembered with, if its time is not over and its session `lives`."""
    entry = _known.get(sha256(token.encode()).digest())
    if entry is None or entry[0] <= timing.seconds() or not lives(entry[1]):
        return None
    return entry[2]


def remember_token(token: str, checked: CheckedToken, principal: Any) -> None:
    """Remember that the token was checked and whom it stands for, until it expires."""
    if len(_known) >= REMEMBERED:
        del _known[next(iter(_known))]
    _known[sha256(token.encode()).digest()] = (checked.expires, checked.session_id, principal)


def clear_remembered() -> None:
    """Check every token again: a key is gone, or a test begins."""
    _known.clear()
