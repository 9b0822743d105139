"""What happens to money, as the ledger of events keeps it: ids, numbers of ours, fen; nobody's name or account."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from backend.events import Event


class FeeRaised(Event, frozen=True, kw_only=True, tag="fee.raised"):
    """Something is owed for a subject from now on."""

    about: ClassVar[str] = "fee_id"
    fee_id: UUID
    subject_kind: str
    subject_id: UUID
    resident_id: UUID | None
    amount_fen: int


class FeePaid(Event, frozen=True, kw_only=True, tag="fee.paid"):
    """The fee is paid. Whoever stands behind the subject (a case, a parcel) goes on."""

    about: ClassVar[str] = "fee_id"
    fee_id: UUID
    payment_id: UUID
    subject_kind: str
    subject_id: UUID
    resident_id: UUID
    amount_fen: int


class FeeWaived(Event, frozen=True, kw_only=True, tag="fee.waived"):
    """Staff said that it need not be paid, and why (the reason stands with the fee)."""

    about: ClassVar[str] = "fee_id"
    fee_id: UUID
    subject_kind: str
    subject_id: UUID
    resident_id: UUID | None
    amount_fen: int


class FeeCancelled(Event, frozen=True, kw_only=True, tag="fee.cancelled"):
    """What it was for does not happen; what had been paid goes back by itself."""

    about: ClassVar[str] = "fee_id"
    fee_id: UUID
    subject_kind: str
    subject_id: UUID
    resident_id: UUID | None
    paid: bool


class PaymentOrdered(Event, frozen=True, kw_only=True, tag="payment.ordered"):
    """A resident began to pay."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    fee_id: UUID
    resident_id: UUID
    channel: str
    amount_fen: int


class PaymentSucceeded(Event, frozen=True, kw_only=True, tag="payment.succeeded"):
    """The money is there and counts."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    fee_id: UUID
    resident_id: UUID
    amount_fen: int
    paid_at: datetime
    known_by: str
    """`notice`, `query` or `bill`."""


class PaymentExceeded(Event, frozen=True, kw_only=True, tag="payment.exceeded"):
    """Money came that does not count (late, double, another amount): all of it goes back by itself."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    fee_id: UUID
    resident_id: UUID
    paid_fen: int
    cause: str
    known_by: str


class PaymentClosed(Event, frozen=True, kw_only=True, tag="payment.closed"):
    """Nobody paid in time, or the order was given up."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    fee_id: UUID
    resident_id: UUID
    why: str


class NoticeRefused(Event, frozen=True, kw_only=True, tag="payment.notice-mismatched"):
    """A believed notice did not fit our order or refund: kept, nothing moved, channel asked, operators alarmed."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    channel: str
    fields: list[str]
    """What differed. Of an order: `app_id`, `merchant_id`, `sub_merchant_id`, `currency`, `amount`, `payer`,
    `transaction_id`. Of a refund: `channel`, `payment`, `merchant_id`, `amount`, `total`, `transaction_id`, and `state`
    when we never sent it."""


class RefundRequested(Event, frozen=True, kw_only=True, tag="refund.requested"):
    """Staff asked for a refund that a second person has to approve."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    amount_fen: int
    requested_by: UUID


class RefundApproved(Event, frozen=True, kw_only=True, tag="refund.approved"):
    """The money is promised back; the channel is asked next."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    resident_id: UUID
    amount_fen: int
    cause: str


class RefundRejected(Event, frozen=True, kw_only=True, tag="refund.rejected"):
    """The request came to nothing: the second person said no, or everything goes back for another reason."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    rejected_by: UUID | None
    """Null when the service itself gave way to a refund of the whole."""


class RefundSucceeded(Event, frozen=True, kw_only=True, tag="refund.succeeded"):
    """The channel says that the payer has the money back."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    resident_id: UUID
    amount_fen: int


class RefundTroubled(Event, frozen=True, kw_only=True, tag="refund.troubled"):
    """The refund is abnormal or was closed by the channel: a person has to act; the payer is told that we know."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    resident_id: UUID
    state: str
    trouble: str


class RefundRepeated(Event, frozen=True, kw_only=True, tag="refund.repeated"):
    """A person had a refund that did not arrive asked for once more, with the same number."""

    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID
    to_card: bool
    """Whether it goes to a bank card of the payer now."""


class RefundUnasked(Event, frozen=True, kw_only=True, tag="refund.unasked"):
    """The channel gave money back that we did not ask it to. Operators are alarmed."""

    about: ClassVar[str] = "payment_id"
    payment_id: UUID
    channel: str
    amount_fen: int
    counted: bool
    """Whether our amounts follow it; false when it is more than what was left."""


class ReceiptIssued(Event, frozen=True, kw_only=True, tag="receipt.issued"):
    """The receipt of a payment exists."""

    about: ClassVar[str] = "receipt_id"
    receipt_id: UUID
    payment_id: UUID
    resident_id: UUID


class ReceiptVoided(Event, frozen=True, kw_only=True, tag="receipt.voided"):
    """Everything went back: the receipt no longer holds."""

    about: ClassVar[str] = "receipt_id"
    receipt_id: UUID
    payment_id: UUID


class BillCompared(Event, frozen=True, kw_only=True, tag="bill.compared"):
    """A channel's day was compared with ours."""

    about: ClassVar[str] = "bill_day_id"
    bill_day_id: UUID
    channel: str
    day: date
    differences: int
    repaired: int


class BillRefused(Event, frozen=True, kw_only=True, tag="bill.refused"):
    """A bill could not be believed. Operators are alarmed."""

    about: ClassVar[str] = "bill_day_id"
    bill_day_id: UUID
    channel: str
    day: date
    why: str


class DifferenceFound(Event, frozen=True, kw_only=True, tag="bill-difference.found"):
    """Ours and the channel's disagree about a number: a person owns it until it is explained."""

    about: ClassVar[str] = "difference_id"
    difference_id: UUID
    kind: str
    channel: str
    day: date


class DifferenceTaken(Event, frozen=True, kw_only=True, tag="bill-difference.taken"):
    """A member of staff looks into it from now on."""

    about: ClassVar[str] = "difference_id"
    difference_id: UUID
    owner_id: UUID


class DifferenceResolved(Event, frozen=True, kw_only=True, tag="bill-difference.resolved"):
    """A person said what it was; the words stand with the difference."""

    about: ClassVar[str] = "difference_id"
    difference_id: UUID
    resolved_by: UUID
