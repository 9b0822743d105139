from tortoise.migrations.constraints import CheckConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0010_delegations")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="(accepted_at IS NULL) = (delegate_id IS NULL)", name="delegation_accepted_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(check="delegate_id <> principal_id", name="delegation_to_somebody_else"),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="cardinality(matters) > 0 AND matters <@ ARRAY['all', 'appointments', 'cases', 'payments', 'deliveries']::text[]",
                name="delegation_matters_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="(ended_at IS NULL) = (end_reason IS NULL)", name="delegation_end_has_a_reason"
            ),
        ),
        ops.AddConstraint(
            model_name="Delegation",
            constraint=CheckConstraint(
                check="end_reason IN ('withdrawn', 'lapsed', 'revoked', 'renounced', 'over', 'erased')",
                name="delegation_end_reason_known",
            ),
        ),
    ]
