from tortoise import fields

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0020_deliveries_more")]

    initial = False

    operations = [
        ops.AddField(
            model_name="Delivery",
            name="refusals",
            field=fields.IntField(default=0),
        ),
        ops.AddField(
            model_name="Delivery",
            name="refused_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Delivery",
            name="reminded_days",
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name="PickupPoint",
            name="latitude",
            field=fields.DecimalField(null=True, max_digits=9, decimal_places=6),
        ),
        ops.AddField(
            model_name="PickupPoint",
            name="longitude",
            field=fields.DecimalField(null=True, max_digits=9, decimal_places=6),
        ),
    ]
