"""Shipments at couriers, and the nodes that couriers report, with their exact text."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Record
from models.callbacks import InboundMessage
from models.deliveries import Delivery, DeliveryState


class TrackStatus(StrEnum):
    """Status of a tracking node, the same for every courier."""

    CREATED = "created"
    COLLECTED = "collected"
    COLLECT_FAILED = "collect_failed"
    IN_TRANSIT = "in_transit"
    ARRIVED_CITY = "arrived_city"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AT_STATION = "at_station"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    REFUSED = "refused"
    EXCEPTION = "exception"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    CANCELLED = "cancelled"
    OTHER = "other"
    """An unknown code: stored, shown as 其他, changes no state."""


class Shipment(Record):
    """One order at one courier. `number` is ours, and the courier's idempotency key; sent again is another shipment."""

    delivery: fields.ForeignKeyRelation[Delivery] = fields.ForeignKeyField(
        "models.Delivery", related_name="shipments", on_delete=OnDelete.RESTRICT
    )
    number = fields.CharField(max_length=32, unique=True)
    attempt = fields.IntField(default=1)
    courier = fields.CharField(max_length=16)
    """Adapter through which it was ordered: `ems`, `sf`, or `manual` when the waybill was bought elsewhere."""
    tracker = fields.CharField(max_length=16)
    """Adapter that tracks it: `kuaidi100`, `sf`, `ems`, `kdniao`."""
    company = fields.CharField(max_length=32)
    """The company's lower-case kuaidi100 code: `ems`, `shunfeng`; corrected when the tracker reports another."""
    waybill = fields.CharField(max_length=40, null=True)
    phone_tail = fields.CharField(max_length=4, null=True)
    """Last four digits of the receiver's phone: some couriers answer only with them."""
    state = fields.CharEnumField(DeliveryState, max_length=20, default=DeliveryState.TO_SEND)
    """The fold of the verified nodes (backend/deliveries/lifecycle.py)."""
    state_at = fields.DatetimeField()
    ordered_at = fields.DatetimeField(null=True)
    order_error = fields.CharField(max_length=64, null=True)
    label = fields.TextField(null=True)
    """Sealed: where the courier's label is, or its data. It names the receiver."""
    hand_over_batch = fields.UUIDField(null=True)
    """The batch it was sent with."""
    subscribed_at = fields.DatetimeField(null=True)
    subscriptions = fields.IntField(default=0)
    subscribe_after = fields.DatetimeField(null=True)
    """When to subscribe (again); null when that is not due."""
    last_push_at = fields.DatetimeField(null=True)
    last_query_at = fields.DatetimeField(null=True)
    query_after = fields.DatetimeField(null=True)
    """When the tracker is queried next; null when no query is due."""
    last_node_at = fields.DatetimeField(null=True)
    """Event time of the newest node."""
    unconfirmed_end_at = fields.DatetimeField(null=True)
    """When an untrusted source reported its end: signed for, returned or lost."""
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "shipments"
        unique_together = (("delivery", "attempt"),)
        indexes = (("waybill", "company"), ("query_after",), ("subscribe_after",), ("hand_over_batch",))
        constraints = (
            CheckConstraint("attempt >= 1", name="shipment_attempt_positive"),
            CheckConstraint("(waybill IS NULL) OR (ordered_at IS NOT NULL)", name="shipment_waybill_when_ordered"),
            # A courier uses a number again after months: only among those under way it identifies one parcel.
            UniqueConstraint(
                fields=("waybill", "company"),
                name="shipment_waybill_once",
                condition="ended_at IS NULL AND waybill IS NOT NULL",
            ),
            UniqueConstraint(fields=("delivery_id",), name="shipment_one_under_way", condition="ended_at IS NULL"),
        )


class ShipmentNode(Record):
    """One tracking node as reported: text, code, source, its own time and the time of receipt."""

    shipment: fields.ForeignKeyRelation[Shipment] = fields.ForeignKeyField(
        "models.Shipment", related_name="nodes", on_delete=OnDelete.RESTRICT
    )
    digest = fields.CharField(max_length=64)
    """Keyed digest of time, code and text: the same node reported again is the same row."""
    source = fields.CharField(max_length=24)
    """`kuaidi100`, `sf`, `ems`, `kdniao`, `wechat` or `staff`, and `:query` for the answer to a query."""
    status = fields.CharEnumField(TrackStatus, max_length=20)
    raw_code = fields.CharField(max_length=40)
    raw_text = fields.TextField()
    """Sealed: the courier's text, which names people and phones."""
    place = fields.CharField(max_length=100, default="")
    region_code = fields.CharField(max_length=12, null=True)
    event_at = fields.DatetimeField()
    """The courier's time, read as Asia/Shanghai."""
    received_at = fields.DatetimeField()
    verified = fields.BooleanField()
    """False for an end (signed for, returned, lost) in a push without a signature: a query has to confirm it.
    """
    late = fields.BooleanField(default=False)
    """Whether it was reported after a node that lies further along."""

    class Meta:
        table = "shipment_nodes"
        unique_together = (("shipment", "digest"),)
        indexes = (("shipment_id", "event_at", "id"),)


class UnmatchedTrack(Record):
    """A push about an unknown parcel: applied again when an order brings the waybill."""

    waybill = fields.CharField(max_length=40)
    message: fields.ForeignKeyRelation[InboundMessage] = fields.ForeignKeyField(
        "models.InboundMessage", related_name="unmatched", on_delete=OnDelete.CASCADE
    )

    class Meta:
        table = "unmatched_tracks"
        unique_together = (("waybill", "message"),)
        indexes = (("message_id",),)


class DeliveryTransition(Record):
    """One step of a delivery. Rows are added, never changed."""

    delivery_id = fields.UUIDField()
    from_state = fields.CharField(max_length=20, null=True)
    to_state = fields.CharField(max_length=20)
    at = fields.DatetimeField()
    """When it happened, by the courier's time where a courier reported it."""
    noted_at = fields.DatetimeField()
    actor = fields.CharField(max_length=80)
    cause = fields.CharField(max_length=32)

    class Meta:
        table = "delivery_transitions"
        indexes = (("delivery_id", "id"),)
