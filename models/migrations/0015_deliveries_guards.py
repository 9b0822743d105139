"""What was told and what was signed for stays as it was; and what the outside may look at of deliveries."""

from models import operations as ops

# refuse_change() is from 0003. Nodes may come to be believed, so they are guarded column by column.
APPEND_ONLY = [
    "CREATE TRIGGER delivery_moves_append_only BEFORE UPDATE OR DELETE ON delivery_moves "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER delivery_moves_no_truncate BEFORE TRUNCATE ON delivery_moves "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    """
CREATE FUNCTION refuse_node_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.shipment_id, NEW.source, NEW.status, NEW.raw_code, NEW.event_at, NEW.received_at)
        IS DISTINCT FROM (OLD.shipment_id, OLD.source, OLD.status, OLD.raw_code, OLD.event_at, OLD.received_at)
        OR (OLD.believed AND NOT NEW.believed)
    THEN
        RAISE EXCEPTION 'what a courier told is kept as it was told' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
""",
    "CREATE TRIGGER shipment_nodes_fixed BEFORE UPDATE ON shipment_nodes "
    "FOR EACH ROW EXECUTE FUNCTION refuse_node_change()",
]

VIEWS = [
    """
CREATE OR REPLACE VIEW acceptance.v_transition AS
SELECT 'case'::text AS entity, e.case_id AS id, upper(e.path[n]) AS "from", upper(e.path[n + 1]) AS "to",
       e.occurred_at AS at, 'agency:' || e.agency_id AS actor,
       row_number() OVER (PARTITION BY e.case_id ORDER BY e.occurred_at, e.rank, e.event_id COLLATE "C", n) AS step
FROM public.case_events e CROSS JOIN LATERAL generate_series(1, cardinality(e.path) - 1) AS n
WHERE e.case_id IS NOT NULL
UNION ALL
SELECT entity::text, entity_id, upper(from_state), upper(to_state), at, actor::text,
       row_number() OVER (PARTITION BY entity_id ORDER BY id)
FROM public.payment_moves
UNION ALL
SELECT 'delivery', delivery_id, upper(from_state), upper(to_state), at, actor::text,
       row_number() OVER (PARTITION BY delivery_id ORDER BY id)
FROM public.delivery_moves
""",
    """
CREATE VIEW acceptance.v_delivery AS
SELECT d.number, upper(d.state) AS state, d.method, s.waybill, s.company, upper(s.state) AS shipment_state
FROM public.deliveries d
LEFT JOIN LATERAL (
    SELECT waybill, company, state FROM public.shipments WHERE delivery_id = d.id ORDER BY attempt DESC LIMIT 1
) s ON true
""",
]


class Migration(ops.Migration):
    dependencies = [("models", "0014_deliveries_constraints")]

    operations = [ops.RunSQL(APPEND_ONLY), ops.RunSQL(VIEWS)]
