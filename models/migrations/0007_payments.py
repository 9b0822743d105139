from tortoise import fields
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from uuid_utils.compat import uuid7

from models import operations as ops
from models.payments import Channel, FeeState, PaymentState, RefundCause, RefundState
from models.reconciliation import BillState, DifferenceKind, DifferenceState


class Migration(ops.Migration):
    dependencies = [("models", "0006_appointments_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="BillDay",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "channel",
                    fields.CharEnumField(
                        description="WECHAT_PAY: wechat_pay\nALIPAY: alipay", enum_type=Channel, max_length=16
                    ),
                ),
                ("merchant_id", fields.CharField(max_length=64)),
                ("day", fields.DateField()),
                (
                    "state",
                    fields.CharEnumField(
                        description="WAITING: waiting\nEMPTY: empty\nCOMPARED: compared\nREFUSED: refused",
                        enum_type=BillState,
                        max_length=16,
                    ),
                ),
                ("runs", fields.IntField(default=1)),
                ("compared_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("digest", fields.CharField(null=True, max_length=64)),
                ("paid_count", fields.IntField(default=0)),
                ("paid_fen", fields.BigIntField(default=0)),
                ("refund_count", fields.IntField(default=0)),
                ("refund_fen", fields.BigIntField(default=0)),
                ("charge_fen", fields.BigIntField(default=0)),
                ("trouble", fields.CharField(null=True, max_length=200)),
            ],
            options={
                "table": "bill_days",
                "app": "models",
                "unique_together": (("channel", "merchant_id", "day"),),
                "pk_attr": "id",
                "table_description": "One channel's day: comparing it again replaces the figures and keeps the differences and their history.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="BillDifference",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "bill_day",
                    fields.ForeignKeyField(
                        "models.BillDay",
                        source_field="bill_day_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="differences",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "kind",
                    fields.CharEnumField(
                        description="MISSING_HERE: missing-here\nMISSING_THERE: missing-there\nAMOUNT: amount\nSTATE: state\nUNKNOWN: unknown",
                        enum_type=DifferenceKind,
                        max_length=16,
                    ),
                ),
                ("entity", fields.CharField(max_length=8)),
                ("number", fields.CharField(max_length=64)),
                ("ours_state", fields.CharField(null=True, max_length=32)),
                ("ours_fen", fields.BigIntField(null=True)),
                ("bill_state", fields.CharField(null=True, max_length=32)),
                ("bill_fen", fields.BigIntField(null=True)),
                ("query_state", fields.CharField(null=True, max_length=32)),
                ("query_fen", fields.BigIntField(null=True)),
                (
                    "state",
                    fields.CharEnumField(
                        default=DifferenceState.OPEN,
                        description="OPEN: open\nREPAIRED: repaired\nRESOLVED: resolved",
                        enum_type=DifferenceState,
                        max_length=16,
                    ),
                ),
                ("owner_id", fields.UUIDField(null=True)),
                ("resolution", fields.CharField(null=True, max_length=400)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "bill_differences",
                "app": "models",
                "unique_together": (("bill_day", "entity", "number", "kind"),),
                "indexes": [Index(fields=["state", "id"])],
                "pk_attr": "id",
                "table_description": "One number on which ours, the bill and the answer to a query do not agree: a case with an owner and an end.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="Fee",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("subject_kind", fields.CharField(max_length=32)),
                ("subject_id", fields.UUIDField()),
                ("charge_ref", fields.CharField(max_length=64)),
                ("resident_id", fields.UUIDField(null=True)),
                ("department_id", fields.UUIDField(null=True)),
                ("item_version_id", fields.UUIDField(null=True)),
                ("name", fields.CharField(max_length=120)),
                ("basis", fields.CharField(default="", max_length=400)),
                ("unit_fen", fields.BigIntField()),
                ("quantity", fields.IntField(default=1)),
                ("amount_fen", fields.BigIntField()),
                (
                    "state",
                    fields.CharEnumField(
                        default=FeeState.OPEN,
                        description="OPEN: open\nPAID: paid\nWAIVED: waived\nCANCELLED: cancelled",
                        enum_type=FeeState,
                        max_length=16,
                    ),
                ),
                ("state_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("raised_by", fields.CharField(max_length=80)),
                ("paid_by_id", fields.UUIDField(null=True, unique=True)),
                ("waived_by", fields.UUIDField(null=True)),
                ("reason", fields.CharField(null=True, max_length=400)),
            ],
            options={
                "table": "fees",
                "app": "models",
                "unique_together": (("subject_kind", "subject_id", "charge_ref"),),
                "indexes": [Index(fields=["resident_id", "state", "id"])],
                "pk_attr": "id",
                "table_description": "What one subject (a case, a reprint, a parcel) costs, as the published guide has it.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="LedgerGroup",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("ref", fields.CharField(unique=True, max_length=64)),
                ("kind", fields.CharField(max_length=16)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "ledger_groups",
                "app": "models",
                "pk_attr": "id",
                "table_description": "What was posted together: one group per paid order and one per refund that succeeded.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="LedgerPosting",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "group",
                    fields.ForeignKeyField(
                        "models.LedgerGroup",
                        source_field="group_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="postings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("account", fields.CharField(max_length=80)),
                ("amount_fen", fields.BigIntField()),
            ],
            options={
                "table": "ledger_postings",
                "app": "models",
                "indexes": [Index(fields=["group_id"]), Index(fields=["account"])],
                "pk_attr": "id",
                "table_description": "One line of a group: an account and how much it rose (+) or fell (-). The lines of a group sum to zero.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Payment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("number", fields.CharField(unique=True, max_length=32)),
                (
                    "fee",
                    fields.ForeignKeyField(
                        "models.Fee",
                        source_field="fee_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="payments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("resident_id", fields.UUIDField()),
                (
                    "channel",
                    fields.CharEnumField(
                        description="WECHAT_PAY: wechat_pay\nALIPAY: alipay", enum_type=Channel, max_length=16
                    ),
                ),
                ("amount_fen", fields.BigIntField()),
                ("currency", fields.CharField(default="CNY", max_length=3)),
                ("app_id", fields.CharField(max_length=64)),
                ("merchant_id", fields.CharField(max_length=64)),
                ("sub_merchant_id", fields.CharField(null=True, max_length=64)),
                ("payer", fields.TextField(null=True, unique=False)),
                ("payer_fingerprint", fields.CharField(null=True, max_length=64)),
                ("description", fields.CharField(max_length=127)),
                ("prepay_id", fields.CharField(null=True, max_length=128)),
                ("prepaid_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "state",
                    fields.CharEnumField(
                        default=PaymentState.CREATED,
                        description="CREATED: created\nPREPAID: prepaid\nPAID: paid\nSURPLUS: surplus\nPART_REFUNDED: part_refunded\nREFUNDED: refunded\nCLOSED: closed",
                        enum_type=PaymentState,
                        max_length=16,
                    ),
                ),
                ("state_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("transaction_id", fields.CharField(null=True, max_length=64)),
                ("paid_fen", fields.BigIntField(default=0)),
                ("paid_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("refunding_fen", fields.BigIntField(default=0)),
                ("refunded_fen", fields.BigIntField(default=0)),
                ("checked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("check_after", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("checks", fields.IntField(default=0)),
                ("trouble", fields.CharField(null=True, max_length=64)),
            ],
            options={
                "table": "payments",
                "app": "models",
                "unique_together": (("channel", "transaction_id"),),
                "indexes": [
                    Index(fields=["resident_id", "id"]),
                    Index(fields=["check_after"]),
                    Index(fields=["fee_id", "state"]),
                    Index(fields=["paid_at"]),
                ],
                "pk_attr": "id",
                "table_description": "One order at one channel for one fee. `number` is ours, and the channel's idempotency key.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="PaymentMove",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("entity", fields.CharField(max_length=8)),
                ("entity_id", fields.UUIDField()),
                ("from_state", fields.CharField(null=True, max_length=16)),
                ("to_state", fields.CharField(max_length=16)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor", fields.CharField(max_length=80)),
                ("cause", fields.CharField(max_length=32)),
            ],
            options={
                "table": "payment_moves",
                "app": "models",
                "indexes": [Index(fields=["entity_id", "id"])],
                "pk_attr": "id",
                "table_description": "One step of a payment or a refund. Rows are added, never changed.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="Receipt",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("number", fields.CharField(unique=True, max_length=32)),
                (
                    "payment",
                    fields.OneToOneField(
                        "models.Payment",
                        source_field="payment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="receipt",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("verify_code", fields.CharField(max_length=32)),
                ("issued_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("voided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("fiscal_state", fields.CharField(default="none", max_length=16)),
                ("fiscal_code", fields.CharField(null=True, max_length=32)),
                ("fiscal_number", fields.CharField(null=True, max_length=32)),
                ("fiscal_url", fields.CharField(null=True, max_length=400)),
                ("fiscal_trouble", fields.CharField(null=True, max_length=120)),
            ],
            options={
                "table": "receipts",
                "app": "models",
                "pk_attr": "id",
                "table_description": "The receipt of one payment: issued once, voided when the whole amount has gone back.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="Refund",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("number", fields.CharField(unique=True, max_length=64)),
                (
                    "payment",
                    fields.ForeignKeyField(
                        "models.Payment",
                        source_field="payment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="refunds",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("amount_fen", fields.BigIntField()),
                (
                    "cause",
                    fields.CharEnumField(
                        description="LATE: late\nDOUBLE: double\nWRONG_AMOUNT: wrong-amount\nCANCELLED: cancelled\nSTAFF: staff",
                        enum_type=RefundCause,
                        max_length=16,
                    ),
                ),
                ("reason", fields.CharField(max_length=80)),
                ("requested_by", fields.UUIDField(null=True)),
                ("approved_by", fields.UUIDField(null=True)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "state",
                    fields.CharEnumField(
                        description="REQUESTED: requested\nREJECTED: rejected\nAPPROVED: approved\nPROCESSING: processing\nSUCCEEDED: succeeded\nABNORMAL: abnormal\nCLOSED: closed",
                        enum_type=RefundState,
                        max_length=16,
                    ),
                ),
                ("state_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("channel_refund_id", fields.CharField(null=True, max_length=64)),
                ("account", fields.CharField(null=True, max_length=64)),
                ("succeeded_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("check_after", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("checks", fields.IntField(default=0)),
                ("trouble", fields.CharField(null=True, max_length=64)),
            ],
            options={
                "table": "refunds",
                "app": "models",
                "indexes": [Index(fields=["payment_id"]), Index(fields=["state", "id"]), Index(fields=["check_after"])],
                "pk_attr": "id",
                "table_description": "Money on its way back. `number` is ours, made once and never replaced: a second number would refund twice.",
            },
            bases=["Record"],
        ),
    ]
