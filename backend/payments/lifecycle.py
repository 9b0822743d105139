"""The moves of a payment and of a refund: two pure tables, served to front ends as data.

`PAID` and `SURPLUS` both mean that the money is there; which of them is decided once, when it arrives, by whether it
counts for the fee. From CLOSED money can still arrive: channels deliver what a payer confirmed in the last second.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from backend.payments.errors import PaymentTransitionRefused
from models.payments import PaymentState as P
from models.payments import RefundState as R


class Move(StrEnum):
    """What can happen to a payment."""

    PREPAY = "prepay"
    SUCCEED = "succeed"
    EXCEED = "exceed"
    """Money came that does not count."""
    CLOSE = "close"
    REFUND_PART = "refund-part"
    REFUND_REST = "refund-rest"


MOVES: Mapping[tuple[P, Move], P] = {
    (P.CREATED, Move.PREPAY): P.PREPAID,
    (P.CREATED, Move.SUCCEED): P.PAID,
    (P.PREPAID, Move.SUCCEED): P.PAID,
    (P.CLOSED, Move.SUCCEED): P.PAID,
    (P.CREATED, Move.EXCEED): P.SURPLUS,
    (P.PREPAID, Move.EXCEED): P.SURPLUS,
    (P.CLOSED, Move.EXCEED): P.SURPLUS,
    (P.CREATED, Move.CLOSE): P.CLOSED,
    (P.PREPAID, Move.CLOSE): P.CLOSED,
    (P.PAID, Move.REFUND_PART): P.PART_REFUNDED,
    (P.PART_REFUNDED, Move.REFUND_PART): P.PART_REFUNDED,
    (P.PAID, Move.REFUND_REST): P.REFUNDED,
    (P.PART_REFUNDED, Move.REFUND_REST): P.REFUNDED,
    (P.SURPLUS, Move.REFUND_REST): P.REFUNDED,
}


class RefundMove(StrEnum):
    """What can happen to a refund."""

    APPROVE = "approve"
    REJECT = "reject"
    ACCEPT = "accept"
    """The channel took the request."""
    SUCCEED = "succeed"
    FAIL = "fail"
    """The payer's account did not take it."""
    GIVE_UP = "give-up"
    """The channel closed it."""
    REPEAT = "repeat"
    """Asked for again with the same number, or sent to another account of the payer."""


REFUND_MOVES: Mapping[tuple[R, RefundMove], R] = {
    (R.REQUESTED, RefundMove.APPROVE): R.APPROVED,
    (R.REQUESTED, RefundMove.REJECT): R.REJECTED,
    (R.APPROVED, RefundMove.ACCEPT): R.PROCESSING,
    **{(state, RefundMove.SUCCEED): R.SUCCEEDED for state in (R.APPROVED, R.PROCESSING, R.ABNORMAL, R.CLOSED)},
    **{(state, RefundMove.FAIL): R.ABNORMAL for state in (R.APPROVED, R.PROCESSING)},
    **{(state, RefundMove.GIVE_UP): R.CLOSED for state in (R.APPROVED, R.PROCESSING, R.ABNORMAL)},
    **{(state, RefundMove.REPEAT): R.PROCESSING for state in (R.ABNORMAL, R.CLOSED)},
}


def after(state: P, move: Move) -> P:
    """Where the move leads. Raises PaymentTransitionRefused when the payment cannot make it."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise PaymentTransitionRefused(state=state.value, move=move.value) from None


def refund_after(state: R, move: RefundMove) -> R:
    """Where the move leads. Raises PaymentTransitionRefused when the refund cannot make it."""
    try:
        return REFUND_MOVES[state, move]
    except KeyError:
        raise PaymentTransitionRefused(state=state.value, move=move.value) from None
