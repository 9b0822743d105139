"""The state machines of a payment and of a refund.

`PAID` and `SURPLUS` both mean that the money is there; which of them is decided once, when it arrives, by whether it
counts for the fee. From CLOSED money can still arrive: channels deliver what a payer confirmed in the last second.
"""

from __future__ import annotations

from enum import StrEnum

from backend.payments.errors import PaymentTransitionRefused
from backend.state_machine import StateMachine
from models.payments import PaymentState as P
from models.payments import RefundState as R


class Transition(StrEnum):
    """What can happen to a payment."""

    PREPAY = "prepay"
    SUCCEED = "succeed"
    EXCEED = "exceed"
    """Money came that does not count."""
    CLOSE = "close"
    REFUND_PART = "refund-part"
    REFUND_REST = "refund-rest"


class RefundTransition(StrEnum):
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
    """Requested again with the same number, or sent to another account of the payer."""


PAYMENTS: StateMachine[P, Transition] = StateMachine(
    {
        **{(state, Transition.SUCCEED): P.PAID for state in (P.CREATED, P.PREPAID, P.CLOSED)},
        **{(state, Transition.EXCEED): P.SURPLUS for state in (P.CREATED, P.PREPAID, P.CLOSED)},
        **{(state, Transition.CLOSE): P.CLOSED for state in (P.CREATED, P.PREPAID)},
        **{(state, Transition.REFUND_PART): P.PART_REFUNDED for state in (P.PAID, P.PART_REFUNDED)},
        **{(state, Transition.REFUND_REST): P.REFUNDED for state in (P.PAID, P.PART_REFUNDED, P.SURPLUS)},
        (P.CREATED, Transition.PREPAY): P.PREPAID,
    },
    refused=PaymentTransitionRefused,
)
REFUNDS: StateMachine[R, RefundTransition] = StateMachine(
    {
        (R.REQUESTED, RefundTransition.APPROVE): R.APPROVED,
        (R.REQUESTED, RefundTransition.REJECT): R.REJECTED,
        (R.APPROVED, RefundTransition.ACCEPT): R.PROCESSING,
        **{
            (state, RefundTransition.SUCCEED): R.SUCCEEDED for state in (R.APPROVED, R.PROCESSING, R.ABNORMAL, R.CLOSED)
        },
        **{(state, RefundTransition.FAIL): R.ABNORMAL for state in (R.APPROVED, R.PROCESSING)},
        **{(state, RefundTransition.GIVE_UP): R.CLOSED for state in (R.APPROVED, R.PROCESSING, R.ABNORMAL)},
        **{(state, RefundTransition.REPEAT): R.PROCESSING for state in (R.ABNORMAL, R.CLOSED)},
    },
    refused=PaymentTransitionRefused,
)
