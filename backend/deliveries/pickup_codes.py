"""The eight-digit codes for the counter; each person who may collect a delivery has their own.

They are derived from a secret of the delivery and the person under the keyed fingerprint, so none of them is stored:
the code of a delegate identifies them, and stops working with the delegation. The next key of the ring makes other
codes; those of the keys before are still accepted.
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
    """Return the secret of one delivery's codes, valid until its method or address changes."""
    return fingerprint(secrets.token_hex(16), DOMAIN)


def code_of(secret: str, person: UUID) -> str:
    """The code of this person."""
    return _digits(fingerprint(f"{secret}:{person}", DOMAIN))


def person_of(secret: str, code: str, people: Iterable[UUID]) -> UUID | None:
    """Return whose code it is; all are compared, so that the duration reveals nothing."""
    given, found = normalised(code).encode(), None
    for person in people:
        for each in fingerprints(f"{secret}:{person}", DOMAIN):
            if hmac.compare_digest(_digits(each).encode(), given):
                found = person
    return found


def _digits(of: str) -> str:
    return f"{int(of, 16) % 10**DIGITS:0{DIGITS}d}"
