from tortoise import fields
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from uuid_utils.compat import uuid7

from models import operations as ops

# A label names the receiver, so it is kept sealed from now on; the courier makes it again when somebody asks for it.
NO_LABEL_IN_CLEAR = "UPDATE shipments SET label = NULL WHERE label IS NOT NULL"


class Migration(ops.Migration):
    dependencies = [("models", "0023_tellings_constraints")]

    initial = False

    operations = [
        ops.CreateModel(
            name="UnmatchedTrack",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("waybill", fields.CharField(max_length=40)),
                (
                    "message",
                    fields.ForeignKeyField(
                        "models.InboundMessage",
                        source_field="message_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="unmatched",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            options={
                "table": "unmatched_tracks",
                "app": "models",
                "unique_together": (("waybill", "message"),),
                "indexes": [Index(fields=["message_id"])],
                "pk_attr": "id",
                "table_description": "A push told of a parcel that we did not know: it is worked again when an order brings us the number.",
            },
            bases=["Record"],
        ),
        ops.AddField(
            model_name="Delivery",
            name="hall_id",
            field=fields.UUIDField(null=True),
        ),
        ops.RunSQL(NO_LABEL_IN_CLEAR),
    ]
