"""Fees, the orders that ask a channel for payment, refunds, and the double-entry ledger of all of it.

Amounts are whole fen. The transitions between the states are in backend/payments/lifecycle.py.
"""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Model, Record


class Channel(StrEnum):
    """The payment channel."""

    WECHAT_PAY = "wechat_pay"
    ALIPAY = "alipay"


class FeeState(StrEnum):
    """The state of a fee."""

    OPEN = "open"
    PAID = "paid"
    WAIVED = "waived"
    CANCELLED = "cancelled"
    """Its subject does not happen; what had been paid is refunded."""


class PaymentState(StrEnum):
    """The state of an order."""

    CREATED = "created"
    """Ours; the channel may not know it yet."""
    PREPAID = "prepaid"
    """The channel knows it and waits for the payer."""
    PAID = "paid"
    """The money is there and counts for the fee."""
    SURPLUS = "surplus"
    """The money is there and does not count: late, double or of another amount. It is refunded whole."""
    PART_REFUNDED = "part_refunded"
    REFUNDED = "refunded"
    CLOSED = "closed"
    """Not paid; money may still arrive late."""


class RefundState(StrEnum):
    """The state of a refund."""

    REQUESTED = "requested"
    """Waits for a second person."""
    REJECTED = "rejected"
    APPROVED = "approved"
    """Ours; the channel may not know it yet."""
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    """The payer's card or account does not take it; a person has to act."""
    CLOSED = "closed"
    """The channel has given it up: the money is still with us, and still owed."""


class RefundCause(StrEnum):
    """The cause of a refund."""

    LATE = "late"
    DOUBLE = "double"
    WRONG_AMOUNT = "wrong-amount"
    CANCELLED = "cancelled"
    STAFF = "staff"
    CONSOLE = "console"
    """Made in the channel's own console: the service did not request it and only learns of it."""


OPEN_ORDERS = "state IN ('created', 'prepaid')"
"""SQL: orders that may still be paid as ordered."""
AUTOMATIC = "cause NOT IN ('staff', 'console')"
"""SQL: refunds that the service made automatically."""


class Fee(Record):
    """A charge for one subject (a case, a reprint, a parcel), as the published guide states it."""

    subject_kind = fields.CharField(max_length=32)
    subject_id = fields.UUIDField()
    charge_ref = fields.CharField(max_length=64)
    """The charge of the guide, or of the tariff."""
    resident_id = fields.UUIDField(null=True)
    """The resident who may pay it; null while no resident is known to be the applicant."""
    department_id = fields.UUIDField(null=True)
    """The department that it is owed to."""
    item_version_id = fields.UUIDField(null=True)
    """The version of the guide that it was taken from."""
    name = fields.CharField(max_length=120)
    basis = fields.CharField(max_length=400, default="")
    """The rule that allows it, in words."""
    unit_fen = fields.BigIntField()
    quantity = fields.IntField(default=1)
    amount_fen = fields.BigIntField()
    state = fields.CharEnumField(FeeState, max_length=16, default=FeeState.OPEN)
    state_at = fields.DatetimeField()
    raised_by = fields.CharField(max_length=80)
    """Kind and id of the caller who raised it."""
    paid_by_id = fields.UUIDField(null=True, unique=True)
    """The one payment that counts."""
    waived_by = fields.UUIDField(null=True)
    reason = fields.CharField(max_length=400, null=True)
    """Why it was waived or cancelled."""

    class Meta:
        table = "fees"
        unique_together = (("subject_kind", "subject_id", "charge_ref"),)
        indexes = (("resident_id", "state", "id"),)
        constraints = (
            CheckConstraint("state IN ('open','paid','waived','cancelled')", name="fee_state_known"),
            CheckConstraint(
                "unit_fen > 0 AND quantity BETWEEN 1 AND 1000 AND amount_fen = unit_fen * quantity", name="fee_amount"
            ),
            CheckConstraint("(state <> 'paid') OR (paid_by_id IS NOT NULL)", name="fee_paid_by_somebody"),
            CheckConstraint(
                "(state NOT IN ('waived', 'cancelled')) OR (reason IS NOT NULL)", name="fee_ended_with_reason"
            ),
        )


