from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops
from models.payments import RefundCause


class Migration(ops.Migration):
    dependencies = [("models", "0015_deliveries_guards")]

    initial = False

    operations = [
        ops.RemoveConstraint(
            model_name="Refund",
            name="refund_decided_once",
            fields=None,
        ),
        ops.RemoveConstraint(
            model_name="Refund",
            name="refund_automatic_once",
            fields=None,
        ),
        ops.AlterField(
            model_name="Refund",
            name="cause",
            field=fields.CharEnumField(
                description="LATE: late\nDOUBLE: double\nWRONG_AMOUNT: wrong-amount\nCANCELLED: cancelled\nSTAFF: staff\nCONSOLE: console",
                enum_type=RefundCause,
                max_length=16,
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=CheckConstraint(
                check="approved_by IS NULL OR (requested_by IS NOT NULL AND approved_by <> requested_by)",
                name="refund_second_person",
            ),
        ),
        ops.AddConstraint(
            model_name="Refund",
            constraint=UniqueConstraint(
                fields=("payment_id",), name="refund_automatic_once", condition="cause NOT IN ('staff', 'console')"
            ),
        ),
    ]
