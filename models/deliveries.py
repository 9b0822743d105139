"""Addresses, pickup points, deliveries, their problems and hand-overs."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Record
from models.regions import Hall


class Address(Record):
    """An address of a resident. Name, phone and street are sealed; the region is a code."""

    resident_id = fields.UUIDField()
    name = fields.TextField()
    """Sealed."""
    phone = fields.TextField()
    """Sealed."""
    region_code = fields.CharField(max_length=12)
    street = fields.TextField()
    """Sealed: everything below the region."""
    label = fields.CharField(max_length=20, default="")
    """家, 公司 …"""
    is_default = fields.BooleanField(default=False)
    version = fields.IntField(default=1)
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "addresses"
        indexes = (("resident_id", "removed_at"),)
        constraints = (
            CheckConstraint("region_code ~ '^[1-9][0-9]{5}([0-9]{6})?$'", name="address_region_form"),
            CheckConstraint("version >= 1", name="address_version_positive"),
            CheckConstraint("NOT (is_default AND removed_at IS NOT NULL)", name="address_default_is_there"),
            UniqueConstraint(fields=("resident_id",), name="address_default_once", condition="is_default"),
        )


class PickupPoint(Record):
    """A counter for collection."""

    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    hall: fields.ForeignKeyNullableRelation[Hall] = fields.ForeignKeyField(
        "models.Hall", related_name="pickup_points", on_delete=OnDelete.RESTRICT, null=True
    )
    department_id = fields.UUIDField()
    region_code = fields.CharField(max_length=12)
    address = fields.CharField(max_length=200)
    phone = fields.CharField(max_length=20)
    hours = fields.JSONField[list[dict[str, object]]]()
    """As those of a hall: a list of `backend.regions.Hours`."""
    latitude = fields.DecimalField(max_digits=9, decimal_places=6, null=True)
    """Degrees in GCJ-02; a counter in a hall without its own stands where the hall does."""
    longitude = fields.DecimalField(max_digits=9, decimal_places=6, null=True)
    closed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "pickup_points"
        indexes = (("region_code",),)


class Direction(StrEnum):
    """Who receives it."""

    TO_RESIDENT = "to-resident"
    TO_OFFICE = "to-office"
    """Documents that the resident sends in, or back."""


class Method(StrEnum):
    """How it gets there."""

    POST = "post"
    PICKUP = "pickup"


class Postage(StrEnum):
    """Who pays the courier."""

    FREE = "free"
    OFFICE = "office"
    RESIDENT = "resident"
    """In advance, through payments."""
    COLLECT = "collect"
    """Paid to the courier at the door (到付)."""


class DeliveryState(StrEnum):
    """State of a delivery. The transitions are in backend/deliveries/lifecycle.py."""

    WAITING = "waiting"
    """For the decision, or for the postage."""
    TO_SEND = "to_send"
    ORDERED = "ordered"
    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AT_STATION = "at_station"
    """In a locker or at a shop, to be collected."""
    SIGNED = "signed"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    READY = "ready"
    """At the counter, to be collected."""
    HANDED_OVER = "handed_over"
    CANCELLED = "cancelled"


UNDER_WAY = "state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')"
"""SQL: deliveries that have not ended."""


class Delivery(Record):
    """What one subject (a case, a licence) sends to one person, or they to the office. The address is a copy."""

    number = fields.CharField(max_length=32, unique=True)
    subject_kind = fields.CharField(max_length=32)
    subject_id = fields.UUIDField()
    direction = fields.CharEnumField(Direction, max_length=16)
    method = fields.CharEnumField(Method, max_length=8)
    resident_id = fields.UUIDField()
    department_id = fields.UUIDField(null=True)
    hall_id = fields.UUIDField(null=True)
    """The hall that gives out the contents, where the guide names one: from there it is sent."""
    contents = fields.CharField(max_length=200)
    """What is in it, as the guide names it: `居住证`."""
    name = fields.TextField(null=True)
    """Sealed, like phone and street."""
    phone = fields.TextField(null=True)
    region_code = fields.CharField(max_length=12, null=True)
    street = fields.TextField(null=True)
    pickup_point: fields.ForeignKeyNullableRelation[PickupPoint] = fields.ForeignKeyField(
        "models.PickupPoint", related_name="deliveries", on_delete=OnDelete.RESTRICT, null=True
    )
    pickup_code_fingerprint = fields.CharField(max_length=64, null=True)
    """Set while it lies at the counter: the pickup codes are derived from it."""
    postage = fields.CharEnumField(Postage, max_length=16)
    postage_fen = fields.BigIntField(default=0)
    fee_id = fields.UUIDField(null=True)
    """The fee of the postage, when the resident pays it in advance."""
    ready_at = fields.DatetimeField(null=True)
    """When the contents existed."""
    state = fields.CharEnumField(DeliveryState, max_length=20)
    state_at = fields.DatetimeField()
    confirmed_at = fields.DatetimeField(null=True)
    """When the resident confirmed the receipt."""
    kept_until = fields.DateField(null=True)
    """At the counter: until when it is kept."""
    reminded_days = fields.IntField(null=True)
    """Days left at the last reminder."""
    refusals = fields.IntField(default=0)
    """Recent failed proofs of identity at the counter."""
    refused_at = fields.DatetimeField(null=True)
    version = fields.IntField(default=1)

    class Meta:
        table = "deliveries"
        indexes = (("resident_id", "id"), ("department_id", "state", "id"), ("subject_id",))
        constraints = (
            CheckConstraint(
                "state IN ('waiting','to_send','ordered','picked_up','in_transit','out_for_delivery','at_station',"
                "'signed','returning','returned','lost','ready','handed_over','cancelled')",
                name="delivery_state_known",
            ),
            CheckConstraint(
                "(method = 'post') = (street IS NOT NULL) AND (method = 'pickup') = (pickup_point_id IS NOT NULL)",
                name="delivery_goes_somewhere",
            ),
            CheckConstraint("postage_fen >= 0", name="delivery_postage_sane"),
            CheckConstraint("version >= 1", name="delivery_version_positive"),
            UniqueConstraint(
                fields=("subject_kind", "subject_id", "direction"), name="delivery_once_under_way", condition=UNDER_WAY
            ),
        )


class ProblemKind(StrEnum):
    """What may go wrong with a delivery."""

    NO_MOVEMENT = "no-movement"
    DELIVERY_FAILED = "delivery-failed"
    REFUSED = "refused"
    RETURNED = "returned"
    LOST = "lost"
    CONFLICT = "conflict"
    """The courier's nodes contradict each other: signed and returned."""
    NOT_FOUND = "not-found"
    """The courier does not know the number."""
    ORDER_FAILED = "order-failed"
    """The courier refused the order, or cancelled it."""
    REPORTED = "reported"
    """Reported by the resident."""