class Payment(Record):
    """One order at one channel for one fee. `number` is ours, and the channel's idempotency key."""

    number = fields.CharField(max_length=32, unique=True)
    """商户订单号, 6 to 32 of `0-9A-Za-z`."""
    fee: fields.ForeignKeyRelation[Fee] = fields.ForeignKeyField(
        "models.Fee", related_name="payments", on_delete=OnDelete.RESTRICT
    )
    resident_id = fields.UUIDField()
    channel = fields.CharEnumField(Channel, max_length=16)
    amount_fen = fields.BigIntField()
    currency = fields.CharField(max_length=3, default="CNY")
    app_id = fields.CharField(max_length=64)
    merchant_id = fields.CharField(max_length=64)
    sub_merchant_id = fields.CharField(max_length=64, null=True)
    """The department's own merchant under ours, in partner (服务商) mode."""
    payer = fields.TextField(null=True)
    """Sealed: the openid of the payer."""
    payer_fingerprint = fields.CharField(max_length=64, null=True)
    description = fields.CharField(max_length=127)
    prepay_id = fields.CharField(max_length=128, null=True)
    prepaid_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField()
    state = fields.CharEnumField(PaymentState, max_length=16, default=PaymentState.CREATED)
    state_at = fields.DatetimeField()
    transaction_id = fields.CharField(max_length=64, null=True)
    """The channel's number of what was paid."""
    paid_fen = fields.BigIntField(default=0)
    """The amount that came in, by the channel; for a payment as ordered the amount of the order."""
    paid_at = fields.DatetimeField(null=True)
    refunding_fen = fields.BigIntField(default=0)
    """Promised to be refunded, and not refunded yet."""
    refunded_fen = fields.BigIntField(default=0)
    checked_at = fields.DatetimeField(null=True)
    """When the channel was last queried."""
    check_after = fields.DatetimeField(null=True)
    """When the sweeper queries next; null when nothing is open."""
    checks = fields.IntField(default=0)
    problem = fields.CharField(max_length=64, null=True)
    """Why it was closed by us or refused by the channel, or what about it needs a person."""

    class Meta:
        table = "payments"
        unique_together = (("channel", "transaction_id"),)
        indexes = (("resident_id", "id"), ("check_after",), ("fee_id", "state"), ("paid_at",))
        constraints = (
            CheckConstraint(
                "state IN ('created','prepaid','paid','surplus','part_refunded','refunded','closed')",
                name="payment_state_known",
            ),
            CheckConstraint("number ~ '^[0-9A-Za-z]{6,32}$'", name="payment_number_form"),
            CheckConstraint("amount_fen >= 1", name="payment_of_something"),
            CheckConstraint(
                "refunding_fen >= 0 AND refunded_fen >= 0 AND refunding_fen + refunded_fen <= paid_fen",
                name="payment_refunds_within_paid",
            ),
            CheckConstraint(
                "(state IN ('created','prepaid','closed')) = (paid_fen = 0)", name="payment_paid_has_money"
            ),
            CheckConstraint("(paid_fen = 0) = (paid_at IS NULL)", name="payment_paid_has_time"),
            CheckConstraint("state <> 'refunded' OR refunded_fen = paid_fen", name="payment_refunded_whole"),
            UniqueConstraint(fields=("fee_id", "channel"), name="payment_open_once", condition=OPEN_ORDERS),
            UniqueConstraint(
                fields=("fee_id",), name="payment_counts_once", condition="state IN ('paid', 'part_refunded')"
            ),
        )


