"""One payment platform for every fee: what is owed, the orders that ask a channel for it, and what goes back.

The face of the room: other rooms and doors use these names.
"""

from __future__ import annotations

from backend.payments.fees import FEE_NAMES, MANAGE, FeeSeen, hand_over_fees, of, of_subject, raise_fee, waive

__all__ = [
    "FEE_NAMES",
    "MANAGE",
    "FeeSeen",
    "hand_over_fees",
    "of",
    "of_subject",
    "raise_fee",
    "waive",
]
