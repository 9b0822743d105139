from tortoise.migrations.constraints import CheckConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0022_tellings")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="Telling",
            constraint=CheckConstraint(
                check="messages >= 0 AND (messages = 0) = (why <> '')", name="telling_to_nobody_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Telling",
            constraint=CheckConstraint(check="forgotten BETWEEN 0 AND messages", name="telling_forgets_what_it_told"),
        ),
    ]
