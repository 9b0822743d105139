from tortoise import fields

from models import operations as ops
from models.deliveries import ProblemKind


class Migration(ops.Migration):
    dependencies = [("models", "0019_lists_by_person")]

    initial = False

    operations = [
        ops.AlterField(
            model_name="DeliveryProblem",
            name="kind",
            field=fields.CharEnumField(
                description="NO_MOVEMENT: no-movement\nDELIVERY_FAILED: delivery-failed\nREFUSED: refused\nRETURNED: returned\nLOST: lost\nCONFLICT: conflict\nNOT_FOUND: not-found\nORDER_FAILED: order-failed\nREPORTED: reported",
                enum_type=ProblemKind,
                max_length=20,
            ),
        ),
    ]
