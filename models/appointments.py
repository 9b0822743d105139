"""Appointments: lines of a hall, their slots, and who has a place in them. The queue in the hall: models/queueing.py.

A *line* (业务类别) is what residents queue for: a group of service items that the same windows of one hall handle.
Places are counted in the slot's row, and the database itself refuses to sell one twice.
"""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Record
from models.catalogue import ServiceItem
from models.identity import Resident
from models.regions import Hall


class Admission(StrEnum):
    """How places are given when more people ask than there are."""

    FIRST_COME = "first-come"
    DRAW = "draw"


class AppointmentState(StrEnum):
    """Where an appointment stands. The transitions are in backend/appointments/lifecycle.py."""

    HELD = "held"
    BOOKED = "booked"
    CHECKED_IN = "checked-in"
    SERVED = "served"
    MISSED = "missed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TicketState(StrEnum):
    """Where a queue number stands. The tables of the queue are in models/queueing.py."""

    WAITING = "waiting"
    CALLED = "called"
    SERVED = "served"
    MISSED = "missed"


ACTIVE = "state IN ('held', 'booked', 'checked-in')"
"""States in which an appointment takes a place."""


class ServiceLine(Record):
    """What residents queue for in one hall, and the rules of its booking. Units are in the names."""

    hall: fields.ForeignKeyRelation[Hall] = fields.ForeignKeyField(
        "models.Hall", related_name="lines", on_delete=OnDelete.RESTRICT
    )
    code = fields.CharField(max_length=2)  # the letter on queue numbers: A, B …
    name = fields.CharField(max_length=60)
    active = fields.BooleanField(default=True)
    slot_minutes = fields.SmallIntField(default=30)
    release_time = fields.TimeField()
    """When on the release day places become bookable, Asia/Shanghai."""
    release_days = fields.SmallIntField(default=7)
    """How many days ahead of the visit places are released."""
    admission = fields.CharEnumField(Admission, max_length=12, default=Admission.FIRST_COME)
    draw_seconds = fields.SmallIntField(default=60)
    hold_seconds = fields.SmallIntField(default=180)
    cancel_minutes = fields.IntField(default=120)
    """Until how long before the visit it can be cancelled without a strike."""
    offer_minutes = fields.IntField(default=30)
    """How long a freed place stays offered to the next on the waiting list."""
    person_limit = fields.SmallIntField(default=3)
    """How many active appointments one person may have on this line."""
    strikes_allowed = fields.SmallIntField(default=2)
    """No-shows and late cancellations within `strike_days` before booking is blocked."""
    strike_days = fields.SmallIntField(default=90)
    block_days = fields.SmallIntField(default=30)

    class Meta:
        table = "service_lines"
        unique_together = (("hall_id", "code"),)
        constraints = (
            CheckConstraint("slot_minutes BETWEEN 5 AND 480", name="service_line_slot_minutes"),
            CheckConstraint("release_days BETWEEN 0 AND 60", name="service_line_release_days"),
            CheckConstraint("hold_seconds > 0 AND draw_seconds > 0", name="service_line_seconds"),
            CheckConstraint("code ~ '^[A-Z]{1,2}$'", name="service_line_code_letters"),
        )


class LineItem(Record):
    """A service item that a line handles; in one hall an item belongs to one line."""

    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="line_items", on_delete=OnDelete.CASCADE
    )
    hall_id = fields.UUIDField()
    item: fields.ForeignKeyRelation[ServiceItem] = fields.ForeignKeyField(
        "models.ServiceItem", related_name="line_items", on_delete=OnDelete.RESTRICT
    )

    class Meta:
        table = "line_items"
        unique_together = (("hall_id", "item_id"),)


class Window(Record):
    """A window of a hall and the lines it serves."""

    hall: fields.ForeignKeyRelation[Hall] = fields.ForeignKeyField(
        "models.Hall", related_name="windows", on_delete=OnDelete.RESTRICT
    )
    number = fields.CharField(max_length=8)
    line_ids = ArrayField(element_type="uuid")
    open = fields.BooleanField(default=True)

    class Meta:
        table = "windows"
        unique_together = (("hall_id", "number"),)


