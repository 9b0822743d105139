from tortoise import fields

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0016_payments_more")]

    initial = False

    operations = [
        ops.AddField(
            model_name="BillDifference",
            name="moved_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="BillDifference",
            name="payment_number",
            field=fields.CharField(null=True, max_length=64),
        ),
        ops.AddField(
            model_name="BillDifference",
            name="reopened",
            field=fields.IntField(default=0),
        ),
        ops.AddField(
            model_name="BillDifference",
            name="transaction_id",
            field=fields.CharField(null=True, max_length=64),
        ),
    ]
