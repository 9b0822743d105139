"""Cases (办件) as departments report them: the case, what happened to it, and how far its numbers have come."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.migrations.constraints import CheckConstraint

from models.base import Model, Record


class CaseState(StrEnum):
    """Where a case stands. The moves between the states are in backend/cases/lifecycle.py."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    CORRECTION = "correction"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    LAPSED = "lapsed"
    IN_REVIEW = "in_review"
    SUSPENDED = "suspended"
    APPROVED = "approved"
    REJECTED = "rejected"
    ISSUED = "issued"
    DELIVERED = "delivered"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Case(Record):
    """One matter of one applicant, as the department that handles it reports it.

    `state` and everything below it are a projection of the events, written in the same transaction as they are.
    """

    number = fields.CharField(max_length=64, unique=True)
    """办件编号, upper case."""
    agency_id = fields.UUIDField()
    department_id = fields.UUIDField(null=True)
    reference = fields.CharField(max_length=64, null=True)
    """The agency's own number for it, when we issued ours."""
    item_code = fields.CharField(max_length=40)
    item_name = fields.CharField(max_length=200)
    title = fields.CharField(max_length=200)
    received_at = fields.DatetimeField()
    promised_days = fields.IntField(null=True)
    """承诺时限 in working days as it stood when the case came in; null: the guide promises none that we can count."""

    applicant_name = fields.TextField(null=True)
    """Sealed."""
    applicant_id_kind = fields.CharField(max_length=16, null=True)
    applicant_id_number = fields.TextField(null=True)
    """Sealed."""
    applicant_id_fingerprint = fields.CharField(max_length=64, null=True)
    applicant_id_tail_fingerprint = fields.CharField(max_length=64, null=True)
    """Of the case's number and the last four characters of the id together, so that equal tails do not show."""
    applicant_phone = fields.TextField(null=True)
    """Sealed."""
    applicant_phone_fingerprint = fields.CharField(max_length=64, null=True)
    resident_id = fields.UUIDField(null=True)
    """The resident who sees the case, once their confirmed phone number is the applicant's."""
    linked_at = fields.DatetimeField(null=True)

    state = fields.CharEnumField(CaseState, max_length=16)
    state_at = fields.DatetimeField()
    """When the present state began."""
    outcome = fields.CharField(max_length=16, null=True)
    """What the department said it decided: approved, rejected, terminated; null as long as it said nothing."""
    last_event_at = fields.DatetimeField(null=True)
    accepted_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)
    """When the limit stopped running: the decision, or an end without one."""
    due_on = fields.DateField(null=True)
    due = fields.TextField()
    """JSON object: how the due date came about (backend/cases/deadlines.py)."""
    counted_days = ArrayField(element_type="date", default=list)
    """The working days that count, in order: how many lie behind us is one look into this array."""
    version = fields.IntField(default=1)

    class Meta:
        table = "cases"
        unique_together = (("agency_id", "reference"),)
        indexes = (
            ("resident_id", "received_at", "id"),
            ("applicant_phone_fingerprint",),
            ("applicant_id_fingerprint",),
            ("state", "due_on"),
        )
        constraints = (
            CheckConstraint("number = upper(number) AND length(number) >= 4", name="case_number_spelling"),
            CheckConstraint(
                "state IN ('draft','submitted','correction','accepted','not_accepted','lapsed','in_review','suspended',"
                "'approved','rejected','issued','delivered','closed','withdrawn')",
                name="case_state_known",
            ),
            CheckConstraint("promised_days IS NULL OR promised_days BETWEEN 0 AND 3650", name="case_limit_sane"),
            CheckConstraint(
                "(applicant_id_number IS NULL) = (applicant_id_fingerprint IS NULL)"
                " AND (applicant_id_number IS NULL) = (applicant_id_tail_fingerprint IS NULL)"
                " AND (applicant_phone IS NULL) = (applicant_phone_fingerprint IS NULL)",
                name="case_applicant_findable",
            ),
            CheckConstraint("version >= 1", name="case_version_positive"),
        )


class CaseEvent(Record):
    """One thing that a department said about a case. Rows are added, never removed.

    `case_id` is empty until the case itself arrives. `path` and `flag` are rewritten when an event arrives
    that happened earlier; everything else stays as it was reported.
    """

    agency_id = fields.UUIDField()
    case_number = fields.CharField(max_length=64)
    case_id = fields.UUIDField(null=True)
    event_id = fields.CharField(max_length=64)
    """The agency's own id of the event."""
    code = fields.CharField(max_length=64)
    """As the agency wrote it."""
    kind = fields.CharField(max_length=32)
    """Our word for it; `other` when we do not know the code."""
    outcome = fields.CharField(max_length=16, null=True)
    occurred_at = fields.DatetimeField()
    rank = fields.SmallIntField()
    """Orders events that happened at the same instant; many departments report days only."""
    text = fields.TextField(null=True)
    """The department's own words, for officers."""
    public_remark = fields.TextField(null=True)
    """For the applicant."""
    materials = fields.TextField(null=True)
    """JSON: what has to be handed in, for 补正."""
    digest = fields.CharField(max_length=64)
    """SHA-256 of the content: the same id with another content is refused."""
    path = ArrayField(element_type="text", default=list)
    """The states that the event led through, the one before it first; empty when it moved nothing."""
    flag = fields.CharField(max_length=32, null=True)
    """Why the event did not count, or what was irregular about it."""

    class Meta:
        table = "case_events"
        unique_together = (("agency_id", "case_number", "event_id"),)
        indexes = (("case_id", "occurred_at", "rank", "event_id"),)
        constraints = (
            CheckConstraint("cardinality(path) <> 1", name="case_event_path_moves"),
            CheckConstraint("length(event_id) >= 1 AND length(code) >= 1", name="case_event_named"),
        )


class CaseSequence(Model):
    """How many numbers an item has used on a day."""

    id = fields.BigIntField(primary_key=True, generated=True)
    item_code = fields.CharField(max_length=40)
    day = fields.DateField()
    used = fields.IntField()
    exhausted_at = fields.DatetimeField(null=True)
    """When the first number was refused; the alarm is raised once."""

    class Meta:
        table = "case_sequences"
        unique_together = (("item_code", "day"),)
        constraints = (CheckConstraint("used >= 1", name="case_sequence_positive"),)
