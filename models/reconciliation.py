"""The channels' bills, day by day, their differences from our tables, and the receipts of payments."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint

from models.base import Record
from models.payments import Channel, Payment


class BillState(StrEnum):
    """The state of the comparison of a day."""

    WAITING = "waiting"
    """The channel has not made the bill yet."""
    EMPTY = "empty"
    """No money moved that day, by the channel."""
    COMPARED = "compared"
    REFUSED = "refused"
    """The bill could not be verified: hash, form or sums were wrong."""


class DifferenceKind(StrEnum):
    """How our tables and the bill disagree."""

    MISSING_HERE = "missing-here"
    MISSING_THERE = "missing-there"
    AMOUNT = "amount"
    STATE = "state"
    UNKNOWN = "unknown"
    """The channel moved money under a number that is not ours."""


class DifferenceState(StrEnum):
    """The state of a difference."""

    OPEN = "open"
    REPAIRED = "repaired"
    """A query of the channel brought our tables in line."""
    RESOLVED = "resolved"
    """Staff explained it."""


class BillDay(Record):
    """One channel's day: comparing it again replaces the figures and keeps the differences and their history."""

    channel = fields.CharEnumField(Channel, max_length=16)
    merchant_id = fields.CharField(max_length=64)
    day = fields.DateField()
    """In Asia/Shanghai."""
    state = fields.CharEnumField(BillState, max_length=16)
    runs = fields.IntField(default=1)
    compared_at = fields.DatetimeField()
    digest = fields.CharField(max_length=64, null=True)
    """The hash of the file, by the channel."""
    paid_count = fields.IntField(default=0)
    paid_fen = fields.BigIntField(default=0)
    refund_count = fields.IntField(default=0)
    refund_fen = fields.BigIntField(default=0)
    charge_fen = fields.BigIntField(default=0)
    """手续费."""
    problem = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "bill_days"
        unique_together = (("channel", "merchant_id", "day"),)
        constraints = (
            CheckConstraint("state IN ('waiting','empty','compared','refused')", name="bill_day_state_known"),
            CheckConstraint("runs >= 1", name="bill_day_ran"),
        )


class BillDifference(Record):
    """One number on which our tables, the bill and the answer to a query disagree: it has an owner and an end."""

    bill_day: fields.ForeignKeyRelation[BillDay] = fields.ForeignKeyField(
        "models.BillDay", related_name="differences", on_delete=OnDelete.RESTRICT
    )
    kind = fields.CharEnumField(DifferenceKind, max_length=16)
    entity = fields.CharField(max_length=8)
    """`payment` or `refund`."""
    number = fields.CharField(max_length=64)
    ours_state = fields.CharField(max_length=32, null=True)
    ours_fen = fields.BigIntField(null=True)
    bill_state = fields.CharField(max_length=32, null=True)
    bill_fen = fields.BigIntField(null=True)
    query_state = fields.CharField(max_length=32, null=True)
    query_fen = fields.BigIntField(null=True)
    state = fields.CharEnumField(DifferenceState, max_length=16, default=DifferenceState.OPEN)
    payment_number = fields.CharField(max_length=64, null=True)
    """Of a refund: the number of the payment that it belongs to."""
    transaction_id = fields.CharField(max_length=64, null=True)
    """The channel's number of the payment or of the refund: by which staff find it in the channel's console."""
    moved_at = fields.DatetimeField(null=True)
    """When the money moved, by the channel."""
    reopened = fields.IntField(default=0)
    """How often it was reopened after its end, because the facts had changed."""
    owner_id = fields.UUIDField(null=True)
    """The member of staff who works on it."""
    resolution = fields.CharField(max_length=400, null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "bill_differences"
        unique_together = (("bill_day", "entity", "number", "kind"),)
        indexes = (("state", "id"),)
        constraints = (
            CheckConstraint(
                "kind IN ('missing-here','missing-there','amount','state','unknown')", name="bill_difference_kind_known"
            ),
            CheckConstraint("state IN ('open','repaired','resolved')", name="bill_difference_state_known"),
            CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="bill_difference_ended_has_time"),
            CheckConstraint("state <> 'resolved' OR resolution IS NOT NULL", name="bill_difference_resolved_in_words"),
        )


class Receipt(Record):
    """The receipt of one payment: issued once, voided when the whole amount is refunded."""

    number = fields.CharField(max_length=32, unique=True)
    payment: fields.OneToOneRelation[Payment] = fields.OneToOneField(
        "models.Payment", related_name="receipt", on_delete=OnDelete.RESTRICT
    )
    verify_code = fields.CharField(max_length=32)
    """Stands in the QR beside the number, so that only the holder of the paper can verify the receipt."""
    issued_at = fields.DatetimeField()
    voided_at = fields.DatetimeField(null=True)
    fiscal_state = fields.CharField(max_length=16, default="none")
    """财政电子票据: `none` (not requested), `waiting`, `issued`, `refused`."""
    fiscal_code = fields.CharField(max_length=32, null=True)
    fiscal_number = fields.CharField(max_length=32, null=True)
    fiscal_url = fields.CharField(max_length=400, null=True)
    fiscal_problem = fields.CharField(max_length=120, null=True)

    class Meta:
        table = "receipts"
        constraints = (
            CheckConstraint("fiscal_state IN ('none','waiting','issued','refused')", name="receipt_fiscal_state_known"),
            CheckConstraint(
                "(fiscal_state = 'issued') = (fiscal_number IS NOT NULL)", name="receipt_fiscal_issued_has_number"
            ),
        )
