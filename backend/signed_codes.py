"""Signed codes that a QR code takes in its compact mode: a scheme, and base32 letters of a body and its signature.

The signature is a keyed fingerprint, made with the current key of the ring and verified under every key that is still
on it, so no secret is kept for a code. A code has one spelling: what else decodes to the same bytes is none of ours.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode

from backend.crypto import fingerprint, fingerprints

SIGNATURE = 16
"""Bytes."""


def written(scheme: str, body: bytes, *, signs: str, domain: str) -> str:
    """The code of a body; `signs` is what its signature is made of."""
    return scheme + _letters(body + bytes.fromhex(fingerprint(signs, domain)))


def read(scheme: str, code: str, size: int) -> tuple[bytes, bytes] | None:
    """The body of so many bytes and the signature, which is not yet checked; None for what we did not write."""
    text = code.strip().upper()
    longest = len(scheme) + (size + SIGNATURE) * 2
    if not text.isascii() or not text.startswith(scheme) or len(text) > longest:
        return None
    packed = text[len(scheme) :]
    try:
        raw = b32decode(packed + "=" * (-len(packed) % 8))
    except ValueError:
        return None
    if len(raw) != size + SIGNATURE or _letters(raw) != packed:
        return None
    return raw[:size], raw[size:]


def genuine(signature: bytes, *, signs: str, domain: str) -> bool:
    """Whether the signature was made of this, under any key that is still on the ring."""
    known = [bytes.fromhex(each) for each in fingerprints(signs, domain)]
    return any([hmac.compare_digest(signature, each) for each in known])  # noqa: C419 - every one, in even time


def _letters(raw: bytes) -> str:
    return b32encode(raw).decode().rstrip("=")
