from tortoise.indexes import Index

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0018_resting_places")]

    initial = False

    operations = [
        ops.AddIndex(
            model_name="DrawEntry",
            index=Index(fields=["person_id"]),
        ),
        ops.AddIndex(
            model_name="WaitingEntry",
            index=Index(fields=["person_id"]),
        ),
    ]
