from tortoise import fields
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from uuid_utils.compat import uuid7

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0017_reconciliation_more")]

    initial = False

    operations = [
        ops.CreateModel(
            name="RestingPlace",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "slot",
                    fields.ForeignKeyField(
                        "models.Slot",
                        source_field="slot_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="resting_places",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("free_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "resting_places",
                "app": "models",
                "indexes": [Index(fields=["slot_id"]), Index(fields=["free_at"])],
                "pk_attr": "id",
                "table_description": "A place that was given back to a full slot and that nobody can take before `free_at`; its slot counts it as held.",
            },
            bases=["Record"],
        ),
        ops.RemoveIndex(
            model_name="Appointment",
            name=None,
            fields=["resident_id", "day"],
        ),
        ops.AddIndex(
            model_name="Appointment",
            index=Index(fields=["person_id", "day"]),
        ),
    ]
