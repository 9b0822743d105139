from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from uuid_utils.compat import uuid7

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0009_payments_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Delegation",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "principal",
                    fields.ForeignKeyField(
                        "models.Resident",
                        source_field="principal_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="delegations_given",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "delegate",
                    fields.ForeignKeyField(
                        "models.Resident",
                        source_field="delegate_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="delegations_held",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("principal_name", fields.TextField(null=True, unique=False)),
                ("delegate_name", fields.TextField(null=True, unique=False)),
                ("matters", ArrayField(element_type="TEXT")),
                ("invitation_until", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("accepted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("end_reason", fields.CharField(null=True, max_length=12)),
            ],
            options={
                "table": "delegations",
                "app": "models",
                "indexes": [
                    Index(fields=["principal_id", "ended_at"]),
                    Index(fields=["delegate_id", "ended_at"]),
                    Index(fields=["ended_at", "ends_at"]),
                ],
                "pk_attr": "id",
                "table_description": "One resident lets another act for them. Offered by the principal, accepted by the delegate, ended by either.",
            },
            bases=["Record"],
        ),
    ]