class DeliveryProblem(Record):
    """A problem that the office has to resolve; the resident reads the answer."""

    delivery: fields.ForeignKeyRelation[Delivery] = fields.ForeignKeyField(
        "models.Delivery", related_name="problems", on_delete=OnDelete.RESTRICT
    )
    shipment_id = fields.UUIDField(null=True)
    kind = fields.CharEnumField(ProblemKind, max_length=20)
    text = fields.TextField(null=True)
    """Sealed: what the resident wrote."""
    found_at = fields.DatetimeField()
    owner_id = fields.UUIDField(null=True)
    answer = fields.CharField(max_length=400, null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "delivery_problems"
        indexes = (("ended_at", "id"),)
        constraints = (
            CheckConstraint("ended_at IS NULL OR answer IS NOT NULL", name="delivery_problem_ended_in_words"),
            UniqueConstraint(
                fields=("delivery_id", "kind"), name="delivery_problem_open_once", condition="ended_at IS NULL"
            ),
        )


class HandOver(Record):
    """A hand-over at the counter: the receiver, their proof of identity and their signature."""

    delivery: fields.OneToOneRelation[Delivery] = fields.OneToOneField(
        "models.Delivery", related_name="hand_over", on_delete=OnDelete.RESTRICT
    )
    taken_by = fields.TextField()
    """Sealed: the receiver's name."""
    relation = fields.CharField(max_length=20)
    """`self`, or `delegate`: a person with the resident's delegation."""
    checked_with = fields.CharField(max_length=20)
    """What was checked: `resident_id`, `pickup_code`, `delegation`."""
    signature = fields.TextField()
    """Sealed: PNG as base64, drawn on the counter's tablet."""
    staff_id = fields.UUIDField()
    at = fields.DatetimeField()

    class Meta:
        table = "hand_overs"
