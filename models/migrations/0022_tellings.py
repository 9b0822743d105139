from uuid import uuid4

from tortoise import fields
from tortoise.indexes import PartialIndex

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0021_deliveries_counters")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Telling",
            fields=[
                ("event_id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("messages", fields.SmallIntField()),
                ("forgotten", fields.SmallIntField(default=0)),
                ("why", fields.CharField(default="", max_length=64)),
            ],
            options={
                "table": "tellings",
                "app": "models",
                "pk_attr": "event_id",
                "table_description": "What became of an event that people are told of: how many messages it led to, or why to none. Written with them,",
            },
            bases=["Model"],
        ),
        ops.AddIndex(
            model_name="Message",
            index=PartialIndex(fields=["id"], name="messages_dead", condition={"state": "dead"}),
        ),
    ]
