"""What an examiner may look at: ids, states and amounts, nothing personal. Views read with the rights of their owner."""

from models import operations as ops

# In v_transition an event of a case that leads over several states is several steps at one moment; `step` orders them.
VIEWS = [
    "CREATE SCHEMA acceptance",
    """
CREATE VIEW acceptance.v_transition AS
SELECT 'case'::text AS entity, e.case_id AS id, upper(e.path[n]) AS "from", upper(e.path[n + 1]) AS "to",
       e.occurred_at AS at, 'agency:' || e.agency_id AS actor,
       row_number() OVER (PARTITION BY e.case_id ORDER BY e.occurred_at, e.rank, e.event_id COLLATE "C", n) AS step
FROM public.case_events e CROSS JOIN LATERAL generate_series(1, cardinality(e.path) - 1) AS n
WHERE e.case_id IS NOT NULL
UNION ALL
SELECT entity::text, entity_id, upper(from_state), upper(to_state), at, actor::text,
       row_number() OVER (PARTITION BY entity_id ORDER BY id)
FROM public.payment_transitions
UNION ALL
SELECT 'delivery', delivery_id, upper(from_state), upper(to_state), at, actor::text,
       row_number() OVER (PARTITION BY delivery_id ORDER BY id)
FROM public.delivery_transitions
""",
    """
CREATE VIEW acceptance.v_delivery AS
SELECT d.number, upper(d.state) AS state, d.method, s.waybill, s.company, upper(s.state) AS shipment_state
FROM public.deliveries d
LEFT JOIN LATERAL (
    SELECT waybill, company, state FROM public.shipments WHERE delivery_id = d.id ORDER BY attempt DESC LIMIT 1
) s ON true
""",
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
    """
CREATE VIEW acceptance.v_payment AS
SELECT number AS out_trade_no, upper(state) AS state, amount_fen AS total_fen, paid_fen, refunded_fen
FROM public.payments
""",
    """
CREATE VIEW acceptance.v_ledger AS
SELECT g.id AS grp, g.ref, p.account, p.amount_fen
FROM public.ledger_postings p JOIN public.ledger_groups g ON g.id = p.group_id
""",
    """
CREATE VIEW acceptance.v_outbox AS
SELECT id AS key, name AS kind, upper(state) AS state, attempts FROM public.messages
""",
    """
CREATE VIEW acceptance.v_session AS
SELECT id, 'resident'::text AS kind, resident_id AS subject_id, created_at, last_used_at, expires_at, ended_at, end_reason
FROM public.sessions
UNION ALL
SELECT id, 'staff', staff_id, created_at, last_used_at, expires_at, ended_at, end_reason FROM public.staff_sessions
""",
]


class Migration(ops.Migration):
    dependencies = [("models", "0003_guards")]

    operations = [ops.RunSQL(VIEWS)]
