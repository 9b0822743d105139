import functools
from json import dumps, loads

from tortoise import fields
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from uuid_utils.compat import uuid7

from models import operations as ops
from models.deliveries import DeliveryState, Direction, Method, Postage, ProblemKind
from models.shipments import TrackStatus


class Migration(ops.Migration):
    dependencies = [("models", "0012_delegations_people")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Address",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("resident_id", fields.UUIDField()),
                ("name", fields.TextField(unique=False)),
                ("phone", fields.TextField(unique=False)),
                ("region_code", fields.CharField(max_length=12)),
                ("street", fields.TextField(unique=False)),
                ("label", fields.CharField(default="", max_length=20)),
                ("is_default", fields.BooleanField(default=False)),
                ("version", fields.IntField(default=1)),
                ("removed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "addresses",
                "app": "models",
                "indexes": [Index(fields=["resident_id", "removed_at"])],
                "pk_attr": "id",
                "table_description": "Where a resident wants things sent. Who, phone and street are sealed; the region is a code.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="DeliveryMove",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("delivery_id", fields.UUIDField()),
                ("from_state", fields.CharField(null=True, max_length=20)),
                ("to_state", fields.CharField(max_length=20)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("noted_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor", fields.CharField(max_length=80)),
                ("cause", fields.CharField(max_length=32)),
            ],
            options={
                "table": "delivery_moves",
                "app": "models",
                "indexes": [Index(fields=["delivery_id", "id"])],
                "pk_attr": "id",
                "table_description": "One step of a delivery. Rows are added, never changed.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="PickupPoint",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("code", fields.CharField(unique=True, max_length=40)),
                ("name", fields.CharField(max_length=100)),
                (
                    "hall",
                    fields.ForeignKeyField(
                        "models.Hall",
                        source_field="hall_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="pickup_points",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("department_id", fields.UUIDField()),
                ("region_code", fields.CharField(max_length=12)),
                ("address", fields.CharField(max_length=200)),
                ("phone", fields.CharField(max_length=20)),
                ("hours", fields.JSONField(encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "pickup_points",
                "app": "models",
                "indexes": [Index(fields=["region_code"])],
                "pk_attr": "id",
                "table_description": "A counter at which things can be fetched.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="Delivery",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("number", fields.CharField(unique=True, max_length=32)),
                ("subject_kind", fields.CharField(max_length=32)),
                ("subject_id", fields.UUIDField()),
                (
                    "direction",
                    fields.CharEnumField(
                        description="TO_RESIDENT: to-resident\nTO_OFFICE: to-office", enum_type=Direction, max_length=16
                    ),
                ),
                (
                    "method",
                    fields.CharEnumField(description="POST: post\nPICKUP: pickup", enum_type=Method, max_length=8),
                ),
                ("resident_id", fields.UUIDField()),
                ("department_id", fields.UUIDField(null=True)),
                ("contents", fields.CharField(max_length=200)),
                ("name", fields.TextField(null=True, unique=False)),
                ("phone", fields.TextField(null=True, unique=False)),
                ("region_code", fields.CharField(null=True, max_length=12)),
                ("street", fields.TextField(null=True, unique=False)),
                (
                    "pickup_point",
                    fields.ForeignKeyField(
                        "models.PickupPoint",
                        source_field="pickup_point_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="deliveries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("pickup_code_fingerprint", fields.CharField(null=True, max_length=64)),
                (
                    "postage",
                    fields.CharEnumField(
                        description="FREE: free\nOFFICE: office\nRESIDENT: resident\nCOLLECT: collect",
                        enum_type=Postage,
                        max_length=16,
                    ),
                ),
                ("postage_fen", fields.BigIntField(default=0)),
                ("fee_id", fields.UUIDField(null=True)),
                ("ready_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "state",
                    fields.CharEnumField(
                        description="WAITING: waiting\nTO_SEND: to_send\nORDERED: ordered\nPICKED_UP: picked_up\nIN_TRANSIT: in_transit\nOUT_FOR_DELIVERY: out_for_delivery\nAT_STATION: at_station\nSIGNED: signed\nRETURNING: returning\nRETURNED: returned\nLOST: lost\nREADY: ready\nHANDED_OVER: handed_over\nCANCELLED: cancelled",
                        enum_type=DeliveryState,
                        max_length=20,
                    ),
                ),
                ("state_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("confirmed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("kept_until", fields.DateField(null=True)),
                ("version", fields.IntField(default=1)),
            ],
            options={
                "table": "deliveries",
                "app": "models",
                "indexes": [
                    Index(fields=["resident_id", "id"]),
                    Index(fields=["department_id", "state", "id"]),
                    Index(fields=["subject_id"]),
                ],
                "pk_attr": "id",
                "table_description": "What one subject (a case, a licence) sends to one person, or they to the office. The address is a copy.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="DeliveryProblem",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "delivery",
                    fields.ForeignKeyField(
                        "models.Delivery",
                        source_field="delivery_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="problems",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("shipment_id", fields.UUIDField(null=True)),
                (
                    "kind",
                    fields.CharEnumField(
                        description="NO_MOVEMENT: no-movement\nDELIVERY_FAILED: delivery-failed\nREFUSED: refused\nRETURNED: returned\nLOST: lost\nCONFLICT: conflict\nNOT_FOUND: not-found\nREPORTED: reported",
                        enum_type=ProblemKind,
                        max_length=20,
                    ),
                ),
                ("text", fields.TextField(null=True, unique=False)),
                ("found_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("owner_id", fields.UUIDField(null=True)),
                ("answer", fields.CharField(null=True, max_length=400)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "delivery_problems",
                "app": "models",
                "indexes": [Index(fields=["ended_at", "id"])],
                "pk_attr": "id",
                "table_description": "Something that the office has to look into; the resident is told what is being done.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="HandOver",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "delivery",
                    fields.OneToOneField(
                        "models.Delivery",
                        source_field="delivery_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="hand_over",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("taken_by", fields.TextField(unique=False)),
                ("relation", fields.CharField(max_length=20)),
                ("checked_with", fields.CharField(max_length=20)),
                ("signature", fields.TextField(unique=False)),
                ("staff_id", fields.UUIDField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "hand_overs",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Somebody took it at the counter: who, how we knew, and their signature.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="Shipment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "delivery",
                    fields.ForeignKeyField(
                        "models.Delivery",
                        source_field="delivery_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="shipments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("number", fields.CharField(unique=True, max_length=32)),
                ("attempt", fields.IntField(default=1)),
                ("courier", fields.CharField(max_length=16)),
                ("tracker", fields.CharField(max_length=16)),
                ("company", fields.CharField(max_length=32)),
                ("waybill", fields.CharField(null=True, max_length=40)),
                ("phone_tail", fields.CharField(null=True, max_length=4)),
                (
                    "state",
                    fields.CharEnumField(
                        default=DeliveryState.TO_SEND,
                        description="WAITING: waiting\nTO_SEND: to_send\nORDERED: ordered\nPICKED_UP: picked_up\nIN_TRANSIT: in_transit\nOUT_FOR_DELIVERY: out_for_delivery\nAT_STATION: at_station\nSIGNED: signed\nRETURNING: returning\nRETURNED: returned\nLOST: lost\nREADY: ready\nHANDED_OVER: handed_over\nCANCELLED: cancelled",
                        enum_type=DeliveryState,
                        max_length=20,
                    ),
                ),
                ("state_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ordered_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("order_trouble", fields.CharField(null=True, max_length=64)),
                ("label", fields.TextField(null=True, unique=False)),
                ("hand_over_batch", fields.UUIDField(null=True)),
                ("subscribed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("subscriptions", fields.IntField(default=0)),
                ("subscribe_after", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_push_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_query_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("query_after", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_node_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("signed_claimed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "shipments",
                "app": "models",
                "unique_together": (("delivery", "attempt"),),
                "indexes": [
                    Index(fields=["waybill", "company"]),
                    Index(fields=["query_after"]),
                    Index(fields=["subscribe_after"]),
                    Index(fields=["hand_over_batch"]),
                ],
                "pk_attr": "id",
                "table_description": "One order at one courier. `number` is ours, and the courier's idempotency key; sent again is another shipment.",
            },
            bases=["Record"],
        ),
        ops.CreateModel(
            name="ShipmentNode",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "shipment",
                    fields.ForeignKeyField(
                        "models.Shipment",
                        source_field="shipment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="nodes",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("digest", fields.CharField(max_length=64)),
                ("source", fields.CharField(max_length=24)),
                (
                    "status",
                    fields.CharEnumField(
                        description="CREATED: created\nCOLLECTED: collected\nCOLLECT_FAILED: collect_failed\nIN_TRANSIT: in_transit\nARRIVED_CITY: arrived_city\nOUT_FOR_DELIVERY: out_for_delivery\nAT_STATION: at_station\nDELIVERED: delivered\nDELIVERY_FAILED: delivery_failed\nREFUSED: refused\nEXCEPTION: exception\nRETURNING: returning\nRETURNED: returned\nLOST: lost\nCANCELLED: cancelled\nOTHER: other",
                        enum_type=TrackStatus,
                        max_length=20,
                    ),
                ),
                ("raw_code", fields.CharField(max_length=40)),
                ("raw_text", fields.TextField(unique=False)),
                ("place", fields.CharField(default="", max_length=100)),
                ("region_code", fields.CharField(null=True, max_length=12)),
                ("event_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("received_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("believed", fields.BooleanField()),
                ("late", fields.BooleanField(default=False)),
            ],
            options={
                "table": "shipment_nodes",
                "app": "models",
                "unique_together": (("shipment", "digest"),),
                "indexes": [Index(fields=["shipment_id", "event_at", "id"])],
                "pk_attr": "id",
                "table_description": "One node of a journey as it was told: words, code, source, its own time and when we heard it.",
            },
            bases=["Record"],
        ),
    ]
