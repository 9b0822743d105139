"""Our numbers of orders and refunds. A channel takes them as idempotency keys, so each is made once and kept."""

from __future__ import annotations

import secrets

from backend import clock

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
"""No vowels: no number spells a word."""
RANDOM = 16


def payment_number() -> str:
    """A new order number (商户订单号): `P`, the day in Asia/Shanghai, and random letters; 25 characters."""
    return f"P{clock.today():%Y%m%d}" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM))


def automatic_refund_number(payment_number: str) -> str:
    """The number of the automatic refund of a payment: derived, so that there can only ever be one."""
    return f"R{payment_number}A"


def staff_refund_number(payment_number: str, count: int) -> str:
    """The number of the `count`-th refund (from 1) that staff requested."""
    if not 1 <= count <= 99:
        raise ValueError(f"refund {count} of one payment")
    return f"R{payment_number}{count:02d}"
