"""Invitations to act for a principal: a code that the principal shows or sends, and that the delegate reads in.

A code is `ZD1.` and base32 letters, so that a QR code takes it in its compact mode; it is no address and holds the
delegation's id only. A keyed fingerprint over id and end is its signature, so no secret is kept for it: the row says
whether it is still good, and a changed end or a withdrawn offer makes every code of it worthless.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from backend import signed_codes

SCHEME = "ZD1."
_DOMAIN = "delegation-invitation"


def encode_invitation(delegation_id: UUID, until: datetime) -> str:
    """The code of this offer."""
    return signed_codes.written(SCHEME, delegation_id.bytes, signs=_signed(delegation_id, until), domain=_DOMAIN)


def decode_invitation(code: str) -> tuple[UUID, bytes] | None:
    """The delegation that a code names and its signature, not yet checked; None for what we did not write."""
    found = signed_codes.read(SCHEME, code, 16)
    return None if found is None else (UUID(bytes=found[0]), found[1])


def is_genuine(delegation_id: UUID, until: datetime, signature: bytes) -> bool:
    """Whether the signature was made for this offer, under any key that is still on the ring."""
    return signed_codes.genuine(signature, signs=_signed(delegation_id, until), domain=_DOMAIN)


def _signed(delegation_id: UUID, until: datetime) -> str:
    return f"{delegation_id.hex}/{int(until.timestamp())}"
