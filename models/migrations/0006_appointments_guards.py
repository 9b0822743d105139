"""What the outside may look at of appointments: how full each slot is, and who has a place, as ids alone."""

from models import operations as ops

SCHEMA = "CREATE SCHEMA IF NOT EXISTS acceptance"
# Whoever looks needs no right to the tables behind: views read with the rights of their owner.
VIEWS = [
    """
CREATE VIEW acceptance.v_slot AS
SELECT id AS slot_id, capacity, held, booked FROM public.slots
""",
    """
CREATE VIEW acceptance.v_booking AS
SELECT id AS booking_id, slot_id, person_id, item_id, day, upper(state) AS state,
       state IN ('held', 'booked', 'checked-in') AS active
FROM public.appointments
""",
]


class Migration(ops.Migration):
    dependencies = [("models", "0005_appointments_constraints")]

    operations = [ops.RunSQL([SCHEMA, *VIEWS])]
