"""The events of payments, as the ledger of events keeps them: ids, our numbers, fen; no names and no accounts."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from backend.events import Event


class _FeeEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "fee_id"
    fee_id: UUID
    subject_kind: str
    subject_id: UUID


class _PaymentEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "payment_id"
    payment_id: UUID


class _RefundEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "refund_id"
    refund_id: UUID
    payment_id: UUID


class _ReceiptEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "receipt_id"
    receipt_id: UUID
    payment_id: UUID


class _BillEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "bill_day_id"
    bill_day_id: UUID
    channel: str
    day: date


class _DifferenceEvent(Event, frozen=True, kw_only=True):
    about: ClassVar[str] = "difference_id"
    difference_id: UUID


class FeeRaised(_FeeEvent, frozen=True, kw_only=True, tag="fee.raised"):
    """Something is owed for a subject from now on."""

    resident_id: UUID | None
    amount_fen: int


class FeePaid(_FeeEvent, frozen=True, kw_only=True, tag="fee.paid"):
    """The fee is paid. The domain of the subject (a case, a parcel) goes on."""

    payment_id: UUID
    resident_id: UUID
    amount_fen: int


class FeeWaived(_FeeEvent, frozen=True, kw_only=True, tag="fee.waived"):
    """Staff waived the fee, with a reason that is kept with it."""

    resident_id: UUID | None
    amount_fen: int


class FeeCancelled(_FeeEvent, frozen=True, kw_only=True, tag="fee.cancelled"):
    """The subject of the fee does not happen; what had been paid is refunded automatically."""

    resident_id: UUID | None
    paid: bool


class PaymentOrdered(_PaymentEvent, frozen=True, kw_only=True, tag="payment.ordered"):
    """A resident began to pay."""

    fee_id: UUID
    resident_id: UUID
    channel: str
    amount_fen: int


class PaymentSucceeded(_PaymentEvent, frozen=True, kw_only=True, tag="payment.succeeded"):
    """The money is there and counts."""

    fee_id: UUID
    resident_id: UUID
    amount_fen: int
    paid_at: datetime
    known_by: str
    """`notice`, `query` or `bill`."""


class PaymentExceeded(_PaymentEvent, frozen=True, kw_only=True, tag="payment.exceeded"):
    """Money came that does not count (late, double, another amount): all of it is refunded automatically."""

    fee_id: UUID
    resident_id: UUID
    paid_fen: int
    cause: str
    known_by: str


class PaymentClosed(_PaymentEvent, frozen=True, kw_only=True, tag="payment.closed"):
    """The order was not paid in time, or was given up."""

    fee_id: UUID
    resident_id: UUID
    why: str


class NoticeRefused(_PaymentEvent, frozen=True, kw_only=True, tag="payment.notice-mismatched"):
    """A verified notice did not match our order or refund: stored, nothing moved, operators alarmed."""

    channel: str
    fields: list[str]
    """The fields that differ. Of an order: `app_id`, `merchant_id`, `sub_merchant_id`, `currency`, `amount`, `payer`,
    `transaction_id`. Of a refund: `channel`, `payment`, `merchant_id`, `amount`, `total`, `transaction_id`, and `state`
    when we never sent it."""


class RefundRequested(_RefundEvent, frozen=True, kw_only=True, tag="refund.requested"):
    """Staff requested a refund that a second person has to approve."""

    amount_fen: int
    requested_by: UUID


class RefundApproved(_RefundEvent, frozen=True, kw_only=True, tag="refund.approved"):
    """The refund is promised; it is sent to the channel next."""

    resident_id: UUID
    amount_fen: int
    cause: str


class RefundRejected(_RefundEvent, frozen=True, kw_only=True, tag="refund.rejected"):
    """The request was rejected by the second person, or superseded by a refund of the whole."""

    rejected_by: UUID | None
    """Null when a refund of the whole superseded it."""


class RefundSucceeded(_RefundEvent, frozen=True, kw_only=True, tag="refund.succeeded"):
    """The channel reports that the payer has the money back."""

    resident_id: UUID
    amount_fen: int


class RefundFailed(_RefundEvent, frozen=True, kw_only=True, tag="refund.failed"):
    """The refund is abnormal or was closed by the channel: a person has to act; the payer is notified."""

    resident_id: UUID
    state: str
    problem: str


class RefundRepeated(_RefundEvent, frozen=True, kw_only=True, tag="refund.repeated"):
    """Staff had a refund that did not arrive sent once more, with the same number."""

    to_card: bool
    """Whether it goes to a bank card of the payer now."""


class RefundUnrequested(_PaymentEvent, frozen=True, kw_only=True, tag="refund.unrequested"):
    """The channel made a refund that we did not request. Operators are alarmed."""

    channel: str
    amount_fen: int
    counted: bool
    """Whether our amounts follow it; false when it is more than what was left."""


class ReceiptIssued(_ReceiptEvent, frozen=True, kw_only=True, tag="receipt.issued"):
    """The receipt of a payment exists."""

    resident_id: UUID


class ReceiptVoided(_ReceiptEvent, frozen=True, kw_only=True, tag="receipt.voided"):
    """The payment is refunded whole: the receipt is no longer valid."""


class BillCompared(_BillEvent, frozen=True, kw_only=True, tag="bill.compared"):
    """A channel's day was compared with ours."""

    differences: int
    repaired: int


class BillRefused(_BillEvent, frozen=True, kw_only=True, tag="bill.refused"):
    """A bill could not be verified. Operators are alarmed."""

    why: str


class DifferenceFound(_DifferenceEvent, frozen=True, kw_only=True, tag="bill-difference.found"):
    """Our tables and the bill disagree about a number: a person owns it until it is explained."""

    kind: str
    channel: str
    day: date


class DifferenceTaken(_DifferenceEvent, frozen=True, kw_only=True, tag="bill-difference.taken"):
    """A member of staff became the owner of the difference."""

    owner_id: UUID


class DifferenceResolved(_DifferenceEvent, frozen=True, kw_only=True, tag="bill-difference.resolved"):
    """Staff explained the difference; the words are kept with it."""

    resolved_by: UUID
