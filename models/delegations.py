"""Delegations (亲友代办): who may act for whom, in which matters, and until when."""

from __future__ import annotations

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint

from models.base import Record
from models.identity import Resident


class Delegation(Record):
    """One resident lets another act for them. Offered by the principal, accepted by the delegate, ended by either."""

    principal: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="delegations_given", on_delete=OnDelete.RESTRICT
    )
    """For whom things are done; they made the offer."""
    delegate: fields.ForeignKeyNullableRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="delegations_held", on_delete=OnDelete.RESTRICT, null=True
    )
    """Who acts; null until the invitation is accepted."""
    principal_name = fields.TextField(null=True)
    """Sealed: the principal's name, as they gave it to the delegate. Null once forgotten."""
    delegate_name = fields.TextField(null=True)
    """Sealed: the delegate's name, as they gave it to the principal."""
    matters = ArrayField(element_type="text")
    """"all", or what of `backend.identity.delegating.Matter` it holds for."""
    invitation_until = fields.DatetimeField()
    ends_at = fields.DatetimeField()
    accepted_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=12, null=True)

    class Meta:
        table = "delegations"
        indexes = (("principal_id", "ended_at"), ("delegate_id", "ended_at"), ("ended_at", "ends_at"))
        constraints = (
            CheckConstraint("(accepted_at IS NULL) = (delegate_id IS NULL)", name="delegation_accepted_by_somebody"),
            CheckConstraint("delegate_id <> principal_id", name="delegation_to_somebody_else"),
            CheckConstraint(
                "cardinality(matters) > 0 AND "
                "matters <@ ARRAY['all', 'appointments', 'cases', 'payments', 'deliveries']::text[]",
                name="delegation_matters_known",
            ),
            CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="delegation_end_has_a_reason"),
            CheckConstraint(
                "end_reason IN ('withdrawn', 'lapsed', 'revoked', 'renounced', 'over', 'erased')",
                name="delegation_end_reason_known",
            ),
        )
