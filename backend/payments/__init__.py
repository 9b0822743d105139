"""One payment platform for every fee: what is owed, the orders that ask a channel for it, and what goes back.

The face of the room: other rooms and doors use these names.
"""

from __future__ import annotations

from backend.payments.cancelling import cancel_fees
from backend.payments.charging import Started, charge, clear, reserve, start
from backend.payments.checking import check, close, sweep
from backend.payments.fees import (
    FEE_NAMES,
    MANAGE,
    FeeSeen,
    hand_over_fees,
    of,
    of_subject,
    raise_fee,
    set_quantity,
    waive,
)
from backend.payments.hearing import receive, receive_old_form
from backend.payments.settling import settle
from backend.payments.unasked_refunds import adopt

__all__ = [
    "FEE_NAMES",
    "MANAGE",
    "FeeSeen",
    "Started",
    "adopt",
    "cancel_fees",
    "charge",
    "check",
    "clear",
    "close",
    "hand_over_fees",
    "of",
    "of_subject",
    "raise_fee",
    "receive",
    "receive_old_form",
    "reserve",
    "set_quantity",
    "settle",
    "start",
    "sweep",
    "waive",
]
