"""The eight digits that whoever fetches something says at the counter; everybody has their own.

They come out of a secret of the delivery and the person under the keyed fingerprint, so none of them is stored: the
code of a delegate tells who it is, and stops working with the delegation. The next key of the ring makes other codes;
those of the keys before are still accepted.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from uuid import UUID

from backend.crypto import fingerprint, fingerprints, normalised

DOMAIN = "pickup-code"
DIGITS = 8


def new_secret() -> str:
    """What the codes of one delivery come out of, until it goes another way."""
    return fingerprint(secrets.token_hex(16), DOMAIN)


def code_of(secret: str, person: UUID) -> str:
    """The code that this person is shown."""
    return _digits(fingerprint(f"{secret}:{person}", DOMAIN))


def person_of(secret: str, code: str, people: Iterable[UUID]) -> UUID | None:
    """Whose code it is; every one is compared, so that the time says nothing."""
    said, found = normalised(code).encode(), None
    for person in people:
        for each in fingerprints(f"{secret}:{person}", DOMAIN):
            if hmac.compare_digest(_digits(each).encode(), said):
                found = person
    return found


def _digits(of: str) -> str:
    return f"{int(of, 16) % 10**DIGITS:0{DIGITS}d}"