class OpeningHours(Record):
    """When a line receives people on one kind of day: ISO weekday 1 to 7, or 0 for a make-up working day."""

    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="opening_hours", on_delete=OnDelete.CASCADE
    )
    weekday = fields.SmallIntField()
    opens = fields.TimeField()
    closes = fields.TimeField()
    capacity = fields.IntField()
    """Places per slot that can be booked."""
    walk_ins = fields.IntField(default=0)
    """Places per slot kept apart for people who come without an appointment."""

    class Meta:
        table = "opening_hours"
        unique_together = (("line_id", "weekday", "opens"),)
        constraints = (
            CheckConstraint("weekday BETWEEN 0 AND 7", name="opening_hours_weekday"),
            CheckConstraint("closes > opens", name="opening_hours_close_after_opening"),
            CheckConstraint("capacity >= 0 AND walk_ins >= 0", name="opening_hours_places"),
        )


class Slot(Record):
    """A stretch of time in which a line receives a fixed number of residents."""

    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="slots", on_delete=OnDelete.RESTRICT
    )
    hall_id = fields.UUIDField()
    day = fields.DateField()
    starts_at = fields.DatetimeField()
    ends_at = fields.DatetimeField()
    release_at = fields.DatetimeField()
    capacity = fields.IntField()
    held = fields.IntField(default=0)
    booked = fields.IntField(default=0)
    walk_in_quota = fields.IntField(default=0)
    walk_ins = fields.IntField(default=0)
    closed_at = fields.DatetimeField(null=True)
    closed_because = fields.CharField(max_length=200, default="")

    class Meta:
        table = "slots"
        unique_together = (("line_id", "starts_at"),)
        indexes = (("hall_id", "day"),)
        constraints = (
            CheckConstraint("held >= 0 AND booked >= 0 AND held + booked <= capacity", name="slot_not_oversold"),
            CheckConstraint("walk_ins >= 0 AND walk_ins <= walk_in_quota", name="slot_walk_ins_within_quota"),
            CheckConstraint("ends_at > starts_at", name="slot_ends_after_it_starts"),
        )


class Appointment(Record):
    """One person's place in one slot, for one item."""

    number = fields.CharField(max_length=24, unique=True)
    slot: fields.ForeignKeyRelation[Slot] = fields.ForeignKeyField(
        "models.Slot", related_name="appointments", on_delete=OnDelete.RESTRICT
    )
    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="appointments", on_delete=OnDelete.RESTRICT
    )
    """Who booked it."""
    person_id = fields.UUIDField()
    """Who comes: the resident, or a principal of theirs."""
    line_id = fields.UUIDField()
    item: fields.ForeignKeyRelation[ServiceItem] = fields.ForeignKeyField(
        "models.ServiceItem", related_name="appointments", on_delete=OnDelete.RESTRICT
    )
    day = fields.DateField()
    state = fields.CharEnumField(AppointmentState, max_length=12)
    hold_until = fields.DatetimeField(null=True)
    visitor_name = fields.TextField(null=True)
    """Sealed."""
    visitor_key = fields.CharField(max_length=64, null=True)
    """Fingerprint of id number's last four and phone: what the kiosk asks for."""
    from_waiting_list = fields.BooleanField(default=False)
    changed_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "appointments"
        indexes = (("person_id", "day"), ("slot_id", "state"), ("state", "hold_until"))
        constraints = (
            UniqueConstraint(fields=("person_id", "item_id", "day"), name="appointment_once_a_day", condition=ACTIVE),
            CheckConstraint("(state = 'held') = (hold_until IS NOT NULL)", name="appointment_hold_ends"),
        )


class RestingPlace(Record):
    """A place that was given back to a full slot and cannot be taken before `free_at`; its slot counts it as held.

    So that no place can be handed over by a tap at the very moment of its cancellation.
    """

    slot: fields.ForeignKeyRelation[Slot] = fields.ForeignKeyField(
        "models.Slot", related_name="resting_places", on_delete=OnDelete.RESTRICT
    )
    free_at = fields.DatetimeField()

    class Meta:
        table = "resting_places"
        indexes = (("slot_id",), ("free_at",))


