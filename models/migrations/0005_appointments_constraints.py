from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models import operations as ops


class Migration(ops.Migration):
    dependencies = [("models", "0004_appointments")]

    initial = False

    operations = [
        ops.AddConstraint(
            model_name="Appointment",
            constraint=UniqueConstraint(
                fields=("person_id", "item_id", "day"),
                name="appointment_once_a_day",
                condition="state IN ('held', 'booked', 'checked-in')",
            ),
        ),
        ops.AddConstraint(
            model_name="Appointment",
            constraint=CheckConstraint(
                check="(state = 'held') = (hold_until IS NOT NULL)", name="appointment_hold_ends"
            ),
        ),
        ops.AddConstraint(
            model_name="AppointmentReminder",
            constraint=CheckConstraint(check="ahead IN ('day', 'hours')", name="appointment_reminder_ahead_known"),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="weekday BETWEEN 0 AND 7", name="opening_hours_weekday"),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="closes > opens", name="opening_hours_close_after_opening"),
        ),
        ops.AddConstraint(
            model_name="OpeningHours",
            constraint=CheckConstraint(check="capacity >= 0 AND walk_ins >= 0", name="opening_hours_places"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="slot_minutes BETWEEN 5 AND 480", name="service_line_slot_minutes"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="release_days BETWEEN 0 AND 60", name="service_line_release_days"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="hold_seconds > 0 AND draw_seconds > 0", name="service_line_seconds"),
        ),
        ops.AddConstraint(
            model_name="ServiceLine",
            constraint=CheckConstraint(check="code ~ '^[A-Z]{1,2}$'", name="service_line_code_letters"),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(
                check="held >= 0 AND booked >= 0 AND held + booked <= capacity", name="slot_not_oversold"
            ),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(
                check="walk_ins >= 0 AND walk_ins <= walk_in_quota", name="slot_walk_ins_within_quota"
            ),
        ),
        ops.AddConstraint(
            model_name="Slot",
            constraint=CheckConstraint(check="ends_at > starts_at", name="slot_ends_after_it_starts"),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(check="kind IN ('no-show', 'late-cancel')", name="strike_kind_known"),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(
                check="(decided_by IS NULL) = (decided_at IS NULL)", name="strike_decided_whole"
            ),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(check="(appeal IS NULL) = (appealed_at IS NULL)", name="strike_appeal_whole"),
        ),
        ops.AddConstraint(
            model_name="Strike",
            constraint=CheckConstraint(
                check="waived_at IS NULL OR decided_at IS NOT NULL", name="strike_waived_by_somebody"
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=UniqueConstraint(
                fields=("window_id", "day"), name="ticket_one_per_window", condition="state = 'called'"
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=CheckConstraint(
                check="state <> 'called' OR (window_id IS NOT NULL AND called_at IS NOT NULL)",
                name="ticket_called_somewhere",
            ),
        ),
        ops.AddConstraint(
            model_name="Ticket",
            constraint=CheckConstraint(
                check="(state = 'served') = (served_at IS NOT NULL)", name="ticket_served_sometime"
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=UniqueConstraint(
                fields=("person_id", "item_id", "day"),
                name="waiting_once_a_day",
                condition="state IN ('waiting', 'offered')",
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=CheckConstraint(
                check="state IN ('waiting', 'offered', 'taken', 'declined', 'lapsed', 'left')",
                name="waiting_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="WaitingEntry",
            constraint=CheckConstraint(
                check="(state = 'offered') = (offer_until IS NOT NULL)", name="waiting_offer_has_an_end"
            ),
        ),
    ]
