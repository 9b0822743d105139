"""Invitations to act for somebody: a code that the principal shows or sends, and that the delegate reads in.

A code is `ZD1.` and base32 letters, so that a QR code takes it in its compact mode; it is no address and holds the
delegation's id only. A keyed fingerprint over id and end is its signature, so no secret is kept for it: the row says
whether it is still good, and a changed end or a withdrawn offer makes every code of it worthless.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode
from datetime import datetime
from uuid import UUID

from backend.crypto import fingerprint, fingerprints

SCHEME = "ZD1."
LONGEST = 100
"""Characters; ours have 56."""
_SIGNATURE = 16
_DOMAIN = "delegation-invitation"


def written(delegation_id: UUID, until: datetime) -> str:
    """The code of this offer."""
    signature = bytes.fromhex(fingerprint(_signed(delegation_id, until), _DOMAIN))
    return SCHEME + b32encode(delegation_id.bytes + signature).decode().rstrip("=")


def read(code: str) -> tuple[UUID, bytes] | None:
    """The delegation that a code names and its signature, not yet checked; None for what we did not write."""
    text = code.strip().upper()
    if not text.isascii() or not text.startswith(SCHEME) or len(text) > LONGEST:
        return None
    packed = text[len(SCHEME) :]
    try:
        raw = b32decode(packed + "=" * (-len(packed) % 8))
    except ValueError:
        return None
    if len(raw) != 16 + _SIGNATURE or b32encode(raw).decode().rstrip("=") != packed:
        return None
    return UUID(bytes=raw[:16]), raw[16:]


def genuine(delegation_id: UUID, until: datetime, signature: bytes) -> bool:
    """Whether the signature was made for this offer, under any key that is still on the ring."""
    known = [bytes.fromhex(each) for each in fingerprints(_signed(delegation_id, until), _DOMAIN)]
    return any([hmac.compare_digest(signature, each) for each in known])  # noqa: C419 - every one, in even time


def _signed(delegation_id: UUID, until: datetime) -> str:
    return f"{delegation_id.hex}/{int(until.timestamp())}"