class Strike(Record):
    """A no-show or a late cancellation that counts until it is waived."""

    person_id = fields.UUIDField()
    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="strikes", on_delete=OnDelete.CASCADE
    )
    appointment: fields.OneToOneRelation[Appointment] = fields.OneToOneField(
        "models.Appointment", related_name="strike", on_delete=OnDelete.CASCADE
    )
    kind = fields.CharField(max_length=12)
    given_by = fields.UUIDField(null=True)
    """The member of staff who marked the visit as missed; null when a rule did."""
    appeal = fields.TextField(null=True)
    """Why it should not count, in the person's words. Sealed."""
    appealed_at = fields.DatetimeField(null=True)
    waived_at = fields.DatetimeField(null=True)
    decided_by = fields.UUIDField(null=True)
    decided_at = fields.DatetimeField(null=True)

    class Meta:
        table = "strikes"
        indexes = (("person_id", "line_id", "created_at"),)
        constraints = (
            CheckConstraint("kind IN ('no-show', 'late-cancel')", name="strike_kind_known"),
            CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="strike_decided_whole"),
            CheckConstraint("(appeal IS NULL) = (appealed_at IS NULL)", name="strike_appeal_whole"),
            CheckConstraint("waived_at IS NULL OR decided_at IS NOT NULL", name="strike_waived_by_somebody"),
        )


class WaitingEntry(Record):
    """A resident who wants a place on a day that is full; freed places are offered to one person at a time."""

    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="waiting", on_delete=OnDelete.CASCADE
    )
    day = fields.DateField()
    resident_id = fields.UUIDField()
    person_id = fields.UUIDField()
    item_id = fields.UUIDField()
    state = fields.CharField(max_length=10, default="waiting")
    appointment_id = fields.UUIDField(null=True)
    """The place that is held for them while it is offered."""
    offer_until = fields.DatetimeField(null=True)

    class Meta:
        table = "waiting_entries"
        indexes = (("line_id", "day", "state", "created_at"), ("person_id",))
        constraints = (
            UniqueConstraint(
                fields=("person_id", "item_id", "day"),
                name="waiting_once_a_day",
                condition="state IN ('waiting', 'offered')",
            ),
            CheckConstraint(
                "state IN ('waiting', 'offered', 'taken', 'declined', 'lapsed', 'left')", name="waiting_state_known"
            ),
            CheckConstraint("(state = 'offered') = (offer_until IS NOT NULL)", name="waiting_offer_has_an_end"),
        )


class Draw(Record):
    """A draw for the places of one line and day: the seed's digest is published before, the seed after."""

    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="draws", on_delete=OnDelete.CASCADE
    )
    day = fields.DateField()
    opens_at = fields.DatetimeField()
    closes_at = fields.DatetimeField()
    seed = fields.CharField(max_length=64)
    seed_digest = fields.CharField(max_length=64)
    entries_digest = fields.CharField(max_length=64, null=True)
    """SHA-256 of the list of entries that was drawn from."""
    places = ArrayField(element_type="text", null=True)
    """Free places of each slot when it was drawn, as `slot=number`."""
    drawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "draws"
        unique_together = (("line_id", "day"),)


class DrawEntry(Record):
    """A resident who entered within the time of a draw."""

    draw: fields.ForeignKeyRelation[Draw] = fields.ForeignKeyField(
        "models.Draw", related_name="entries", on_delete=OnDelete.CASCADE
    )
    resident_id = fields.UUIDField()
    person_id = fields.UUIDField()
    item_id = fields.UUIDField()
    slot_ids = ArrayField(element_type="uuid")
    """Slots in the order they would like them."""
    rank = fields.IntField(null=True)
    slot_id = fields.UUIDField(null=True)
    """The slot that it won; the appointment may have moved since."""
    appointment_id = fields.UUIDField(null=True)

    class Meta:
        table = "draw_entries"
        unique_together = (("draw_id", "person_id"),)
        indexes = (("person_id",),)
