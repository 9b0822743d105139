"""Pages by cursor: where the last page ended, sealed so that nobody can send us a place of their own making."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from backend.errors import Fault, Invalid
from backend.settings import settings

SMALLEST, USUAL, LARGEST = 1, 20, 100
_SIGNATURE = 12


class CursorInvalid(Invalid):
    """The cursor was not made by us for this list, or was changed."""

    title = "翻页标识无效，请从第一页重新开始"


def _sign(body: bytes, purpose: str) -> bytes:
    key = hashlib.sha256(f"cursor {settings().token_secret}".encode()).digest()
    return hmac.digest(key, purpose.encode() + b"\x00" + body, "sha256")[:_SIGNATURE]


def cursor_of(place: list[Any], purpose: str) -> str:
    """A cursor for the place where a page of the list `purpose` ended."""
    body = msgspec.json.encode(place)
    return urlsafe_b64encode(_sign(body, purpose) + body).decode().rstrip("=")


def place_of(cursor: str, purpose: str) -> list[Any]:
    """The place that the cursor names. Raises CursorInvalid when we did not make it for this list."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if hmac.compare_digest(signature, _sign(body, purpose)):
            return msgspec.json.decode(body, type=list)
    except ValueError:
        pass
    raise CursorInvalid(fields=[Fault("/cursor", "翻页标识无效")])
