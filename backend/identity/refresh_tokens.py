"""Refresh tokens: opaque, random, bound to a session and to their place in its line of descent.

A token is base64url of `session id (16) | generation (4) | random (24) | tag (16)`. The tag only proves that we
made it, so that a stranger who guesses a session id cannot end the session by sending garbage under it; what
opens the session is that the whole token has the hash that the session remembers. A session therefore needs one
row and no history: any token of ours with an older generation is a reused one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.identity.errors import RefreshInvalid
from backend.settings import settings

_HEAD = struct.Struct(">16sI24s")
_TAG = 16
_LENGTH = -(-(_HEAD.size + _TAG) * 4 // 3)
_NONCE = 12


class PresentedToken(NamedTuple):
    """What a token of ours says about itself."""

    session_id: UUID
    generation: int
    digest: str
    """SHA-256 of the token: the token itself is 192 bits of chance, so that it cannot be searched for."""


def create_token(session_id: UUID, generation: int) -> str:
    """A new token for this place in the session's line."""
    body = _HEAD.pack(session_id.bytes, generation, secrets.token_bytes(24))
    return urlsafe_b64encode(body + _tag(body)).decode().rstrip("=")


def parse_token(token: str) -> PresentedToken:
    """What the token says. Raises RefreshInvalid when we did not make it."""
    try:
        if len(token) != _LENGTH or not token.isascii():
            raise RefreshInvalid
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Base64Error, ValueError) as error:
        raise RefreshInvalid from error
    body, tag = raw[:-_TAG], raw[-_TAG:]
    # One spelling per token: base64 ignores characters that it does not know and the last few bits.
    if urlsafe_b64encode(raw).decode().rstrip("=") != token or not hmac.compare_digest(tag, _tag(body)):
        raise RefreshInvalid
    session_id, generation, _ = _HEAD.unpack(body)
    return PresentedToken(UUID(bytes=session_id), generation, digest_of(token))


def digest_of(token: str) -> str:
    """What the session remembers of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def seal_successor(successor: str, *, under: str) -> str:
    """Encrypt the successor with its predecessor: only who comes with that one again can be given this one."""
    nonce = secrets.token_bytes(_NONCE)
    return urlsafe_b64encode(nonce + AESGCM(_key(under)).encrypt(nonce, successor.encode(), None)).decode()


def open_successor(hidden: str, *, under: str) -> str:
    """The successor that `hide` put away. Raises RefreshInvalid when this is not its predecessor."""
    raw = urlsafe_b64decode(hidden)
    try:
        return AESGCM(_key(under)).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
    except InvalidTag as error:
        raise RefreshInvalid from error


def _key(token: str) -> bytes:
    return hmac.digest(token.encode(), b"successor of this refresh token", "sha256")


def _tag(body: bytes) -> bytes:
    key = hashlib.sha256(f"refresh {settings().token_secret}".encode()).digest()
    return hmac.digest(key, body, "sha256")[:_TAG]
