"""One-time codes of staff: TOTP (RFC 6238) with six digits and steps of thirty seconds, each code good for once."""

from __future__ import annotations

import pyotp

from backend.identity import timing

STEP = 30
WINDOW = 1
"""Steps before and after the present one that are accepted: telephones' clocks differ."""
_ISSUER = "掌办"


def new_secret() -> str:
    """A secret of 160 bits in base32, as authenticator apps want it."""
    return pyotp.random_base32(32)


def address_of(secret: str, login: str) -> str:
    """The `otpauth://` address that an authenticator app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=_ISSUER)


def code_at(secret: str, moment: float | None = None) -> str:
    """The code at an instant (seconds since 1970; now if none is given), as the owner's app shows it."""
    return pyotp.TOTP(secret).at(int(timing.seconds() if moment is None else moment))


def step_of(code: str, secret: str) -> int | None:
    """The time step to which the code belongs, or None when it is none of the accepted ones.

    The caller must refuse a step that is not greater than the last one it accepted.
    """
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        code = "------"  # the same work for every input
    totp = pyotp.TOTP(secret)
    present = int(timing.seconds()) // STEP
    matching = [step for step in range(present - WINDOW, present + WINDOW + 1) if _same(totp, step, code)]
    return matching[-1] if matching else None


def _same(totp: pyotp.TOTP, step: int, code: str) -> bool:
    return pyotp.utils.strings_equal(totp.at(step * STEP), code)