class Refund(Record):
    """A refund. `number` is ours, made once and never replaced: a second number would refund twice."""

    number = fields.CharField(max_length=64, unique=True)
    """商户退款单号."""
    payment: fields.ForeignKeyRelation[Payment] = fields.ForeignKeyField(
        "models.Payment", related_name="refunds", on_delete=OnDelete.RESTRICT
    )
    amount_fen = fields.BigIntField()
    cause = fields.CharEnumField(RefundCause, max_length=16)
    reason = fields.CharField(max_length=80)
    """In words for the payer; goes to the channel."""
    requested_by = fields.UUIDField(null=True)
    """Staff; null for a refund that the service made."""
    approved_by = fields.UUIDField(null=True)
    decided_at = fields.DatetimeField(null=True)
    state = fields.CharEnumField(RefundState, max_length=16)
    state_at = fields.DatetimeField()
    channel_refund_id = fields.CharField(max_length=64, null=True)
    account = fields.CharField(max_length=64, null=True)
    """Where it goes, as the channel masks it (`招商银行信用卡0403`)."""
    succeeded_at = fields.DatetimeField(null=True)
    check_after = fields.DatetimeField(null=True)
    checks = fields.IntField(default=0)
    problem = fields.CharField(max_length=64, null=True)
    """The channel's code when it did not work, or the reason of the rejection."""

    class Meta:
        table = "refunds"
        indexes = (("payment_id",), ("state", "id"), ("check_after",))
        constraints = (
            CheckConstraint(
                "state IN ('requested','rejected','approved','processing','succeeded','abnormal','closed')",
                name="refund_state_known",
            ),
            CheckConstraint("amount_fen >= 1", name="refund_of_something"),
            CheckConstraint("(cause = 'staff') = (requested_by IS NOT NULL)", name="refund_staff_named"),
            # The requester is never the second person; below the limit there is none.
            CheckConstraint(
                "approved_by IS NULL OR (requested_by IS NOT NULL AND approved_by <> requested_by)",
                name="refund_second_person",
            ),
            CheckConstraint("(state = 'succeeded') = (succeeded_at IS NOT NULL)", name="refund_succeeded_has_time"),
            # An automatic refund is made once.
            UniqueConstraint(fields=("payment_id",), name="refund_automatic_once", condition=AUTOMATIC),
        )


class PaymentTransition(Record):
    """One transition of a payment or a refund. Rows are added, never changed."""

    entity = fields.CharField(max_length=8)
    """`payment` or `refund`."""
    entity_id = fields.UUIDField()
    from_state = fields.CharField(max_length=16, null=True)
    to_state = fields.CharField(max_length=16)
    at = fields.DatetimeField()
    actor = fields.CharField(max_length=80)
    cause = fields.CharField(max_length=32)
    """How the service knows: `request`, `notice`, `query`, `expiry`, `staff`, `bill`…"""

    class Meta:
        table = "payment_transitions"
        indexes = (("entity_id", "id"),)
        constraints = (CheckConstraint("entity IN ('payment', 'refund')", name="payment_transition_of_something"),)


class LedgerGroup(Record):
    """Postings of one event: one group per paid order and one per refund that succeeded."""

    ref = fields.CharField(max_length=64, unique=True)
    """Number of the payment or of the refund."""
    kind = fields.CharField(max_length=16)
    at = fields.DatetimeField()
    """When the money moved, by the channel."""

    class Meta:
        table = "ledger_groups"
        constraints = (CheckConstraint("kind IN ('payment', 'refund')", name="ledger_group_kind_known"),)


class LedgerPosting(Model):
    """One line of a group: an account and how much it rose (+) or fell (-). The lines of a group sum to zero."""

    id = fields.BigIntField(primary_key=True, generated=True)
    group: fields.ForeignKeyRelation[LedgerGroup] = fields.ForeignKeyField(
        "models.LedgerGroup", related_name="postings", on_delete=OnDelete.RESTRICT
    )
    account = fields.CharField(max_length=80)
    """`channel:wechat_pay:1900000001` · `revenue:<department>` · `owed-to-payers`."""
    amount_fen = fields.BigIntField()

    class Meta:
        table = "ledger_postings"
        indexes = (("group_id",), ("account",))
        constraints = (CheckConstraint("amount_fen <> 0", name="ledger_posting_of_something"),)
