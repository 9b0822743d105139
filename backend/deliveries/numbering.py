"""Numbers of deliveries and shipments. A shipment's number is the courier's idempotency key: one number, one order."""

from __future__ import annotations

import secrets

from backend import clock

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
"""No vowels: no number spells a word."""
RANDOM = 12
DELIVERY_NUMBER = r"D\d{8}[0-9BCDFGHJKLMNP-TV-Z]{12}"
"""Pattern of a delivery's number."""
ATTEMPTS = 99


def delivery_number() -> str:
    """A new number: `D`, the day in Asia/Shanghai, and a part that cannot be guessed; 21 characters."""
    return f"D{clock.today():%Y%m%d}" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM))


def shipment_number(delivery: str, attempt: int) -> str:
    """The number of the delivery's `attempt`-th order (from 1): derived, so that a repeated request is the same
    order."""
    if not 1 <= attempt <= ATTEMPTS:
        raise ValueError(f"order {attempt} of one delivery")
    return f"S{delivery.removeprefix('D')}{attempt:02d}"
