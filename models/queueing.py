"""The day in the hall: queue numbers and the windows that call them, check-in codes that were used, reminders."""

from __future__ import annotations

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.appointments import Appointment, ServiceLine, TicketState, Window
from models.base import Model, Record
from models.regions import Hall


class TicketCounter(Model):
    """The last queue number of a hall and day."""

    id = fields.BigIntField(primary_key=True, generated=True)
    hall_id = fields.UUIDField()
    day = fields.DateField()
    issued = fields.IntField()

    class Meta:
        table = "ticket_counters"
        unique_together = (("hall_id", "day"),)


class Ticket(Record):
    """A queue number: a person who is in the hall and waits to be called."""

    hall: fields.ForeignKeyRelation[Hall] = fields.ForeignKeyField(
        "models.Hall", related_name="tickets", on_delete=OnDelete.RESTRICT
    )
    line: fields.ForeignKeyRelation[ServiceLine] = fields.ForeignKeyField(
        "models.ServiceLine", related_name="tickets", on_delete=OnDelete.RESTRICT
    )
    day = fields.DateField()
    sequence = fields.IntField()
    label = fields.CharField(max_length=8)
    """What slip and screen show: letters of the line that issued it, and the sequence; a hand-over changes nothing."""
    appointment: fields.OneToOneNullableRelation[Appointment] = fields.OneToOneField(
        "models.Appointment", related_name="ticket", on_delete=OnDelete.RESTRICT, null=True
    )
    """Null for a walk-in."""
    state = fields.CharEnumField(TicketState, max_length=10, default=TicketState.WAITING)
    window: fields.ForeignKeyNullableRelation[Window] = fields.ForeignKeyField(
        "models.Window", related_name="tickets", on_delete=OnDelete.RESTRICT, null=True
    )
    """The window that called it; of a number that waits, the only window that may call it."""
    wanted_at = fields.DatetimeField()
    """What the queue is ordered by: the start of the booked slot, or the arrival of a walk-in."""
    called_at = fields.DatetimeField(null=True)
    calls = fields.SmallIntField(default=0)
    served_at = fields.DatetimeField(null=True)
    soon_at = fields.DatetimeField(null=True)
    """When its holder was notified that the call is near."""

    class Meta:
        table = "tickets"
        unique_together = (("hall_id", "day", "sequence"),)
        indexes = (("hall_id", "day", "state", "wanted_at"),)
        constraints = (
            UniqueConstraint(fields=("window_id", "day"), name="ticket_one_per_window", condition="state = 'called'"),
            CheckConstraint(
                "state <> 'called' OR (window_id IS NOT NULL AND called_at IS NOT NULL)", name="ticket_called_somewhere"
            ),
            CheckConstraint("(state = 'served') = (served_at IS NOT NULL)", name="ticket_served_sometime"),
        )


class SpentCheckIn(Model):
    """A check-in code that was used: it is refused from then on."""

    id = fields.BigIntField(primary_key=True, generated=True)
    nonce = fields.CharField(max_length=32, unique=True)
    spent_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "spent_check_ins"


class AppointmentReminder(Model):
    """A reminder that was written: it is not written again; one for another time is a reminder of its own."""

    id = fields.BigIntField(primary_key=True, generated=True)
    appointment: fields.ForeignKeyRelation[Appointment] = fields.ForeignKeyField(
        "models.Appointment", related_name="reminders", on_delete=OnDelete.CASCADE
    )
    ahead = fields.CharField(max_length=8)
    starts_at = fields.DatetimeField()

    class Meta:
        table = "appointment_reminders"
        unique_together = (("appointment_id", "ahead", "starts_at"),)
        constraints = (CheckConstraint("ahead IN ('day', 'hours')", name="appointment_reminder_ahead_known"),)
