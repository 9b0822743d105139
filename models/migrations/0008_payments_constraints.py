from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0007_payments")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="BillDay",
            constraint=CheckConstraint(
                check="state IN ('waiting','empty','compared','refused')", name="bill_day_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDay",
            constraint=CheckConstraint(check="runs >= 1", name="bill_day_ran"),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="kind IN ('missing-here','missing-there','amount','state','unknown')",
                name="bill_difference_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="state IN ('open','repaired','resolved')", name="bill_difference_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="(state = 'open') = (ended_at IS NULL)", name="bill_difference_ended_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="BillDifference",
            constraint=CheckConstraint(
                check="state <> 'resolved' OR resolution IS NOT NULL", name="bill_difference_resolved_in_words"
            ),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(check="state IN ('open','paid','waived','cancelled')", name="fee_state_known"),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="unit_fen > 0 AND quantity BETWEEN 1 AND 1000 AND amount_fen = unit_fen * quantity",
                name="fee_amount",
            ),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="(state <> 'paid') OR (paid_by_id IS NOT NULL)", name="fee_paid_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Fee",
            constraint=CheckConstraint(
                check="(state NOT IN ('waived', 'cancelled')) OR (reason IS NOT NULL)", name="fee_ended_with_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="LedgerGroup",
            constraint=CheckConstraint(check="kind IN ('payment', 'refund')", name="ledger_group_kind_known"),
        ),
        ops.AddConstraint(
            model_name="LedgerPosting",
            constraint=CheckConstraint(check="amount_fen <> 0", name="ledger_posting_of_something"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="state IN ('created','prepaid','paid','surplus','part_refunded','refunded','closed')",
                name="payment_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="number ~ '^[0-9A-Za-z]{6,32}$'", name="payment_number_form"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="amount_fen >= 1", name="payment_of_something"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="refunding_fen >= 0 AND refunded_fen >= 0 AND refunding_fen + refunded_fen <= paid_fen",
                name="payment_refunds_within_paid",
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="(state IN ('created','prepaid','closed')) = (paid_fen = 0)", name="payment_paid_has_money"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(check="(paid_fen = 0) = (paid_at IS NULL)", name="payment_paid_has_time"),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=CheckConstraint(
                check="state <> 'refunded' OR refunded_fen = paid_fen", name="payment_refunded_whole"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=UniqueConstraint(
                fields=("fee_id", "channel"), name="payment_open_once", condition="state IN ('created', 'prepaid')"
            ),
        ),
        ops.AddConstraint(
            model_name="Payment",
            constraint=UniqueConstraint(
                fields=("fee_id",), name="payment_counts_once", condition="state IN ('paid', 'part_refunded')"
            ),
        ),
        ops.AddConstraint(
            model_name="PaymentMove",
            constraint=CheckConstraint(check="entity IN ('payment', 'refund')", name="payment_move_of_something"),
        ),
        ops.AddConstraint(
            model_name="Receipt",
            constraint=CheckConstraint(
                check="fiscal_state IN ('none','waiting','issued','refused')", name="receipt_fiscal_state_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Receipt",
            constraint=CheckConstraint(
                check="(fiscal_state = 'issued') = (fiscal_number IS NOT NULL)", name="receipt_fiscal_issued_has_number"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="state IN ('requested','rejected','approved','processing','succeeded','abnormal','closed')",
                name="refund_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(check="amount_fen >= 1", name="refund_of_something"),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="(cause = 'staff') = (requested_by IS NOT NULL)", name="refund_staff_named"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="approved_by IS NULL OR approved_by <> requested_by OR state <> 'requested'",
                name="refund_decided_once",
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="(state = 'succeeded') = (succeeded_at IS NOT NULL)", name="refund_succeeded_has_time"
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=UniqueConstraint(
                fields=("payment_id",), name="refund_automatic_once", condition="cause <> 'staff'"
            ),
        ),
    ]
